"""The folder of a training run: checkpoints that survive a kill at any moment, settings, metrics, provenance."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from galaxytree.options import Options

CHECKPOINT_FILE = "checkpoint.pt"
WEIGHTS_FILE = "weights.pt"
RECORD_FILE = "run.json"

# These may change when a run is taken up again: they do not decide its result.
_FREE_TO_CHANGE = {"run", "data", "threads", "device", "checkpoint_steps"}


class RunError(RuntimeError):
    """A run that can't be started or taken up again; the message says why and what to do."""


def write_safely(path: Path, write: Any) -> None:  # noqa: ANN401  (callable on a binary file)
    """Write a file so that, whenever the process is killed, either the old or the new one is there, whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values."""
    write_safely(path, lambda file: torch.save(state, file))


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Load what `write_checkpoint` saved, onto the CPU; None if there is nothing."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_record(run: Path, record: dict[str, Any]) -> None:
    """Write the run's settings, provenance and metrics as JSON."""
    text = json.dumps(record, indent=2, default=str) + "\n"
    write_safely(run / RECORD_FILE, lambda file: file.write(text.encode()))


def read_record(run: Path) -> dict[str, Any]:
    """Read what `write_record` wrote; RunError if there is nothing."""
    try:
        record: dict[str, Any] = json.loads((run / RECORD_FILE).read_text("utf-8"))
    except OSError as error:
        msg = f"{run} holds no run; train one with: python -m training train --run {run}"
        raise RunError(msg) from error
    return record


def hold_against(settings: Options, saved: dict[str, Any]) -> None:
    """Refuse to take up a run under other settings than it was started with."""
    current = settings.model_dump(mode="json")
    changed = [key for key in saved if key not in _FREE_TO_CHANGE and saved[key] != current.get(key)]
    if changed:
        was = ", ".join(f"{key} was {saved[key]}, now {current.get(key)}" for key in changed)
        msg = f"the run was started with other settings ({was}); give them again, or another --run"
        raise RunError(msg)


def git_commit() -> str:
    """Return the commit of the working copy, with ``-dirty`` if files differ from it; ``unknown`` outside of one."""
    here = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=here,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Describe what the run ran on."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
