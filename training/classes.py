"""Classes in place of votes, as published classifications of Galaxy Zoo have them, and what they tell of the votes.

A table of classes has the columns ``GalaxyID``, ``clean_sample_class`` (``Class0`` to ``Class4``, or empty) and
``coarse_class`` (0 to 4). The clean classes are thresholds on the votes; the coarse class is the answer with the
largest score out of five. Here are only those conclusions that hold without exception on 11,871 galaxies of Kaggle's
set of which both classes and votes are known (7,871 with all 37 votes, 4,000 with those of questions 1, 2, 6, 7 and 8):

- A clean class has lower bounds. ``Class0``: 152 galaxies, smallest Class7.3 0.500; ``Class1``: 2,200, Class7.2 0.500;
  ``Class2``: 2,246, Class7.1 0.500; ``Class3``: 997, Class2.1 0.602; ``Class4``: 2,067, Class2.2 0.715, and Class4.1
  0.620 on the 1,558 of them where it is known.
- An empty one has upper bounds, for none of the first four classes holds: 4,209 galaxies, whose largest Class7.3, 7.2
  and 7.1 are 0.4999, 0.4998 and 0.4997 and whose largest Class2.1 is 0.6016. The fifth does not hold either on the
  2,118 of them where one can tell, which bounds neither of its votes alone: Class4.1 is up to 0.694, Class2.2 to 0.985.
- The coarse class says which of Class1.1, Class1.2, Class1.3, Class6.1 and Class6.2 is the largest. So it is at least
  one half, as Class6.1 and Class6.2 add up to 1, and none of the others is larger than it is; others may well be above
  one half themselves. In particular the last one, "the rest", bounds Class6.1 (at most 0.499 on 6,881 galaxies) and not
  Class1.1 (up to 0.999).

References
----------
Willett et al. 2013, MNRAS 435, 2835, whose thresholds for well-sampled galaxies three of the numbers are; Zhu et al.
2019, Ap&SS 364, 55, whose five classes the clean ones are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from training.bounds import tighten
from training.votes import CLEAN_CLASS, COARSE_CLASS, GALAXY, open_table

TREE = "galaxy-zoo-2"
"""The tree whose votes the classes tell of."""

CLEAN: Mapping[str, Mapping[str, float]] = {
    "Class0": {"Class7.3": 0.5},
    "Class1": {"Class7.2": 0.5},
    "Class2": {"Class7.1": 0.5},
    "Class3": {"Class2.1": 0.602},
    "Class4": {"Class2.2": 0.715, "Class4.1": 0.619},
}
"""Clean class -> column -> lower bound."""

NOT_CLEAN: Mapping[str, float] = {"Class7.1": 0.5, "Class7.2": 0.5, "Class7.3": 0.5, "Class2.1": 0.602}
"""Column -> upper bound where the clean class is empty."""

LARGEST: Mapping[str, str] = {"0": "Class1.1", "1": "Class1.2", "2": "Class1.3", "3": "Class6.1", "4": "Class6.2"}
"""Coarse class -> the column that is the largest of these five."""

Bounds = tuple[NDArray[np.float32], NDArray[np.float32]]


class ContradictingClassesError(ValueError):
    """A clean and a coarse class that no votes have at once."""


@dataclass
class Classes:
    """Bounds by the name of the galaxy, and what was wrong with the tables.

    Attributes
    ----------
    rows
        Name -> lower and upper bounds float32 [columns] of the galaxy's votes.
    problems
        (what, where) of each row or class that could not be used.
    """

    rows: dict[str, Bounds] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, clean: str, coarse: str, where: str) -> None:
        """Keep what the classes of a galaxy tell; one that is not known takes nothing from the other."""
        for value, known in ((clean, {"", *CLEAN}), (coarse, {"", *LARGEST})):
            if value not in known:
                self.problems.append(("class that is not known", f"{where}: {value}"))
        try:
            bounds = bounds_of(clean if clean in {"", *CLEAN} else None, coarse if coarse in LARGEST else None)
        except ContradictingClassesError as error:
            self.problems.append(("classes that contradict each other", f"{where}: {error}"))
            return
        if name in self.rows:
            self.problems.append(("galaxy with a second row of classes", where))
        else:
            self.rows[name] = bounds


@cache
def bounds_of(clean: str | None, coarse: str | None) -> Bounds:
    """Return the lower and upper bounds of the votes on a galaxy of these classes, tightened.

    Parameters
    ----------
    clean : str or None
        Clean class, empty if none of the first four holds; None if it is not known.
    coarse : str or None
        Coarse class; None if it is not known.

    Returns
    -------
    lower, upper : array of float32, shape [columns]
        Not to be written to.

    Raises
    ------
    ContradictingClassesError
        If no votes are within the bounds of both.
    """
    tree = load_tree(TREE)
    lower, upper = np.zeros((1, len(tree.columns))), np.ones((1, len(tree.columns)))
    for column, bound in CLEAN.get(clean or "", {}).items():
        lower[0, tree.index[column]] = bound
    if clean == "":
        for column, bound in NOT_CLEAN.items():
            upper[0, tree.index[column]] = bound
    lower, upper = tighten(tree, lower, upper)
    if coarse is not None:
        largest, five = tree.index[LARGEST[coarse]], [tree.index[column] for column in LARGEST.values()]
        lower[0, largest] = max(0.5, lower[0, five].max())
        upper[0, five] = np.minimum(upper[0, five], upper[0, largest])
        lower, upper = tighten(tree, lower, upper)
    if (lower > upper).any():
        msg = f"clean class {clean!r} and coarse class {coarse!r}"
        raise ContradictingClassesError(msg)
    return lower[0].astype(np.float32), upper[0].astype(np.float32)


def read_classes(path: Path, classes: Classes) -> None:
    """Read a table of classes.

    Raises
    ------
    OSError, zipfile.BadZipFile, UnicodeDecodeError
        If the file can't be read.
    """
    with open_table(path) as table:
        for row in table:
            name, clean, coarse = ((row[column] or "").strip() for column in (GALAXY, CLEAN_CLASS, COARSE_CLASS))
            classes.add(name, clean, coarse, f"{path.name}, line {table.line_num}")
