"""Evaluating the model file as it ships."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from galaxytree.card import SHIPPED_MODEL, ModelCard
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import Framing
from tests.tiny_model import write_model
from tests.training.conftest import Exported, training
from tests.training.galaxies import write_galaxies
from training import cli
from training.arrays import read_galaxies
from training.evaluate import SHIPPED, Evaluation, split_sha256
from training.plots import plot_scores
from training.predict import predict_onnx

ROOT = Path(__file__).parents[2]
REAL = ROOT / ".." / "shared" / "galaxy-zoo"
TREE = load_tree("galaxy-zoo-2")


def test_the_figures_are_printed(exported: Exported) -> None:
    result = training("evaluate", exported.folder, "--data", exported.data, "--views=1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    rmse = ModelCard.read(exported.folder).metrics["rmse"]
    assert lines[0] == "made-up 1"
    assert lines[1] == f"RMSE {rmse:.4f} over 37 columns of 16 galaxies, one view"
    for question in TREE.questions:
        (line,) = [line for line in lines if line.startswith(f"{question.id} ")]
        assert question.text in line
    assert len([line for line in lines if line.startswith("Class")]) == 37
    assert lines[2] == ""
    assert "(nobody was asked)" in result.stdout
    assert "100.0% of   16" in result.stdout


def test_the_figures_are_json_that_any_program_reads(exported: Exported) -> None:
    result = training("evaluate", exported.folder, "--data", exported.data, "--format=json")
    assert result.exit_code == 0, result.output

    def refuse(word: str) -> float:
        pytest.fail(f"{word} is no JSON")

    figures = json.loads(result.stdout, parse_constant=refuse)
    assert set(figures) == {
        "rmse", "by_question", "by_column", "agreement", "galaxies", "views", "coverage", "flagged", "precision",
        "caution", "other_views", "strange",
    }  # fmt: skip
    assert figures["precision"] == "fp32"
    assert figures["coverage"] is None
    assert figures["strange"] == {}
    assert figures["caution"] is None
    assert figures["galaxies"] == 16
    metrics = ModelCard.read(exported.folder).metrics
    assert figures["rmse"] == pytest.approx(metrics["rmse"], abs=1e-12), "whoever rounds the two sees the same"
    assert figures["other_views"][0]["rmse"] == pytest.approx(metrics["eight_views"]["rmse"], abs=1e-12)
    assert list(figures["by_column"]) == list(TREE.columns)
    assert figures["agreement"]["Q6"] == [1.0, 16]
    assert figures["agreement"]["Q11"] == [None, 0]


def test_galaxies_that_may_have_been_trained_on_are_told(exported: Exported, tmp_path: Path) -> None:
    # The same galaxies, but others of them are set aside.
    data = write_galaxies(tmp_path / "g.h5", 80, validation=20)
    warning = "the card does not say that made-up was measured on these galaxies; it may be trained on them"
    lines = training("evaluate", exported.folder, "--data", data).stdout.splitlines()
    assert lines[1].endswith("of 20 galaxies, one view")
    assert lines[2] == f"Caution: {warning}"
    figures = json.loads(training("evaluate", exported.folder, "--data", data, "--format=json").stdout)
    assert figures["caution"] == warning


def test_a_split_is_known_by_its_names_in_any_order(exported: Exported) -> None:
    galaxies = read_galaxies(exported.data)
    turned = galaxies.where(np.arange(len(galaxies))[::-1])
    assert split_sha256(turned) == split_sha256(galaxies)
    assert split_sha256(turned.where(turned.validation)) != split_sha256(galaxies)


def test_the_figures_are_those_of_the_models_scores(exported: Exported) -> None:
    galaxies = read_galaxies(exported.data)
    unseen = galaxies.where(galaxies.validation)
    predictions = predict_onnx(exported.folder / "model.onnx", unseen.images)
    squares = np.square(predictions.scores - unseen.votes, dtype=np.float64)
    evaluation = Evaluation.of(TREE, predictions, unseen.votes)
    assert evaluation.rmse == pytest.approx(math.sqrt(np.nanmean(squares)))
    assert evaluation.by_question["Q7"] == pytest.approx(math.sqrt(np.nanmean(squares[:, TREE.slices["Q7"]])))
    assert evaluation.rmse == pytest.approx(ModelCard.read(exported.folder).metrics["rmse"], abs=1e-5)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_predicted_and_true_votes_are_drawn(exported: Exported, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"plot.{ending}"
    result = training("evaluate", exported.folder, "--data", exported.data, "--plot", path)
    assert result.exit_code == 0, result.output
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[ending]
    assert path.read_bytes().startswith(start)
    if ending == "svg":
        drawn = path.read_text("utf-8")
        for question in TREE.questions:
            assert f"<!-- {question.id}: RMSE" in drawn


def test_a_tree_of_one_question_is_drawn(tmp_path: Path) -> None:
    scores = np.random.default_rng(1).random((9, 5), np.float32)
    plot_scores(load_tree("candels"), scores, scores, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_the_shipped_model_need_not_be_named(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever lies in a folder of that name where the command is given.
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported.folder, tmp_path / "models" / "made-up")
    result = training("evaluate", "--data", exported.data)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{SHIPPED_MODEL} ")
    named = training("evaluate", exported.folder, "--data", exported.data)
    assert named.stdout.startswith("made-up ")


def test_a_folder_without_a_model_is_refused(exported: Exported, tmp_path: Path) -> None:
    result = training("evaluate", tmp_path, "--data", exported.data)
    assert result.exit_code == 2
    assert "holds no model with a card; make one with: python -m training export" in " ".join(result.stderr.split())


def test_a_model_that_wants_other_images_is_refused(exported: Exported, tmp_path: Path) -> None:
    result = training("evaluate", write_model(tmp_path / "tiny"), "--data", exported.data)
    assert result.exit_code == 2
    assert "tiny wants the tree galaxy-zoo-2 and size=32" in " ".join(result.stderr.split())


def test_a_model_that_is_not_its_cards_is_refused(exported: Exported, tmp_path: Path) -> None:
    shutil.copytree(exported.folder, tmp_path / "model")
    with (tmp_path / "model" / "model.onnx").open("ab") as file:
        file.write(b"more")
    result = training("evaluate", tmp_path / "model", "--data", exported.data)
    assert result.exit_code == 2
    assert "model.onnx is not the file that its card describes" in " ".join(result.stderr.split())


def test_a_card_without_its_model_is_refused(exported: Exported, tmp_path: Path) -> None:
    shutil.copy(exported.folder / "card.json", tmp_path)
    result = training("evaluate", tmp_path, "--data", exported.data)
    assert result.exit_code == 2
    assert "model.onnx is not the file that its card describes" in " ".join(result.stderr.split())


def test_data_without_a_validation_split_are_refused(exported: Exported, tmp_path: Path) -> None:
    data = write_galaxies(tmp_path / "g.h5", 4, validation=0)
    result = training("evaluate", exported.folder, "--data", data)
    assert result.exit_code == 2
    assert "sets no galaxies aside for validation" in result.stderr


def test_missing_data_are_refused(exported: Exported, tmp_path: Path) -> None:
    result = training("evaluate", exported.folder, "--data", tmp_path / "none.h5")
    assert result.exit_code == 2
    assert "there is no" in result.stderr


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real galaxies are not at {REAL}")
def test_the_shipped_model_is_as_good_as_it_says(tmp_path: Path) -> None:
    # Worth its seconds: it is the one figure that everybody reads, and nothing else measures it on the file that ships.
    ids = {line.strip() for line in (REAL / "validation_ids.csv").read_text("utf-8").splitlines()}
    header, *rows = (REAL / "training_solutions_rev1.csv").read_text("utf-8").splitlines(keepends=True)
    chosen = [row for row in rows if row.partition(",")[0] in ids]
    (tmp_path / "votes.csv").write_text(header + "".join(chosen), "utf-8")
    data = tmp_path / "validation.h5"
    sources = (tmp_path / "votes.csv", REAL / "validation_ids.csv", REAL / "images-144-labels37.tar")
    assert training("prepare", *sources, "--output", data).exit_code == 0
    model = SHIPPED
    result = training("evaluate", model, "--data", data, "--format=json")
    data.unlink()
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["galaxies"] == 1500
    assert figures["rmse"] <= 0.0860
    assert figures["rmse"] == pytest.approx(ModelCard.read(model).metrics["rmse"], abs=1e-4)


def test_the_usual_array_file_is_made_when_it_is_needed(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = []

    def prepare(sources: list[Path], settings: object) -> cli.Report:
        prepared.append((sources, settings))
        write_galaxies(tmp_path / "data" / "galaxies.h5", 4, framing=Framing(size=144, field=288 / 424), validation=2)
        return cli.Report()

    monkeypatch.setattr(cli, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(cli, "prepare", prepare)
    for _ in range(2):
        result = training("evaluate", exported.folder)
        assert result.exit_code == 0, result.output
    assert prepared == [([tmp_path], cli.PrepareSettings())]
