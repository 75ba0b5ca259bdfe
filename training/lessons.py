"""What each galaxy teaches: its votes, a teacher's word where there are none, and the bounds of what is not known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.arrays import Galaxies
from training.losses import beyond_bounds, squared_error

NAMES = "names"
SCORES = "scores"


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


def write_targets(path: Path, names: Sequence[str], scores: NDArray[np.float32], columns: Sequence[str]) -> None:
    """Keep a teacher's scores [N, columns] of the galaxies of these names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(NAMES, data=np.array(list(names), dtype=object), dtype=h5py.string_dtype())
        file[SCORES] = scores
        file.attrs["columns"] = list(columns)


def read_targets(path: Path, galaxies: Galaxies) -> NDArray[np.float32]:
    """Read a teacher's scores of these galaxies: float32 [N, columns], NaN where it gave none.

    Raises
    ------
    TargetsError
        If the file is missing, no such file, or of another tree.
    """
    try:
        with h5py.File(path, "r") as file:
            names, scores = file[NAMES].asstr()[:], file[SCORES][:]
            columns = tuple(file.attrs["columns"])
    except (OSError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} holds no teacher's scores; make it with: python -m training teach"
        raise TargetsError(msg) from error
    if columns != galaxies.tree.columns:
        msg = f"{path} holds scores of another tree than {galaxies.tree.name}"
        raise TargetsError(msg)
    row = {str(name): number for number, name in enumerate(names)}
    found = np.array([row.get(str(name), -1) for name in galaxies.names], dtype=np.intp)
    targets = np.full((len(galaxies), len(columns)), np.nan, np.float32)
    targets[found >= 0] = scores[found[found >= 0]]
    return targets
