"""What each galaxy teaches: its votes, a teacher's word where there are none, and the bounds of what is not known."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.arrays import Galaxies
from training.losses import beyond_bounds, squared_error

_NAMES = "names"
_SCORES = "scores"


class TargetsError(ValueError):
    """A file of a teacher's scores that can't be used; the message says why."""


@dataclass(frozen=True)
class Lessons:
    """Lessons of N galaxies.

    Attributes
    ----------
    votes : float32, shape [N, columns]
        The volunteers' where they are known, a teacher's scores where it gave some; else NaN.
    weights : float32, shape [N, columns]
        How much each counts.
    lower, upper : float32, shape [N, columns]
        Where the vote lies.
    unknown : bool, shape [N, columns]
        Where nothing else is known of it.
    """

    votes: Tensor
    weights: Tensor
    lower: Tensor
    upper: Tensor
    unknown: Tensor

    def at(self, chosen: Tensor, device: torch.device) -> "Lessons":
        """Return those of some galaxies, on a device."""
        parts = (self.votes, self.weights, self.lower, self.upper, self.unknown)
        return Lessons(*(part[chosen].to(device) for part in parts))

    def loss(self, scores: Tensor, bounds: float) -> Tensor:
        """Return what is minimised; `bounds` is how much a score out of its bounds counts against one off its vote."""
        error = squared_error(scores, self.votes, self.weights)
        if bounds:
            error = error + bounds * beyond_bounds(scores, self.lower, self.upper, self.unknown)
        return error


def lessons_of(
    galaxies: Galaxies,
    targets: NDArray[np.float32] | None = None,
    targets_weight: float = 1.0,
    galaxy_weights: NDArray[np.float64] | None = None,
) -> Lessons:
    """Put together what galaxies teach.

    Parameters
    ----------
    galaxies : Galaxies
    targets : float32, shape [N, columns], optional
        A teacher's scores, NaN where it gave none; used where no vote is known.
    targets_weight : float
        How much they count against a vote.
    galaxy_weights : float, shape [N], optional
        How much each galaxy counts.

    Returns
    -------
    Lessons
        Of N galaxies, on the CPU.
    """
    known = ~np.isnan(galaxies.votes)
    votes, weights = galaxies.votes, np.ones_like(galaxies.votes)
    if targets is not None:
        votes = np.where(known, votes, targets)
        weights[~known] = targets_weight
    if galaxy_weights is not None:
        weights *= galaxy_weights[:, None].astype(np.float32)
    return Lessons(
        torch.from_numpy(votes),
        torch.from_numpy(weights),
        torch.from_numpy(galaxies.lower),
        torch.from_numpy(galaxies.upper),
        torch.from_numpy(np.isnan(votes)),
    )


@dataclass(frozen=True)
class Taught:
    """Where a teacher's scores come from.

    Attributes
    ----------
    data_sha256
        Of the array file.
    fold
        Which part of how many the teachers did not see, in a cross-validation.
    teachers
        SHA-256 of the weights of each.
    """

    data_sha256: str
    fold: tuple[int, int] | None
    teachers: tuple[str, ...]


def write_targets(path: Path, galaxies: Galaxies, scores: NDArray[np.float32], taught: Taught) -> None:
    """Keep a teacher's scores [N, columns] of galaxies; the file appears under its name when all is written."""
    partial = path.with_name(path.name + ".partial")
    with h5py.File(partial, "w") as file:
        names = np.array([str(name) for name in galaxies.names], dtype=object)
        file.create_dataset(_NAMES, data=names, dtype=h5py.string_dtype())
        file[_SCORES] = scores
        file.attrs["columns"] = json.dumps(galaxies.tree.columns)
        file.attrs["taught"] = json.dumps(asdict(taught))
    partial.replace(path)


def read_targets(
    path: Path, galaxies: Galaxies, fold: tuple[int, int] | None = None
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Read a teacher's scores of galaxies.

    Parameters
    ----------
    path : Path
    galaxies : Galaxies
        Of the array file whose galaxies were scored.
    fold : tuple of int, optional
        Which part of how many is held out.

    Returns
    -------
    scores : float32, shape [N, columns]
        NaN where the teacher gave none.
    teachers : tuple of str
        SHA-256 of the weights of each.

    Raises
    ------
    TargetsError
        If the file is missing, no such file, of other galaxies, or by teachers who saw what is to be held out.
    """
    try:
        with h5py.File(path, "r") as file:
            names, scores = [str(name) for name in file[_NAMES].asstr()[:]], file[_SCORES][:]
            columns, told = tuple(json.loads(file.attrs["columns"])), json.loads(file.attrs["taught"])
        held = told["fold"]
        taught = Taught(told["data_sha256"], None if held is None else (held[0], held[1]), tuple(told["teachers"]))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} holds no teacher's scores; make it with: python -m training teach"
        raise TargetsError(msg) from error
    if columns != galaxies.tree.columns or taught.data_sha256 != galaxies.sha256:
        # Names alone do not tell a galaxy: Kaggle and the public release number different ones alike.
        msg = f"{path} holds scores of the galaxies of another array file; let the teachers score those of this one"
        raise TargetsError(msg)
    if taught.fold != fold:
        msg = f"{path} was taught by runs that did not hold out the same galaxies"
        raise TargetsError(msg)
    if scores.shape != (len(names), len(columns)):
        msg = f"{path} is damaged: it holds scores of the shape {list(scores.shape)} for {len(names)} galaxies"
        raise TargetsError(msg)
    row = {name: number for number, name in enumerate(names)}
    found = np.array([row.get(str(name), -1) for name in galaxies.names], dtype=np.intp)
    targets = np.full((len(galaxies), len(columns)), np.nan, np.float32)
    targets[found >= 0] = scores[found[found >= 0]]
    return targets, taught.teachers
