"""What classes tell of votes: no more than the real galaxies confirm."""

import csv
from pathlib import Path

import numpy as np
import pytest

from galaxytree.decision_tree import load_tree
from training.bounds import tighten
from training.classes import CLEAN, LARGEST, ContradictingClassesError, bounds_of

TREE = load_tree("galaxy-zoo-2")
REAL = Path(__file__).parents[2] / ".." / "shared" / "galaxy-zoo"


def of(column: str, clean: str | None, coarse: str | None) -> tuple[float, float]:
    lower, upper = bounds_of(clean, coarse)
    return float(lower[TREE.index[column]]), float(upper[TREE.index[column]])


@pytest.mark.parametrize(
    ("clean", "column", "lower", "smooth"),
    [
        ("Class0", "Class7.3", 0.5, (0.5, 1)),
        ("Class1", "Class7.2", 0.5, (0.5, 1)),
        ("Class2", "Class7.1", 0.5, (0.5, 1)),
        ("Class3", "Class2.1", 0.602, (0, 0.398)),
        ("Class4", "Class2.2", 0.715, (0, 0.285)),
        ("Class4", "Class4.1", 0.619, (0, 0.285)),
    ],
)
def test_a_clean_class_bounds_its_votes_and_what_they_leave(
    clean: str, column: str, lower: float, smooth: tuple[float, float]
) -> None:
    assert of(column, clean, None) == pytest.approx((lower, 1))
    assert of("Class1.1", clean, None) == pytest.approx(smooth)


def test_no_clean_class_tells_what_a_galaxy_is_not() -> None:
    for column, upper in (("Class7.1", 0.5), ("Class7.2", 0.5), ("Class7.3", 0.5), ("Class2.1", 0.602)):
        assert of(column, "", None) == pytest.approx((0, upper))
        assert of(column, None, None) == (0, 1)
    # It may well be a spiral.
    assert of("Class4.1", "", None) == (0, 1)


@pytest.mark.parametrize(("coarse", "column"), LARGEST.items())
def test_the_coarse_class_is_the_largest_of_five(coarse: str, column: str) -> None:
    assert of(column, None, coarse) == (0.5, 1)


def test_the_rest_may_be_smooth() -> None:
    assert of("Class1.1", None, "4") == (0, 1)
    assert of("Class6.1", None, "4") == (0, 0.5)


def test_the_largest_is_at_least_what_the_others_are() -> None:
    assert of("Class6.2", "Class3", "4") == pytest.approx((0.602, 1))
    assert of("Class8.1", "Class4", "4") == pytest.approx((0, 0.285))
    # Who smooth leaves little to is the largest only if nothing else is large.
    assert of("Class1.1", "Class2", "2") == (0.5, 0.5)


def test_classes_that_no_votes_have_are_refused() -> None:
    with pytest.raises(ContradictingClassesError, match="'Class3' and coarse class '0'"):
        bounds_of("Class3", "0")


@pytest.mark.parametrize("clean", [None, "", *CLEAN])
@pytest.mark.parametrize("coarse", [None, *LARGEST])
def test_all_conclusions_are_drawn(clean: str | None, coarse: str | None) -> None:
    try:
        lower, upper = bounds_of(clean, coarse)
    except ContradictingClassesError:
        assert (clean, coarse) in {(None, None), *((each, "0") for each in CLEAN), *((each, "1") for each in CLEAN)} | {
            (each, "2") for each in CLEAN
        }
        return
    assert lower.shape == upper.shape == (37,)
    assert (lower <= upper).all()
    again = tighten(TREE, lower[None], upper[None])
    np.testing.assert_allclose(again[0][0], lower, atol=1e-6)
    np.testing.assert_allclose(again[1][0], upper, atol=1e-6)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real votes are not at {REAL}")
def test_the_bounds_hold_on_every_real_galaxy_whose_votes_are_known() -> None:
    with (REAL / "weak_classes.csv").open(encoding="utf-8") as file:
        classes = {row["GalaxyID"]: (row["clean_sample_class"], row["coarse_class"]) for row in csv.DictReader(file)}
    checked = 0
    for table in ("training_solutions_rev1.csv", "partial_solutions_18.csv"):
        with (REAL / table).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                lower, upper = bounds_of(*classes[row.pop("GalaxyID")])
                votes = np.array([float(row.get(column) or "nan") for column in TREE.columns])
                # A NaN, which is a vote that is not known, is beyond no bound.
                assert not ((votes < lower - 1e-6) | (votes > upper + 1e-6)).any()
                checked += 1
    assert checked == 11871
