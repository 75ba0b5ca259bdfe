"""The exported file: whatever runs it gets what PyTorch gets, and nothing of this machine."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from galaxytree.card import ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING
from tests.training.conftest import Exported, Run, training
from tests.training.galaxies import draw, write_galaxies
from training import export as export_module
from training.arrays import read_galaxies
from training.describe import _SELECTED, licence_of, provenance_of
from training.evaluate import split_sha256
from training.export import ExportSettings, export
from training.networks.classifier import GalaxyClassifier
from training.predict import Predictions, predict
from training.runs import read_record
from training.trained import trained

ROOT = Path(__file__).parents[2]
REAL = ROOT / ".." / "shared" / "galaxy-zoo"
TREE = load_tree("galaxy-zoo-2")


@pytest.fixture(scope="module")
def session(exported: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def network(run: Run) -> GalaxyClassifier:
    return trained(run.folder, TREE)[0]


def changed(run: Run, folder: Path, **changes: Any) -> Path:  # noqa: ANN401  (anything that JSON holds)
    """Copy what export reads of a run, with another record."""
    folder.mkdir()
    shutil.copy(run.folder / "weights.pt", folder)
    (folder / "run.json").write_text(json.dumps(read_record(run.folder) | changes), "utf-8")
    return folder


def written_before(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the file of the same network that was exported already; that takes its seconds."""
    monkeypatch.setattr(export_module, "_write", lambda *given: shutil.copy(exported.folder / "model.onnx", given[2]))


def test_the_file_is_alone_and_sound(exported: Exported) -> None:
    assert {path.name for path in exported.folder.iterdir()} == {"model.onnx", "card.json"}
    onnx.checker.check_model(str(exported.folder / "model.onnx"), full_check=True)


def test_pixels_go_in_and_consistent_scores_come_out(session: onnxruntime.InferenceSession) -> None:
    (images,) = session.get_inputs()
    scores, evidence = session.get_outputs()
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [144, 144, 3])
    assert (scores.name, scores.type, scores.shape[1:]) == ("scores", "tensor(float)", [37])
    assert (evidence.name, evidence.shape[:2]) == ("evidence", [scores.shape[0], 37])
    assert isinstance(images.shape[0], str), "the number of images is free"


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_images_gets_the_scores_that_pytorch_gives(
    session: onnxruntime.InferenceSession, network: GalaxyClassifier, count: int
) -> None:
    images = np.stack([draw(thin=bool(seed % 2), seed=100 + seed) for seed in range(count)])
    scores = session.run(["scores"], {"images": images})[0]
    assert scores.shape == (count, 37)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, predict(network, images, torch.device("cpu")), rtol=0, atol=1e-4)
    TREE.check(scores, tolerance=1e-6)


def test_extreme_pictures_have_consistent_scores_too(session: onnxruntime.InferenceSession) -> None:
    random = np.random.default_rng(1).integers(0, 256, (2, 144, 144, 3), np.uint8)
    flat = np.stack([np.zeros((144, 144, 3), np.uint8), np.full((144, 144, 3), 255, np.uint8)])
    TREE.check(session.run(["scores"], {"images": np.concatenate([random, flat])})[0], tolerance=1e-6)


def test_the_file_says_what_it_is(session: onnxruntime.InferenceSession) -> None:
    said = session.get_modelmeta().custom_metadata_map
    assert set(said) == {"name", "version", "tree", "columns", "framing", "evidence"}
    assert (said["name"], said["tree"]) == ("made-up", "galaxy-zoo-2")
    assert json.loads(said["columns"]) == list(TREE.columns)
    assert json.loads(said["framing"]) == {"size": 144, "field": 288 / 424}


def test_nothing_of_this_machine_is_in_the_file_or_the_card(exported: Exported, run: Run) -> None:
    for name in ("model.onnx", "card.json"):
        data = (exported.folder / name).read_bytes()
        for private in (
            str(ROOT),
            "site-packages",
            "/training/networks",
            '.py"',
            ".py:",
            str(run.folder),
            str(run.data),
        ):
            assert private.encode() not in data, (name, private)


