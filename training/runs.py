"""The folder of a training run: checkpoints that survive a kill at any moment, settings, metrics, provenance."""

import json
import os
import platform
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from training.settings import TrainSettings

CHECKPOINT_FILE = "checkpoint.pt"
WEIGHTS_FILE = "weights.pt"
RECORD_FILE = "run.json"

# These may change when a run is taken up again. They say where and how it is computed, not what; but sums are rounded
# otherwise on another device, with another number of threads, or, with several processes, at other checkpoints, so that
# the last bits of the result may differ.
# Files are told by their contents, not by where they lie.
_FILES = {"initial", "targets", "population"}
_FREE_TO_CHANGE = {"run", "data", "threads", "device", "checkpoint_steps"} | _FILES


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
    """Load what `write_checkpoint` saved, onto the CPU; None if there is nothing, RunError if it is damaged."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        msg = f"{path} is damaged ({str(error).splitlines()[0]})"
        raise RunError(msg) from error
    return state


def write_record(run: Path, record: dict[str, Any]) -> None:
    """Write the run's settings, provenance and metrics as JSON."""
    write_json(run / RECORD_FILE, record)


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write facts as JSON."""
    text = json.dumps(facts, indent=2, default=str) + "\n"
    write_safely(path, lambda file: file.write(text.encode()))


def read_record(run: Path) -> dict[str, Any]:
    """Read what `write_record` wrote; RunError if there is nothing."""
    try:
        record: dict[str, Any] = json.loads((run / RECORD_FILE).read_text("utf-8"))
    except OSError as error:
        msg = f"{run} holds no run; train one with: python -m training train --run {run}"
        raise RunError(msg) from error
    return record


def members_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what there is on each run that a run is the mean of (see `training.average`), or on itself."""
    members: list[dict[str, Any]] = record.get("averaged", [record])
    return members


def taken_up(record: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a run that is taken up again, with its history.

    Parameters
    ----------
    record : dict
        What this start would write down if it were the first.
    earlier : dict
        What the earlier starts wrote down.

    Raises
    ------
    RunError
        If settings, data or the number of processes are not those that the run was started with.
    """
    current, saved = record["settings"], earlier["settings"]
    if changed := differences(saved, current, _FREE_TO_CHANGE):
        msg = f"the run was started with other settings ({', '.join(changed)}); give them again, or another --run"
        raise RunError(msg)
    now = record["made_from"]
    # Not written down by earlier versions, of which those that name no file were made from votes alone.
    unknown = now if any(saved.get(key) for key in _FILES) else {}
    before = earlier.get("made_from", unknown)
    others = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if others:
        msg = f"the run was started with other {', '.join(others)}; give the same files, or another --run"
        raise RunError(msg)
    if earlier["data"]["sha256"] != record["data"]["sha256"]:
        msg = f"{current['data']} is not the file that the run was started with; give that one, or another --run"
        raise RunError(msg)
    # A run that was started before this was written down had one process.
    if (processes := earlier.get("world", 1)) != record["world"]:
        msg = (
            f"the run was started with {processes} processes, now there are {record['world']}; start as many "
            f"(torchrun --nproc-per-node={processes}), or give another --run"
        )
        raise RunError(msg)
    machines = earlier.get("machines", [earlier["machine"]])
    machines += [each for each in record["machines"] if each not in machines]
    return record | {"commit": earlier["commit"], "machine": earlier["machine"], "machines": machines}


def differences(saved: Mapping[str, Any], current: Mapping[str, Any], free: Collection[str]) -> list[str]:
    """Say in which settings, ready for JSON, two runs differ, but for free ones; what was not there had its default."""
    defaults = TrainSettings().model_dump(mode="json")
    both = [key for key in {**current, **saved} if key not in free]
    values = [(key, saved.get(key, defaults.get(key)), current.get(key, defaults.get(key))) for key in both]
    return [f"{key} was {was}, now {now}" for key, was, now in values if was != now]


def git_commit() -> str:
    """Return the commit of the working copy; ``unknown`` outside of one.

    With ``-dirty`` if files differ from it that decide a run: all but documents and results, which training writes.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":/!docs", ":/!experiments/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(  # noqa: S603  (words of our own)
        ["git", *words],  # noqa: S607
        cwd=Path(__file__).parent,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()


def machine() -> dict[str, Any]:
    """Describe what the run ran on."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
