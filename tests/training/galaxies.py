"""An easy task: round galaxies that all call smooth, and thin ones that all call edge-on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING, Framing
from training.arrays import ArrayWriter

TREE = load_tree("galaxy-zoo-2")
ROUND = ("Class1.1", "Class7.1", "Class6.2")
THIN = ("Class1.2", "Class2.1", "Class9.1", "Class6.2")


def votes_of(*answers: str, tree: DecisionTree = TREE) -> NDArray[np.float32]:
    """Return the votes on a galaxy on which all give these answers, and nobody is asked anything else."""
    fractions = np.zeros(len(tree.columns), np.float32)
    for name in answers:
        fractions[tree.index[name]] = 1.0
    return tree.scores(fractions)


def draw(*, thin: bool, seed: int, size: int = 144) -> NDArray[np.uint8]:
    """Draw a round galaxy, or one seen edge-on at some angle: uint8 [size, size, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle, flat = random.uniform(0, np.pi), 0.15 if thin else 1.0
    along, across = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
    light = np.exp(-np.hypot(along, across) / 0.2)[..., None] * random.uniform(0.8, 1, 3)
    light += random.normal(0.03, 0.01, light.shape)
    return (255 * light.clip(0, 1)).astype(np.uint8)


def write_galaxies(
    path: Path, count: int = 80, *, validation: int = 16, framing: Framing = GALAXY_ZOO_FRAMING, first: int = 0
) -> Path:
    """Write an array file of so many galaxies, every other one thin; the last ones are set aside for validation."""
    with ArrayWriter(path, TREE, framing, count) as writer:
        for number in range(first, first + count):
            thin = bool(number % 2)
            votes = votes_of(*(THIN if thin else ROUND))
            if number % 8 == 3:
                # As in tables that know some of the questions only.
                votes[TREE.slices["Q9"]] = np.nan
            image = draw(thin=thin, seed=number, size=framing.size)
            writer.append(f"made-up-{number}", image, votes, validation=number >= first + count - validation)
        writer.note({"drawn": count})
    return path
