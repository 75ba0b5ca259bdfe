"""Trains one tiny network and exports it, for all who want one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from tests.training.galaxies import write_galaxies
from training.cli import main

TINY = (
    "--no-imagenet", "--resolution=32", "--batch-size=8", "--epochs=3", "--learning-rate=0.01", "--dropout=0.1",
    "--precision=float32", "--threads=1", "--device=cpu", "--checkpoint-steps=3",
)  # fmt: skip
"""Options of a run that takes seconds; with one thread its arithmetic is the same every time."""

Command = Sequence[str | Path]


def training(*words: str | Path) -> Result:
    """Run ``python -m training`` in this process."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Run:
    """A finished run, and what the command printed."""

    folder: Path
    data: Path
    result: Result


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 galaxies, 16 of them for validation."""
    return write_galaxies(tmp_path_factory.mktemp("data") / "galaxies.h5")


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train without an interruption."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = training("train", "--data", data, "--run", folder, *TINY)
    assert result.exit_code == 0, result.output
    return Run(folder, data, result)


@dataclass(frozen=True)
class Exported:
    """An exported model, and what the command printed."""

    folder: Path
    data: Path
    result: Result


@pytest.fixture(scope="session")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export the run's network as ONNX with its card."""
    models = tmp_path_factory.mktemp("models")
    result = training("export", "--run", run.folder, "--data", run.data, "--models", models, "--name", "made-up")
    assert result.exit_code == 0, result.output
    return Exported(models / "made-up", run.data, result)
