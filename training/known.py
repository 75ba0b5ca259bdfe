"""All that the tables of votes and classes tell, by the name of the galaxy."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.bounds import Combined, combine
from training.classes import TREE as TREE_OF_CLASSES
from training.classes import Bounds, Classes, read_classes
from training.report import Report
from training.sources import Sources
from training.votes import Fractions, Votes, read_release, read_solutions

Origin = Literal["solutions", "release", "classes"]


@dataclass(frozen=True)
class Known:
    """What the tables tell.

    Attributes
    ----------
    solutions, released
        Name -> votes float32 [columns], NaN where not known: of Kaggle's tables, and of the public release.
    classified
        Name -> lower and upper bounds float32 [columns], of classes.
    """

    solutions: dict[str, NDArray[np.float32]]
    released: dict[str, NDArray[np.float32]]
    classified: dict[str, Bounds]

    @cached_property
    def ambiguous(self) -> set[str]:
        """Names of which nothing is used.

        Kaggle, whose numbers the classes have, and the release both number their galaxies, and not alike: nobody knows
        which of the two such a picture shows.
        """
        return (self.solutions.keys() | self.classified.keys()) & self.released.keys()

    @cached_property
    def votes(self) -> dict[str, NDArray[np.float32]]:
        """Name -> votes float32 [columns], NaN where not known."""
        both = self.solutions | self.released
        return {name: votes for name, votes in both.items() if name not in self.ambiguous}

    @cached_property
    def classes(self) -> dict[str, Bounds]:
        """Name -> lower and upper bounds float32 [columns], of classes."""
        return {name: bounds for name, bounds in self.classified.items() if name not in self.ambiguous}

    def origins(self, name: str) -> set[Origin]:
        """Return which kinds of tables tell of a galaxy."""
        kinds: dict[Origin, bool] = {
            "solutions": name in self.solutions,
            "release": name in self.released,
            # Classes of a galaxy whose votes are known are no origin of their own.
            "classes": name in self.classified and name not in self.votes,
        }
        return {kind for kind, tells in kinds.items() if tells}

    def of(self, names: list[str], tree: DecisionTree, report: Report) -> tuple[NDArray[np.float32], Combined]:
        """Put together what is known of galaxies; where votes and classes are at odds, list it, and keep the votes.

        Returns
        -------
        votes : array of float32, shape [N, columns]
            NaN where not known.
        bounds : Combined
        """
        shape = (len(names), len(tree.columns))
        votes, lower, upper = (
            np.full(shape, np.nan, np.float32),
            np.zeros(shape, np.float32),
            np.ones(shape, np.float32),
        )
        for row, name in enumerate(names):
            if name in self.votes:
                votes[row] = self.votes[name]
            if name in self.classes:
                lower[row], upper[row] = self.classes[name]
        bounds = combine(tree, votes, lower, upper)
        for what, rows in (
            ("votes that leave no room for those that are not known", bounds.impossible),
            ("class that contradicts the votes", bounds.contradicted),
        ):
            for position in np.flatnonzero(rows):
                report.problem(what, names[int(position)])
        return votes, bounds


def read_known(found: Sources, tree: DecisionTree, fractions: Fractions, report: Report) -> Known:
    """Read the votes of Kaggle's tables, those of the public release, and the classes."""
    solutions, released, classes = Votes(tree), Votes(tree), Classes()
    for path in found.tables.get("solutions", []):
        with report.listing(path):
            read_solutions(path, solutions)
    for path in found.tables.get("release", []):
        with report.listing(path):
            read_release(path, found.mapping_of(path), fractions, released)
    for path in found.tables.get("classes", []):
        if tree.name != TREE_OF_CLASSES:
            report.problem("table of classes of another tree", path.name)
            continue
        with report.listing(path):
            read_classes(path, classes)
    for what, where in (*solutions.problems, *released.problems, *classes.problems):
        report.problem(what, where)
    known = Known(solutions.rows, released.rows, classes.rows)
    for name in sorted(known.ambiguous):
        report.problem("number of one galaxy of Kaggle's and another of the release", name)
    return known
