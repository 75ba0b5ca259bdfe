"""The int8 file: made from what may be looked at, near to the model, and honest about what it costs."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from galaxytree.card import INT8_FILE, MOST_RISE, ModelCard, sha256_of
from galaxytree.instructions import dot_product
from tests.training.conftest import Exported, Run, training
from tests.training.galaxies import THIN, TREE, draw, votes_of, write_galaxies
from training import quantise as quantise_module
from training.arrays import Galaxies, Images, read_galaxies
from training.evaluate import SHIPPED
from training.predict import Predictions, predict_onnx
from training.quantise import QuantiseSettings, quantise
from training.runs import machine


@pytest.fixture(scope="module")
def made(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Quantise the exported model, in a folder of its own."""
    folder = shutil.copytree(exported.folder, tmp_path_factory.mktemp("int8") / "made-up")
    result = training("quantise", folder, "--data", exported.data, "--images=24")
    assert result.exit_code == 0, result.output
    return Exported(folder, exported.data, result)


def without_figures(*_: object) -> tuple[dict[str, Any], float]:
    """Stand in for measuring, where figures are not what is looked at."""
    return {"rmse": 0.1}, 0.0


def test_it_says_much_what_the_model_says(made: Exported) -> None:
    unseen = read_galaxies(made.data)
    unseen = unseen.where(unseen.validation)
    before, after = (predict_onnx(made.folder / name, unseen.images).scores for name in ("model.onnx", INT8_FILE))
    TREE.check(after, tolerance=1e-6)
    np.testing.assert_allclose(after, before, rtol=0, atol=0.05)
    assert np.abs(after - before).max() > 0
    sizes = [(made.folder / name).stat().st_size for name in ("model.onnx", INT8_FILE)]
    assert sizes[1] < sizes[0] / 2.5


def test_it_says_what_it_is(made: Exported) -> None:
    model, before = (onnx.load(made.folder / name) for name in (INT8_FILE, "model.onnx"))
    said = {each.key: each.value for each in model.metadata_props}
    assert said == {each.key: each.value for each in before.metadata_props} | {"precision": "int8"}
    for one, other in ((model.graph.input, before.graph.input), (model.graph.output, before.graph.output)):
        assert list(one) == list(other)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}, "standard ONNX, for any runtime"


def test_the_card_says_what_it_costs(made: Exported, exported: Exported) -> None:
    card = ModelCard.read(made.folder)
    int8 = card.int8
    assert int8 is not None
    assert int8.sha256 == sha256_of(made.folder / INT8_FILE)
    assert card.model_copy(update={"int8": None}) == ModelCard.read(exported.folder), "nothing else changed"
    assert int8.rmse_rise == pytest.approx(int8.metrics["rmse"] - card.metrics["rmse"], abs=1e-6)
    assert int8.by_default == (int8.rmse_rise <= MOST_RISE)
    assert int8.metrics["command"] == "python -m training evaluate --precision int8"
    assert int8.metrics["validation_sha256"] == card.metrics["validation_sha256"]
    assert int8.metrics["eight_views"]["rmse"] > 0
    assert (int8.provenance["calibrated_on"], int8.provenance["against_fp32"]["images"]) == (24, 40)
    (said,) = re.findall(r"int8: RMSE ([0-9.]+), ", made.result.stdout)
    assert float(said) == pytest.approx(int8.metrics["rmse"], abs=1e-5)
    assert int8.provenance["machine"] == machine() | {"dot_product": dot_product()}
    assert str(made.data) not in (made.folder / "card.json").read_text("utf-8")
    assert {each.name for each in made.folder.iterdir()} == {"model.onnx", INT8_FILE, "card.json"}


def test_the_same_call_makes_the_same_file(
    made: Exported, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise_module, "_measured", without_figures)
    galaxies, folder = read_galaxies(made.data), shutil.copytree(exported.folder, tmp_path / "made-up")
    for seed in (1, 2):
        quantise(folder, galaxies, QuantiseSettings(data=made.data, images=24, seed=seed))
        same = (folder / INT8_FILE).read_bytes() == (made.folder / INT8_FILE).read_bytes()
        assert same == (seed == 1)


