"""Models that are refused, each with a sentence that says what to do, and models that aren't."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from app.devices import CPU, Device
from app.model import Model, UnusableScoresError
from app.model_folder import SHIPPED, ModelFolder, shipped_model
from app.refusals import ModelRefusedError
from galaxytree.card import CARD_FILE, MODEL_FILE, SHIPPED_MODEL, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from tests.tiny_model import FRAMING, write_model

ON_CPU = Device(CPU, "for the test")


def refusal(folder: Path) -> str:
    with pytest.raises(ModelRefusedError) as refused:
        Model(ModelFolder.open(folder), ON_CPU, 1).warm_up(2)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.rpartition(": ")[2].split()[0] in {"copy", "export", "name", "use", "choose"}
    return sentence


@pytest.mark.parametrize("tree", ["galaxy-zoo-2", "candels"])
def test_a_model_for_each_tree(tmp_path: Path, tree: str) -> None:
    model = Model(ModelFolder.open(write_model(tmp_path / "m", tree=tree)), ON_CPU)
    model.warm_up(3)
    scores = model.predict(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8))
    assert scores.shape == (5, len(load_tree(tree).columns))
    load_tree(tree).check(scores, 1e-5)
    assert np.ptp(scores, axis=0).max() > 0.001


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "there is no model in" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"), [("{", "the whole of it"), ('{"name": "a"}', "version"), ("[]", "no model card")]
)
def test_a_card_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / CARD_FILE).write_text(text)
    assert says in refusal(tmp_path)


def test_a_card_without_its_file(model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / CARD_FILE, tmp_path)
    assert "model.onnx can't be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("columns", "says"),
    [(("Class1.1", "Class1.3"), "'Class1.3' where the tree has 'Class1.2'"), (("Class1.1",), "1 of them, not 37")],
)
def test_other_columns_than_the_tree_s(tmp_path: Path, columns: tuple[str, ...], says: str) -> None:
    assert says in refusal(write_model(tmp_path / "m", card={"columns": columns}))


def test_an_output_of_another_name(tmp_path: Path) -> None:
    assert "has the output votes" in refusal(write_model(tmp_path / "m", output="votes"))


def test_another_input_size_than_the_card_s(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", card={"framing": {"size": 64, "field": FRAMING.field}})
    assert "has the input images tensor(uint8) ['N', 32, 32, 3], not images tensor(uint8) ['N', 64, 64, 3]" in refusal(
        folder
    )


def rewritten(folder: Path, network: onnx.ModelProto) -> Path:
    onnx.save(network, folder / MODEL_FILE)
    card = ModelCard.read(folder).model_copy(update={"sha256": sha256_of(folder / MODEL_FILE)})
    card.write(folder)
    return folder


def test_a_batch_that_is_not_free(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    network = onnx.load(folder / MODEL_FILE)
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert "has the input images tensor(uint8) [1, 32, 32, 3]" in refusal(rewritten(folder, network))


def test_a_network_that_cannot_run(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    network = onnx.load(folder / MODEL_FILE)
    (cells,) = (one for one in network.graph.initializer if one.name == "cells")
    cells.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 4, 7, 4, 7, 3], np.int64), "cells"))
    assert "the model doesn't run" in refusal(rewritten(folder, network))


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"name": "other"}, "says 'other' as its name"),
        ({"version": None}, "says nothing as its version"),
        ({"tree": "candels"}, "says 'candels' as its tree"),
        ({"columns": json.dumps(["Class1.1"])}, "as its columns"),
        ({"columns": "Class1.1, Class1.2"}, "as its columns"),
        ({"framing": json.dumps({"size": 32, "field": 0.5})}, "as its framing"),
    ],
)
def test_metadata_that_contradicts_the_card(tmp_path: Path, metadata: dict[str, str | None], says: str) -> None:
    assert says in refusal(write_model(tmp_path / "m", metadata=metadata))


def test_weights_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "m")
    network = onnx.load(folder / MODEL_FILE)
    (folder / MODEL_FILE).unlink()
    onnx.save(network, folder / MODEL_FILE, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    card = ModelCard.read(folder).model_copy(update={"sha256": sha256_of(folder / MODEL_FILE)})
    card.write(folder)
    # From bytes, ONNX Runtime would look for them here.
    monkeypatch.chdir(folder)
    assert "keeps weights in other files, which its checksum doesn't cover" in refusal(folder)


def test_a_file_that_is_replaced_after_the_check(tmp_path: Path) -> None:
    folder = ModelFolder.open(write_model(tmp_path / "m"))
    folder.file.write_bytes(write_model(tmp_path / "other", factor=4.0).joinpath(MODEL_FILE).read_bytes())
    with pytest.raises(ModelRefusedError, match="is not the file that its card speaks of"):
        Model(folder, ON_CPU, 1)


def test_the_file_is_not_kept_in_memory(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ModelFolder.open(model_folder)
    data = folder.read()
    before = sys.getrefcount(data)
    monkeypatch.setattr(ModelFolder, "read", lambda _: data)
    model = Model(folder, ON_CPU, 1)
    assert sys.getrefcount(data) == before
    model.warm_up(1)


def test_scores_that_do_not_add_up(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", consistent=False)
    assert "the model's scores don't add up as galaxy-zoo-2 says" in refusal(folder)


def test_scores_that_are_not_finite(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", consistent=False, factor=float("nan"))
    assert "the model answers scores that are not finite" in refusal(folder)
    with pytest.raises(UnusableScoresError):
        Model(ModelFolder.open(folder), ON_CPU, 1).predict(np.zeros((1, 32, 32, 3), np.uint8))


def test_more_rows_than_images(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    network = onnx.load(folder / MODEL_FILE)
    network.graph.node[-1].output[0] = "once"
    network.graph.node.append(onnx.helper.make_node("Concat", ["once", "once"], ["scores"], axis=0))
    assert "the model answers scores of the shape [2, 37], not [1, 37]" in refusal(rewritten(folder, network))


def test_the_shipped_model_is_found_by_its_name_whatever_lies_beside_it(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    write_model(full / "another")
    with pytest.raises(ModelRefusedError, match="no model ships with this galaxytree: name the folder of one"):
        shipped_model((empty, full))
    write_model(full / SHIPPED_MODEL)
    assert shipped_model((empty, full)) == full / SHIPPED_MODEL
    assert [place.name for place in SHIPPED] == ["models", "models"]
