"""Models that are refused, each with a sentence that says what to do, and models that aren't."""

import json
import shutil
import sys
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from app.devices import Device
from app.loading import load_model
from app.model import Model
from app.model_folder import SHIPPED, ModelFolder, shipped_model
from app.ports import UnusableScoresError
from app.providers import CPU
from app.refusals import ModelRefusedError
from app.settings import Settings
from app.starting import start_of
from galaxytree.card import CARD_FILE, MODEL_FILE, SHIPPED_MODEL, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.predictions import Predictions
from tests.tiny_model import FRAMING, write_model

ON_CPU = Device(CPU, "for the test")
NOISE = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


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
    predictions = model.predict(NOISE)
    scores = predictions.scores
    assert (predictions.uncertainty, predictions.uncertainty_95, predictions.out_of_domain) == (None, None, None)
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
    assert "has the output votes" in refusal(write_model(tmp_path / "m", outputs=("votes",)))


@pytest.mark.parametrize("tree", ["galaxy-zoo-2", "candels"])
@pytest.mark.parametrize("outputs", [*permutations(("scores", "uncertainty", "uncertainty_95", "out_of_domain"))])
def test_what_else_a_model_answers_in_any_order(tmp_path: Path, tree: str, outputs: tuple[str, ...]) -> None:
    plain = Model(ModelFolder.open(write_model(tmp_path / "plain", tree=tree)), ON_CPU, 1)
    model = Model(ModelFolder.open(write_model(tmp_path / "m", tree=tree, outputs=outputs)), ON_CPU, 1)
    model.warm_up(2)
    assert (plain.outputs, model.outputs) == (
        ("scores",),
        ("scores", "uncertainty", "uncertainty_95", "out_of_domain"),
    )
    predictions = model.predict(NOISE)
    assert predictions.uncertainty is not None
    assert predictions.uncertainty_95 is not None
    assert predictions.out_of_domain is not None
    np.testing.assert_array_equal(predictions.scores, plain.predict(NOISE).scores)
    assert predictions.uncertainty.shape == predictions.scores.shape
    assert predictions.uncertainty.max() > predictions.uncertainty.min() >= 0
    np.testing.assert_allclose(predictions.uncertainty_95, 2.5 * predictions.uncertainty, rtol=1e-5)
    assert predictions.out_of_domain.shape == (5,)
    black_and_white = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)])
    assert model.predict(black_and_white).out_of_domain == pytest.approx([0.018, 0.982], abs=1e-3)


@pytest.mark.parametrize("number", [1, 2])
def test_any_of_them_is_enough(tmp_path: Path, number: int) -> None:
    every = {"uncertainty", "uncertainty_95", "out_of_domain"}
    for some in combinations(sorted(every), number):
        folder = write_model(tmp_path / "-".join(some), outputs=("scores", *some))
        predictions = Model(ModelFolder.open(folder), ON_CPU, 1).predict(NOISE)
        assert {name for name in every if getattr(predictions, name) is not None} == set(some)


def test_an_output_that_nobody_knows(tmp_path: Path) -> None:
    said = refusal(write_model(tmp_path / "m", outputs=("scores", "embedding")))
    assert "has the output embedding tensor(float) ['N', 37], not scores tensor(float) ['N', 37] or uncertainty" in said


def test_without_scores(tmp_path: Path) -> None:
    said = refusal(write_model(tmp_path / "m", outputs=("uncertainty",)))
    assert "has no output scores tensor(float) ['N', 37]" in said


@pytest.mark.parametrize(
    ("output", "width", "says"),
    [
        (
            "uncertainty",
            36,
            "has the output uncertainty tensor(float) ['N', 36], not uncertainty tensor(float) ['N', 37]",
        ),
        (
            "uncertainty_95",
            36,
            "has the output uncertainty_95 tensor(float) ['N', 36], not uncertainty_95 tensor(float) ['N', 37]",
        ),
        (
            "out_of_domain",
            1,
            "has the output out_of_domain tensor(float) ['N', 1], not out_of_domain tensor(float) ['N']",
        ),
    ],
)
def test_an_output_of_another_shape(tmp_path: Path, output: str, width: int, says: str) -> None:
    folder = write_model(tmp_path / "m", outputs=("scores", output))
    network = onnx.load(folder / MODEL_FILE)
    (port,) = (one for one in network.graph.output if one.name == output)
    del port.type.tensor_type.shape.dim[1:]
    port.type.tensor_type.shape.dim.add(dim_value=width)
    # Of a shape that can't be inferred, the declared one is what ONNX Runtime tells.
    (node,) = (one for one in network.graph.node if output in one.output)
    node.output[0] = "inner"
    network.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, width], np.int64), "shape"))
    network.graph.node.append(onnx.helper.make_node("Reshape", ["inner", "shape"], [output]))
    assert says in refusal(rewritten(folder, network))


@pytest.mark.parametrize(
    ("output", "plus", "says"),
    [
        ("uncertainty", float("nan"), "values of uncertainty that are not finite"),
        ("uncertainty", float("inf"), "values of uncertainty that are not finite"),
        ("uncertainty", -10.0, "values of uncertainty that are negative"),
        ("uncertainty_95", float("nan"), "values of uncertainty_95 that are not finite"),
        ("uncertainty_95", -20.0, "values of uncertainty_95 that are negative"),
        ("out_of_domain", float("nan"), "values of out_of_domain that are not finite"),
        ("out_of_domain", 1.0, "values of out_of_domain that are not between 0 and 1"),
        ("out_of_domain", -1.0, "values of out_of_domain that are not between 0 and 1"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, output: str, plus: float, says: str) -> None:
    folder = write_model(tmp_path / "m", outputs=("scores", output), plus={output: plus})
    assert f"the model answers {says}" in refusal(folder)
    with pytest.raises(UnusableScoresError, match=says):
        Model(ModelFolder.open(folder), ON_CPU, 1).predict(NOISE)


def test_bounds_that_are_missed_by_a_rounding(tmp_path: Path) -> None:
    plus = {"uncertainty": -9e-6, "uncertainty_95": -9e-6, "out_of_domain": 9e-6}
    folder = write_model(tmp_path / "m", outputs=("scores", *plus), factor=0.0, plus=plus)
    network = onnx.load(folder / MODEL_FILE)
    (steep,) = (one for one in network.graph.initializer if one.name == "steep")
    steep.CopyFrom(onnx.numpy_helper.from_array(np.array(1000, np.float32), "steep"))
    model = Model(ModelFolder.open(rewritten(folder, network)), ON_CPU, 1)
    predictions = model.predict(np.full((1, 32, 32, 3), 255, np.uint8))
    assert predictions.uncertainty is not None
    assert predictions.uncertainty_95 is not None
    assert (predictions.uncertainty == 0).all()
    assert (predictions.uncertainty_95 == 0).all()
    assert predictions.out_of_domain == pytest.approx([1.0], abs=0)


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
    monkeypatch.setattr(ModelFolder, "read", lambda *_: data)
    model = Model(folder, ON_CPU, 1)
    assert sys.getrefcount(data) == before
    model.warm_up(1)


def test_the_usual_batch_is_warmed_up_too(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    predict = Model.predict

    def noted(self: Model, images: NDArray[np.uint8], **given: bool) -> Predictions:
        sizes.append(len(images))
        return predict(self, images, **given)

    monkeypatch.setattr(Model, "predict", noted)
    settings = Settings(model=model_folder, views=8, max_batch=32)
    load_model(ModelFolder.open(model_folder), ON_CPU, start_of(settings))
    assert {1, 8, 32} <= set(sizes)


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