def test_it_is_evaluated(made: Exported) -> None:
    result = training("evaluate", made.folder, "--data", made.data, "--precision=int8", "--views=1")
    assert result.exit_code == 0, result.output
    int8 = ModelCard.read(made.folder).int8
    assert int8 is not None
    assert result.stdout.startswith(f"made-up 1, int8\nRMSE {int8.metrics['rmse']:.4f} over")
    floats = training("evaluate", made.folder, "--data", made.data, "--views=1", "--format=json")
    integers = training("evaluate", made.folder, "--data", made.data, "--views=1", "--format=json", "--precision=int8")
    assert [json.loads(each.stdout)["precision"] for each in (floats, integers)] == ["fp32", "int8"]
    rise = json.loads(integers.stdout)["rmse"] - json.loads(floats.stdout)["rmse"]
    assert rise == pytest.approx(int8.rmse_rise, abs=1e-6)


def test_nothing_that_is_set_aside_is_looked_at(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    class Watched(Images):
        def __getitem__(self, chosen: Any) -> Any:  # noqa: ANN401
            looked.extend(np.atleast_1d(self._rows[chosen]).tolist())
            return super().__getitem__(chosen)

        def where(self, chosen: Any) -> "Watched":  # noqa: ANN401
            return Watched(self._pixels, self._rows[chosen])

    monkeypatch.setattr(quantise_module, "_measured", without_figures)
    galaxies = read_galaxies(exported.data)
    aside = np.zeros_like(galaxies.calibration)
    aside[:10] = True
    watched = Galaxies(
        **(vars(galaxies) | {"calibration": aside, "images": Watched(galaxies.images._pixels, galaxies.images._rows)})
    )
    folder = shutil.copytree(exported.folder, tmp_path / "made-up")
    quantise(folder, watched, QuantiseSettings(data=exported.data, images=24))
    assert len(set(looked)) == 80 - 16 - 10
    assert not (galaxies.validation | aside)[looked].any()


def test_without_a_validation_split_the_cost_is_not_known(exported: Exported, tmp_path: Path) -> None:
    folder = shutil.copytree(exported.folder, tmp_path / "made-up")
    ModelCard.read(folder).model_copy(update={"metrics": {}}).write(folder)
    data = write_galaxies(tmp_path / "g.h5", 8, validation=0)
    result = training("quantise", folder, "--data", data)
    assert result.exit_code == 0, result.output
    assert "by choice only" in result.stdout
    int8 = ModelCard.read(folder).int8
    assert int8 is not None
    assert (int8.rmse_rise, int8.metrics, int8.by_default) == (None, {}, False)


def test_the_shipped_model_is_used_if_none_is_named(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise_module, "_measured", lambda *_: ({"rmse": 0.1}, MOST_RISE + 1e-6))
    monkeypatch.setattr("training.cli.SHIPPED", shutil.copytree(exported.folder, tmp_path / "made-up"))
    result = training("quantise", "--data", exported.data, "--images=8")
    assert result.exit_code == 0, result.output
    assert "by choice only" in result.stdout
    assert (tmp_path / "made-up" / INT8_FILE).is_file()


def test_other_galaxies_than_it_was_measured_on_are_refused(exported: Exported, tmp_path: Path) -> None:
    data = write_galaxies(tmp_path / "other.h5", 12, validation=4)
    result = training("quantise", exported.folder, "--data", data)
    assert result.exit_code == 2
    assert "was measured on other galaxies than" in " ".join(result.stderr.split())


def test_a_folder_without_a_model_is_refused(exported: Exported, tmp_path: Path) -> None:
    result = training("quantise", tmp_path, "--data", exported.data)
    assert result.exit_code == 2
    assert "holds no model with a card" in " ".join(result.stderr.split())


def test_data_that_are_all_set_aside_are_refused(exported: Exported, tmp_path: Path) -> None:
    folder = shutil.copytree(exported.folder, tmp_path / "made-up")
    ModelCard.read(folder).model_copy(update={"metrics": {}}).write(folder)
    data = write_galaxies(tmp_path / "g.h5", 4, validation=4)
    result = training("quantise", folder, "--data", data)
    assert result.exit_code == 2
    assert "has no galaxies to calibrate on" in " ".join(result.stderr.split())


@pytest.mark.parametrize("wrong", ["far", "inconsistent"])
def test_a_file_that_says_something_else_is_refused(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def otherwise(path: Path, images: Sequence[object]) -> Predictions:
        said = predict_onnx(path, images)  # type: ignore[arg-type]
        if path.name == "model.onnx":
            return said
        far = np.tile(votes_of(*THIN), (len(said.scores), 1))
        return Predictions(far if wrong == "far" else said.scores + np.float32(0.01))

    monkeypatch.setattr(quantise_module, "predict_onnx", otherwise)
    folder = shutil.copytree(exported.folder, tmp_path / "made-up")
    before = (folder / "card.json").read_bytes()
    result = training("quantise", folder, "--data", exported.data, "--images=8")
    assert result.exit_code == 2
    said = "apart from the model's" if wrong == "far" else "does not add up: "
    assert said in " ".join(result.stderr.split())
    assert (folder / "card.json").read_bytes() == before
    assert {each.name for each in folder.iterdir()} == {"model.onnx", "card.json"}, "nothing is left behind"


def test_evaluate_says_how_to_make_one_that_is_not_there(made: Exported, exported: Exported, tmp_path: Path) -> None:
    result = training("evaluate", exported.folder, "--data", exported.data, "--precision=int8")
    assert result.exit_code == 2
    assert "has no int8 file; make one with: python -m training quantise" in " ".join(result.stderr.split())
    folder = shutil.copytree(made.folder, tmp_path / "made-up")
    with (folder / INT8_FILE).open("ab") as file:
        file.write(b"more")
    result = training("evaluate", folder, "--data", made.data, "--precision=int8")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "is not the file that its card describes" in said
    assert "quantise it again" in said


def test_export_drops_the_file_of_the_earlier_model(made: Exported, run: Run, tmp_path: Path) -> None:
    shutil.copytree(made.folder, tmp_path / "made-up")
    result = training("export", "--run", run.folder, "--data", run.data, "--models", tmp_path, "--name", "made-up")
    assert result.exit_code == 0, result.output
    assert "python -m training quantise" in result.stdout
    assert {each.name for each in (tmp_path / "made-up").iterdir()} == {"model.onnx", "card.json"}
    assert ModelCard.read(tmp_path / "made-up").int8 is None


def test_the_shipped_model_says_much_the_same_of_galaxies() -> None:
    drawn = np.stack([draw(thin=bool(seed % 2), seed=seed) for seed in range(16)])
    before, after = (predict_onnx(SHIPPED / name, drawn) for name in ("model.onnx", INT8_FILE))
    assert before.scores.std(axis=0).max() > 0.1, "they are told apart"
    np.testing.assert_allclose(after.scores, before.scores, rtol=0, atol=0.06)
    for name in ("uncertainty", "uncertainty_95"):
        np.testing.assert_allclose(getattr(after, name).mean(), getattr(before, name).mean(), rtol=0.1)
    assert before.out_of_domain is not None
    np.testing.assert_allclose(after.out_of_domain, before.out_of_domain, rtol=0, atol=0.1)


def test_of_the_shipped_model_only_the_convolutions_are_integers() -> None:
    card = ModelCard.read(SHIPPED)
    assert card.int8 is not None
    assert card.int8.sha256 == sha256_of(SHIPPED / INT8_FILE)
    assert card.int8.by_default
    graph = onnx.load(SHIPPED / INT8_FILE).graph
    outputs = {each.name for each in graph.output}
    assert outputs == {"scores", "uncertainty", "uncertainty_95", "out_of_domain", "evidence"}
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            assert made_by[node.input[0]].op_type in {"Conv", "Add"}
            assert not outputs & set(node.input)
    small = [node for node in graph.node if node.op_type in {"Gemm", "MatMul", "Softmax"}]
    assert all(made_by[node.input[0]].op_type != "DequantizeLinear" for node in small if node.input[0] in made_by)
