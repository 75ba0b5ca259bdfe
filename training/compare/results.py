"""What is known of a finished system: a JSON file each, which tells under what terms it was found."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from training.runs import write_safely


class CompareError(ValueError):
    """A comparison that can't be made, read or written; the message says why, and what to do."""


class Terms(BaseModel):
    """All that decides a result, so that it is known whether one still holds.

    Attributes
    ----------
    galaxies_seen, batch_size, seed, precision
        As in `training.compare.settings.CompareSettings`.
    learning_rate, weight_decay, warmup
        Of AdamW and its schedule; no learning rate for a regression.
    system_sha256
        Digest of the system: its network, how it looks, what it minimises.
    data_sha256
        Digest of the array file.
    learning, validation
        Galaxies that may be learnt from, and that are measured on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    galaxies_seen: int
    batch_size: int
    seed: int
    precision: str
    learning_rate: float | None
    weight_decay: float
    warmup: float
    system_sha256: str
    data_sha256: str
    learning: int
    validation: int


class Machine(BaseModel):
    """What a system was trained on; see `training.runs.machine`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    device: str
    gpu: str | None
    threads: int
    torch: str


class Result(BaseModel):
    """What was found of a system.

    Attributes
    ----------
    system
        Its name.
    terms
    commit
        Of the working copy in which it was trained.
    rmse, rmse_of_question, accuracy
        As `training.compare.measuring.errors` returns them.
    parameters, multiply_adds
        Its size, and what one galaxy costs it with all its views.
    images_per_second
        In training; None for a regression.
    minutes
        Of training and measuring.
    loss
        Means over the first and the last tenth of the steps; None for a regression.
    machine
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    terms: Terms
    commit: str
    rmse: float | None
    rmse_of_question: float | None
    accuracy: float | None
    parameters: int
    multiply_adds: int
    images_per_second: float | None
    minutes: float
    loss: tuple[float, float] | None
    machine: Machine


def path_of(folder: Path, system: str) -> Path:
    """Return where the result of a system lies."""
    return folder / f"{system}.json"


def write_result(folder: Path, result: Result) -> None:
    """Keep what is known of a system, whole or not at all."""
    text = result.model_dump_json(indent=2) + "\n"
    write_safely(path_of(folder, result.system), lambda file: file.write(text.encode()))


def read_result(folder: Path, system: str, terms: Terms) -> Result | None:
    """Read what was found of a system under the same terms; None if it was found under others.

    Raises
    ------
    CompareError
        If the file is no result, or is damaged.
    """
    path = path_of(folder, system)
    try:
        found: Any = json.loads(path.read_bytes())
        if not isinstance(found, dict) or found.get("system") != system or not isinstance(found.get("terms"), dict):
            msg = f"it holds no result of {system}"
            raise ValueError(msg)  # noqa: TRY301  (one sentence for all that a file can be in place of a result)
        # Before the rest is looked at: an older version may have written down less, and is to be replaced.
        return Result.model_validate(found) if found["terms"] == terms.model_dump() else None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        msg = f"{path} can't be used ({reason}); delete it, so that {system} is trained anew, or give another --output"
        raise CompareError(msg) from error
