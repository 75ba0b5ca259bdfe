"""Parts of the galaxies that follow from their names alone, so that they stay as data grow."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from training.arrays import Galaxies


def part_of(name: str) -> float:
    """Return a number from 0 to 1, spread evenly over names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def in_fold(galaxies: Galaxies, folds: int, fold: int) -> NDArray[np.bool_]:
    """Return which galaxies are held out in one fold of a cross-validation: bool [N].

    Only galaxies that may be learnt from and have all votes are ever held out.
    """
    own = np.array([int(part_of(f"fold:{name}") * folds) == fold for name in galaxies.names], dtype=np.bool_)
    return own & galaxies.learning & ~np.isnan(galaxies.votes).any(axis=1)
