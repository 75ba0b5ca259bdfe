"""Where votes come from: the solutions of the Kaggle challenge, and Galaxy Zoo 2's own public release."""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree

Fractions = Literal["debiased", "weighted_fraction", "fraction"]
Kind = Literal["solutions", "classes", "release", "mapping", "ids", "means", "unknown"]

GALAXY = "GalaxyID"
"""The column that names a galaxy in Kaggle's tables and in those made from them."""

MEANS_COLUMNS = {"column", "population_mean"}
"""The columns of a table of a population's means, which training may be given; `prepare` has no use for it."""

CLEAN_CLASS, COARSE_CLASS = "clean_sample_class", "coarse_class"
"""The columns of a table of classes, which stand for votes that were not published."""

_OBJECT = "dr7objid"
_TOLERANCE = 1e-3


class WrongHeaderError(ValueError):
    """A table whose columns are not what they should be; the message says which."""


@dataclass
class Votes:
    """Votes by the name of the galaxy's picture, and what was wrong with the tables.

    Attributes
    ----------
    tree
        What the votes are on.
    rows
        Name -> votes float32 [columns], NaN where not known.
    problems
        (what, where) of each row or value that could not be used.
    """

    tree: DecisionTree
    rows: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, votes: NDArray[np.float64], where: str) -> None:
        """Keep a galaxy's votes if they are sound; a second row fills what the first one left open."""
        known = votes[~np.isnan(votes)]
        first = self.rows.get(name)
        if first is not None:
            self.problems.append(("galaxy with a second row of votes", where))
        if not known.size:
            self.problems.append(("row without any votes", where))
        elif known.min() < -_TOLERANCE or known.max() > 1 + _TOLERANCE:
            self.problems.append(("row with votes that are not between 0 and 1", where))
        elif not self._adds_up(votes):
            self.problems.append(("row whose votes do not add up", where))
        elif first is None:
            self.rows[name] = votes.clip(0, 1).astype(np.float32)
        else:
            merged = np.where(np.isnan(first), votes.clip(0, 1), first).astype(np.float32)
            apart = np.abs(first - votes)
            if self._adds_up(merged) and not (apart > _TOLERANCE).any():
                self.rows[name] = merged
            else:
                self.problems.append(("second row of votes that does not go with the first", where))

    def _adds_up(self, votes: NDArray[np.float64] | NDArray[np.float32]) -> bool:
        """Whether all sums that are wholly known are as the tree says; those of a question with a NaN are NaN."""
        return not (np.abs(self.tree.violations(votes.astype(np.float64))) > _TOLERANCE).any()


def kind_of(path: Path, tree: DecisionTree) -> Kind:
    """Tell by its header what a table is, to one who looks for votes on this tree."""
    # Bytes further down that are no text must not hide what the table is: they are found when its rows are read.
    with open_table(path, errors="replace") as table:
        columns = list(table.fieldnames or ())
    header = set(columns)
    kinds: dict[Kind, bool] = {
        "release": _OBJECT in header,
        "mapping": header >= {"objid", "asset_id"},
        "ids": columns == [GALAXY],
        "means": header >= MEANS_COLUMNS,
        "classes": header == {GALAXY, CLEAN_CLASS, COARSE_CLASS},
        "solutions": GALAXY in header and not header.isdisjoint(tree.columns),
    }
    return next((kind for kind, fits in kinds.items() if fits), "unknown")


@contextmanager
def open_table(path: Path, errors: Literal["strict", "replace"] = "strict") -> Iterator["csv.DictReader[str]"]:
    """Open a CSV, plain, gzipped or alone in a zip file.

    Raises
    ------
    OSError, zipfile.BadZipFile, UnicodeDecodeError
        If the file can't be read or is no such table.
    """
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_table(archive)) as raw:
            yield csv.DictReader(io.TextIOWrapper(raw, "utf-8-sig", errors, newline=""))
    elif path.suffix.lower() == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="") as file:
            yield csv.DictReader(file)
    else:
        with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
            yield csv.DictReader(file)


