"""``python -m training``: help for all, and a sentence for whoever misuses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from galaxytree.options import Options
from tests.training.conftest import training
from training import cli
from training.calibrate import CalibrateSettings
from training.cli import EvaluateSettings
from training.compare.settings import CompareSettings
from training.experiment.cli import ExperimentSettings
from training.explore.settings import ExploreSettings
from training.export import ExportSettings
from training.prepare import PrepareSettings
from training.quantise import QuantiseSettings
from training.settings import TrainSettings
from training.teach import TeachSettings

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, type[Options]] = {
    "prepare": PrepareSettings,
    "train": TrainSettings,
    "teach": TeachSettings,
    "evaluate": EvaluateSettings,
    "calibrate": CalibrateSettings,
    "export": ExportSettings,
    "quantise": QuantiseSettings,
    "compare": CompareSettings,
    "experiment": ExperimentSettings,
    "explore": ExploreSettings,
}


def test_the_module_runs_and_lists_its_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", "--help"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_names_every_option_and_variable(command: str) -> None:
    result = training(command, "--help")
    assert result.exit_code == 0
    settings = COMMANDS[command]
    for name in settings.model_fields:
        assert f"--{name.replace('_', '-')}" in result.stdout
        assert settings.env_prefix + name.upper() in result.stdout


@pytest.mark.parametrize("settings", COMMANDS.values())
def test_every_option_is_described(settings: type[Options]) -> None:
    assert settings.env_prefix.startswith("GALAXYTREE_")
    for name, field in settings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "No such command 'fly'"),
        (["train", "--epochs=0"], "--epochs (GALAXYTREE_TRAIN_EPOCHS): Input should be greater than 0"),
        (["train", "--seed=2147483648"], "--seed (GALAXYTREE_TRAIN_SEED): Input should be less than 2147483648"),
        (["train", "--epochs=many"], "--epochs"),
        (["train", "--network=resnet"], "--network"),
        (
            ["train", "--rotation=181"],
            "--rotation (GALAXYTREE_TRAIN_ROTATION): Input should be less than or equal to 180",
        ),
        (["train", "--speed=3"], "--speed"),
        (["prepare", "nowhere"], "nowhere"),
        (["prepare", "--size=8"], "--size (GALAXYTREE_PREPARE_SIZE): Input should be greater than or equal to 32"),
        (["evaluate", "--format=xml"], "--format"),
        (["evaluate", "--precision=int4"], "--precision"),
        (["quantise", "--images=0"], "--images (GALAXYTREE_QUANTISE_IMAGES): Input should be greater than 0"),
        (["quantise", "--data=nowhere.h5"], "there is no nowhere.h5"),
        (["export", "--name="], "--name (GALAXYTREE_EXPORT_NAME): "),
        (["export", "--name=.."], "--name (GALAXYTREE_EXPORT_NAME): "),
        (["export", "--name=a/b"], "--name (GALAXYTREE_EXPORT_NAME): "),
        (["train", "--data=nowhere.h5", "--run=nowhere"], "there is no nowhere.h5"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_status_2(
    words: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = training(*words)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_prepare_without_sources_and_without_the_usual_folder_says_what_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "DATA_FOLDER", tmp_path / "none")
    result = training("prepare")
    assert result.exit_code == 2
    assert "name the folders and files to read" in result.stderr


def test_prepare_without_sources_reads_the_usual_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "DATA_FOLDER", tmp_path)
    result = training("prepare", "--output", tmp_path / "g.h5")
    assert result.exit_code == 2
    assert "0 rows of votes were read" in " ".join(result.stderr.split())


def test_without_what_training_needs_a_sentence_says_how_to_install_it() -> None:
    # As after `make serve` alone.
    without = "import runpy, sys; sys.modules['h5py'] = None; runpy.run_module('training', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: training is not installed here (there is no h5py); `make train` installs it\n"