def test_the_card_tells_all(exported: Exported, run: Run) -> None:
    card = ModelCard.read(exported.folder)
    record = read_record(run.folder)
    assert card.sha256 == sha256_of(exported.folder / "model.onnx")
    assert (card.name, card.tree, card.columns) == ("made-up", "galaxy-zoo-2", TREE.columns)
    assert card.framing == GALAXY_ZOO_FRAMING
    assert card.network["architecture"] == "efficientnet-lite0"
    assert 3_371_008 < card.network["parameters"] < 3_500_000
    assert card.network["multiply_adds"] > 1e6
    assert card.provenance["galaxies"]["sha256"] == sha256_of(run.data)
    assert card.provenance["commit"] == record["commit"]
    assert card.provenance["initial_weights"] == "random"
    assert card.provenance["processes"] == 1
    assert card.provenance["machines"] == [record["machine"]]
    assert card.metrics["split"].startswith("validation: 16 galaxies")
    names = sorted(f"made-up-{number}" for number in range(64, 80))
    assert card.metrics["validation_sha256"] == hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert set(TREE.references) < set(card.citations)
    assert "ImageNet" not in card.licence
    assert card.metrics["pytorch_against_onnx_runtime"]["largest_difference"] <= 1e-4
    assert 0 < card.metrics["rmse"] < 1
    text = " ".join([*card.citations, card.licence, card.provenance["images"], card.provenance["votes"]])
    for source in ("Willett", "Lintott", "Sloan Digital Sky Survey", "Galaxy Zoo 2", "Kaggle"):
        assert source in text
    said = re.search(rf"made-up {card.version}: RMSE ([0-9.]+), sha256 {card.sha256}", exported.result.stdout)
    assert said is not None
    assert float(said[1]) == pytest.approx(card.metrics["rmse"], abs=1e-5)