def tables_in(archive: zipfile.ZipFile) -> list[str]:
    """List the CSV files in a zip file."""
    return [
        name
        for name in archive.namelist()
        if name.lower().endswith(".csv") and not name.rpartition("/")[2].startswith(".")
    ]


def _only_table(archive: zipfile.ZipFile) -> str:
    tables = tables_in(archive)
    if len(tables) != 1:
        msg = f"{archive.filename} holds {len(tables)} CSV files, not one"
        raise WrongHeaderError(msg)
    return tables[0]


def read_solutions(path: Path, votes: Votes) -> None:
    """Read a table as Kaggle wrote it: ``GalaxyID`` and some or all of the tree's columns.

    Columns that the table does not have, and values that are empty or no numbers, are not known: NaN.

    Raises
    ------
    WrongHeaderError
        If it has a column that the tree does not know.
    """
    tree = votes.tree
    with open_table(path) as table:
        present = set(table.fieldnames or ()) - {GALAXY}
        if strange := sorted(present - set(tree.columns)):
            msg = f"{path.name}: the tree {tree.name} has no column {', '.join(strange)}"
            raise WrongHeaderError(msg)
        for row in table:
            where = f"{path.name}, line {table.line_num}"
            name = (row[GALAXY] or "").strip()
            values = np.array([_number(row.get(column)) for column in tree.columns])
            missing = [column for column, value in zip(tree.columns, values, strict=True) if np.isnan(value)]
            if any(column in present for column in missing):
                votes.problems.append(("row with values that are missing or no numbers, kept without them", where))
            votes.add(name, values, where)


def read_release(path: Path, mapping: Path, fractions: Fractions, votes: Votes) -> None:
    """Read Galaxy Zoo 2's public release (``gz2_hart16.csv``), and multiply its vote fractions down the tree.

    The release gives fractions among those who were asked, which after debiasing need not add up to 1: each question's
    are divided by their sum. A question on which nobody is left is not known, unless its weight is 0.

    Raises
    ------
    WrongHeaderError
        If a column of the release or of the mapping is not there.

    References
    ----------
    Hart et al. 2016, MNRAS 461, 3663 (the debiasing); Willett et al. 2013, MNRAS 435, 2835 (the votes).
    """
    tree = votes.tree
    with open_table(mapping) as table:
        pictures = {row["objid"]: row["asset_id"] for row in table}
    wanted = [f"{answer.release}_{fractions}" for question in tree.questions for answer in question.answers]
    with open_table(path) as table:
        if absent := [column for column in wanted if column not in (table.fieldnames or ())]:
            msg = f"{path.name}: has no column {', '.join(absent)}"
            raise WrongHeaderError(msg)
        for row in table:
            where = f"{path.name}, line {table.line_num}"
            name = pictures.get(row[_OBJECT])
            if name is None:
                votes.problems.append(("row whose object is not in the mapping", where))
                continue
            votes.add(name, _down_the_tree(np.array([_number(row[column]) for column in wanted]), tree), where)


def _down_the_tree(fractions: NDArray[np.float64], tree: DecisionTree) -> NDArray[np.float64]:
    shares = np.full_like(fractions, np.nan)
    for own in tree.slices.values():
        sum_of_question = fractions[own].sum()
        if sum_of_question > 0:
            shares[own] = fractions[own] / sum_of_question
    scores = tree.scores(shares)
    # Nobody is asked a question whose weight is 0: its scores are then known to be 0.
    for question in tree.order:
        if question.parent is not None and scores[tree.index[question.parent]] == 0:
            scores[tree.slices[question.id]] = 0.0
    return scores


def read_ids(path: Path) -> set[str]:
    """Read a table with the one column ``GalaxyID``.

    Raises
    ------
    WrongHeaderError
        If it names no galaxy, or a row has more than the one value.
    """
    with open_table(path) as table:
        ids = set()
        for row in table:
            if None in row:
                msg = f"line {table.line_num} holds more than a GalaxyID"
                raise WrongHeaderError(msg)
            ids.add((row[GALAXY] or "").strip())
    ids.discard("")
    if not ids:
        msg = "it names no galaxy"
        raise WrongHeaderError(msg)
    return ids


def _number(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan
