"""A model's files written anew from themselves: they say the same, and the card says what was done."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from galaxytree.card import INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from tests.training.conftest import Exported, training
from tests.training.galaxies import write_galaxies
from training import rewrite as rewrite_module
from training.even import uneven
from training.explain import unexplained
from training.predict import Pixels, Predictions, predict_onnx

FILES = (MODEL_FILE, INT8_FILE)


@pytest.fixture(scope="module")
def older(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Make a model as they were once written: with rows that are no whole packets, no evidence, and an int8 file."""
    folder = tmp_path_factory.mktemp("older") / "made-up"
    folder.mkdir()
    network = unexplained(onnx.load(exported.folder / MODEL_FILE))
    graph = network.graph
    graph.initializer.append(numpy_helper.from_array(np.array(0.01, np.float32), "bit"))
    graph.node.extend(
        [
            helper.make_node("Add", ["scores", "bit"], ["more"]),
            helper.make_node("Log", ["more"], ["log"]),
            helper.make_node("Abs", ["log"], ["uncertainty"]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("uncertainty", onnx.TensorProto.FLOAT, ["N", 37]))
    onnx.save_model(network, folder / MODEL_FILE)
    network.metadata_props.add(key="precision", value="int8")
    onnx.save_model(network, folder / INT8_FILE)
    card = ModelCard.read(exported.folder).model_dump()
    int8 = {"sha256": sha256_of(folder / INT8_FILE), "rmse_rise": 0.0, "metrics": {}, "provenance": {"seed": 1}}
    ModelCard.model_validate(card | {"sha256": sha256_of(folder / MODEL_FILE), "int8": int8}).write(folder)
    return Exported(folder, exported.data, exported.result)


@pytest.fixture
def folder(older: Exported, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return shutil.copytree(older.folder, tmp_path / "made-up")


def test_the_files_say_the_same_and_the_card_what_was_done(older: Exported, folder: Path) -> None:
    result = training("rewrite", folder, "--data", older.data, "--version", "2")
    assert result.exit_code == 0, result.output
    before, after = ModelCard.read(older.folder), ModelCard.read(folder)
    assert before.int8 is not None
    assert after.int8 is not None
    for name, then, now, provenance, sha256 in (
        (MODEL_FILE, before.provenance, after.provenance, after.provenance, before.sha256),
        (INT8_FILE, before.int8.provenance, after.int8.provenance, after.int8.provenance, before.int8.sha256),
    ):
        network, old = onnx.load(folder / name), onnx.load(older.folder / name)
        assert (uneven(old), uneven(network)) == (["log"], [])
        said = {each.key: each.value for each in network.metadata_props}
        covered = json.loads(said.pop("evidence"))
        assert said == {each.key: each.value for each in old.metadata_props} | {"version": "2"}
        assert 2 * covered["left"] + covered["width"] == before.framing.size
        assert now == then | {"rewritten": provenance["rewritten"]}
        (note,) = provenance["rewritten"]
        assert note["from"] == {"version": before.version, "sha256": sha256}
        assert note["against_before"]["images"] == 16
        differences = note["against_before"]["largest_difference"]
        assert set(differences) == {"scores", "uncertainty"}
        assert 0 < note["evidence"]["mean_from_scores"] < 1e-4
        assert differences["scores"] == 0
        assert f"{name}: sha256 {sha256_of(folder / name)}" in result.stdout
    assert (after.sha256, after.int8.sha256) == tuple(sha256_of(folder / name) for name in FILES)
    changed = {"version", "sha256", "provenance", "int8"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert (after.int8.metrics, after.int8.rmse_rise) == (before.int8.metrics, before.int8.rmse_rise)
    assert {each.name for each in folder.iterdir()} == {*FILES, "card.json"}
    again = training("rewrite", folder, "--data", older.data, "--version", "3")
    assert again.exit_code == 0, again.output
    assert [each["from"]["version"] for each in ModelCard.read(folder).provenance["rewritten"]] == ["1", "2"]


def test_a_model_of_one_file_and_without_figures(folder: Path, tmp_path: Path) -> None:
    (folder / INT8_FILE).unlink()
    ModelCard.read(folder).model_copy(update={"int8": None, "metrics": {}}).write(folder)
    data = write_galaxies(tmp_path / "g.h5", 8, validation=0)
    result = training("rewrite", folder, "--data", data, "--version", "2")
    assert result.exit_code == 0, result.output
    card = ModelCard.read(folder)
    assert (card.int8, card.provenance["rewritten"][0]["against_before"]["images"]) == (None, 8)


@pytest.mark.parametrize(
    ("version", "galaxies", "said"),
    [("1", None, "is of the version 1 already"), ("2", 12, "was measured on other galaxies than")],
)
def test_what_would_be_taken_for_something_else_is_refused(
    older: Exported, folder: Path, tmp_path: Path, version: str, galaxies: int | None, said: str
) -> None:
    data = older.data if galaxies is None else write_galaxies(tmp_path / "g.h5", galaxies, validation=4)
    result = training("rewrite", folder, "--data", data, "--version", version)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def in_scores(said: Predictions) -> NDArray[np.float32]:
    return said.scores


def in_error_bars(said: Predictions) -> NDArray[np.float32]:
    assert said.uncertainty is not None
    return said.uncertainty


@pytest.mark.parametrize(("where", "by", "what"), [(in_scores, 1e-7, "scores"), (in_error_bars, 1e-5, "uncertainty")])
def test_files_that_say_something_else_are_refused_and_nothing_changes(
    older: Exported,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Callable[[Predictions], NDArray[np.float32]],
    by: float,
    what: str,
) -> None:
    def otherwise(path: Path, images: Pixels) -> Predictions:
        said = predict_onnx(path, images)
        if path.name != MODEL_FILE:
            # The one that was made.
            where(said)[3, 5] += np.float32(by)
        return said

    monkeypatch.setattr(rewrite_module, "predict_onnx", otherwise)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    result = training("rewrite", folder, "--data", older.data, "--version", "2")
    assert result.exit_code == 2
    assert f"model.onnx says another {what} when rewritten: by" in " ".join(result.stderr.split())
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_a_folder_without_a_model_is_refused(older: Exported, tmp_path: Path) -> None:
    result = training("rewrite", tmp_path, "--data", older.data, "--version", "2")
    assert result.exit_code == 2
    assert "holds no model with a card" in " ".join(result.stderr.split())


def test_quantise_does_so_to_an_older_model_by_itself(older: Exported, folder: Path) -> None:
    result = training("quantise", folder, "--data", older.data, "--images=8")
    assert result.exit_code == 0, result.output
    assert uneven(onnx.load(folder / MODEL_FILE)) == ["log"]
    assert uneven(onnx.load(folder / INT8_FILE)) == []