def test_the_card_says_what_the_array_file_says_of_its_galaxies(
    exported: Exported, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_before(exported, monkeypatch)
    galaxies = read_galaxies(run.data)
    told = replace(galaxies, provenance={"votes": "votes of a neighbour", "images": "pictures of his"})
    monkeypatch.setitem(_SELECTED, split_sha256(galaxies.where(galaxies.validation)), "The brightest ones only.")
    card = export(ExportSettings(run=run.folder, data=run.data, models=tmp_path), told)
    assert card == ModelCard.read(tmp_path / card.name)
    assert (card.provenance["votes"], card.provenance["images"]) == ("votes of a neighbour", "pictures of his")
    assert "votes of a neighbour; pictures of his." in card.licence
    assert "Kaggle" not in card.licence
    assert card.limits.endswith(": nothing checks for that. The brightest ones only.")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real galaxies are not at {REAL}")
def test_what_is_known_of_the_fixed_split_is_told_of_it() -> None:
    (_, *names) = (REAL / "validation_ids.csv").read_text("utf-8").split()
    assert set(_SELECTED) == {hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()}


def test_what_was_learnt_from_is_said_in_words(run: Run) -> None:
    galaxies, record = read_galaxies(run.data), read_record(run.folder)
    assert provenance_of(record, galaxies)["labels"] == "56 galaxies with all votes, 8 with some"
    for changes, words in (
        ({"bounds": 1.0}, "bounds of votes of 0, from their classes"),
        ({"targets": "targets.h5"}, "scores of networks trained before"),
    ):
        changed = record | {"settings": record["settings"] | changes}
        assert words in provenance_of(changed, galaxies)["labels"]
    begun = record | {"settings": record["settings"] | {"initial": "runs/earlier"}, "origin": "ImageNet (…)"}
    wanted = "ImageNet (…), then those of an earlier run on the same galaxies"
    assert provenance_of(begun, galaxies)["initial_weights"] == wanted
    assert "Apache-2.0" in licence_of(begun, galaxies)
    assert "runs/earlier" not in str(provenance_of(begun, galaxies))


def test_runs_that_were_written_down_before_processes_and_machines_were_are_told_of(run: Run) -> None:
    record = read_record(run.folder)
    machine = record["machine"]
    del record["machines"], record["world"]
    told = provenance_of(record, read_galaxies(run.data))
    assert (told["processes"], told["machines"]) == (1, [machine])


def test_without_a_validation_split_nothing_is_measured(
    exported: Exported, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_before(exported, monkeypatch)
    data = write_galaxies(tmp_path / "g.h5", 3, validation=0)
    other = changed(run, tmp_path / "run", data={"sha256": sha256_of(data), "training": 3, "validation": 0})
    result = training("export", "--run", other, "--data", data, "--models", tmp_path, "--name=unmeasured")
    assert result.exit_code == 0, result.output
    card = ModelCard.read(tmp_path / "unmeasured")
    assert card.metrics == {}


def test_a_file_that_does_not_do_what_the_network_does_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def otherwise(path: Path, images: np.ndarray) -> Predictions:
        assert path.is_file()
        return Predictions(np.full((len(images), 37), 0.5, np.float32))

    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "model.onnx").write_bytes(b"a good one")
    (tmp_path / "wrong" / "card.json").write_bytes(b"its card")
    monkeypatch.setattr(export_module, "_write", lambda *given: given[2].write_bytes(b"another network"))
    monkeypatch.setattr(export_module, "predict_onnx", otherwise)
    result = training("export", "--run", run.folder, "--data", run.data, "--models", tmp_path, "--name=wrong")
    assert result.exit_code == 2
    assert "PyTorch and ONNX Runtime differ by" in result.stderr
    assert (tmp_path / "wrong" / "model.onnx").read_bytes() == b"a good one"
    assert (tmp_path / "wrong" / "card.json").read_bytes() == b"its card"
    assert [path.name for path in tmp_path.iterdir()] == ["wrong"], "nothing else is left behind"


def test_a_run_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    result = training("export", "--run", tmp_path / "none", "--data", run.data, "--models", tmp_path)
    assert result.exit_code == 2
    assert "holds no run; train one with" in " ".join(result.stderr.split())


def test_other_data_are_refused(run: Run, tmp_path: Path) -> None:
    # The galaxies that the run was trained on would be the ones it is measured on.
    other = write_galaxies(tmp_path / "other.h5", 80, validation=70)
    result = training("export", "--run", run.folder, "--data", other, "--models", tmp_path / "models")
    assert result.exit_code == 2
    assert f"is not the file that {run.folder} was trained on".replace(" ", "") in "".join(result.stderr.split())
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("changes", [{"tree": "candels"}, {"framing": {"size": 96, "field": 1.0}}])
def test_data_of_another_tree_or_framing_are_refused(run: Run, tmp_path: Path, changes: dict[str, Any]) -> None:
    other = changed(run, tmp_path / "run", **changes)
    result = training("export", "--run", other, "--data", run.data, "--models", tmp_path / "models")
    assert result.exit_code == 2
    assert "was trained on the tree" in " ".join(result.stderr.split())
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("weights", [False, True])
def test_a_run_that_is_not_finished_is_refused(run: Run, tmp_path: Path, *, weights: bool) -> None:
    # Weights may be there all the same, those of a run that lay in the folder before.
    unfinished = changed(run, tmp_path / "run", finished=not weights)
    if not weights:
        (unfinished / "weights.pt").unlink()
    result = training("export", "--run", unfinished, "--data", run.data, "--models", tmp_path / "models")
    assert result.exit_code == 2
    assert "is not finished; go on with" in " ".join(result.stderr.split())
    assert not (tmp_path / "models").exists()
