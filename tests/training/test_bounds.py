"""Bounds of votes: no more is concluded than the tree allows, no less, and scores are made to agree with them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, load_tree
from tests.training.galaxies import ROUND, THIN, votes_of
from training.bounds import agree, bounds_of_votes, combine, tighten

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")
ROWS = 2

some_examples = settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
Floats = NDArray[np.float64]
shapes = arrays(np.float64, (ROWS, 37), elements=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)))
masks = arrays(np.bool_, (ROWS, 37))
consistent = shapes.map(TREE.normalise)


@st.composite
def feasible(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """Return scores that add up and bounds around them: open, tight, or somewhere between on either side."""
    inside = draw(consistent)
    below, above = draw(shapes), draw(shapes)
    return inside, inside * below, inside + (1 - inside) * above


def open_bounds(tree: DecisionTree = TREE, rows: int = 1) -> tuple[Floats, Floats]:
    return np.zeros((rows, len(tree.columns))), np.ones((rows, len(tree.columns)))


def bounds_with(**given: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the bounds of one galaxy, open but for some columns (``Class1_1``)."""
    lower, upper = open_bounds()
    for column, (least, most) in given.items():
        position = TREE.index[column.replace("_", ".")]
        lower[0, position], upper[0, position] = least, most
    return lower, upper


def of(column: str, bounds: tuple[NDArray[Any], NDArray[Any]]) -> tuple[float, float]:
    position = TREE.index[column]
    return float(bounds[0][0, position]), float(bounds[1][0, position])


# Votes.


def test_votes_bound_themselves_only() -> None:
    lower, upper = bounds_of_votes(np.array([[0.25, np.nan]], np.float32))
    assert lower.tolist() == [[0.25, 0]]
    assert upper.tolist() == [[0.25, 1]]
    assert lower.dtype == upper.dtype == np.float32


# What the tree tells.


def test_who_called_it_round_called_it_smooth() -> None:
    bounds = tighten(TREE, *bounds_with(Class7_1=(0.7, 1)))
    assert of("Class1.1", bounds) == pytest.approx((0.7, 1))
    assert of("Class1.2", bounds) == pytest.approx((0, 0.3))
    # And so on to the last question that follows from it.
    assert of("Class11.6", bounds) == pytest.approx((0, 0.3))
    assert of("Class7.2", bounds) == pytest.approx((0, 0.3))
    assert of("Class8.1", bounds) == pytest.approx((0, 1))


def test_what_others_can_not_take_is_left_for_the_last() -> None:
    bounds = tighten(TREE, *bounds_with(Class1_1=(0, 0.2), Class1_3=(0.1, 0.1), Class2_1=(0, 0.3)))
    assert of("Class1.2", bounds) == pytest.approx((0.7, 0.9))
    assert of("Class2.2", bounds) == pytest.approx((0.4, 0.9))


def test_several_questions_bound_the_answer_that_they_follow() -> None:
    bounds = tighten(TREE, *bounds_with(Class10_1=(0.2, 1), Class11_2=(0.5, 1), Class3_1=(0, 0.3), Class3_2=(0, 0.4)))
    assert of("Class4.1", bounds) == pytest.approx((0.5, 0.7))
    assert of("Class2.2", bounds) == pytest.approx((0.5, 0.7))


def test_independent_fractions_tell_nothing_of_each_other() -> None:
    lower, upper = open_bounds(CANDELS)
    lower[0, :2] = 0.9
    tight = tighten(CANDELS, lower, upper)
    np.testing.assert_array_equal(tight[0], lower)
    np.testing.assert_array_equal(tight[1], upper)


@some_examples
@given(feasible())
def test_nothing_that_is_possible_is_excluded(case: tuple[Floats, Floats, Floats]) -> None:
    inside, lower, upper = case
    low, high = tighten(TREE, lower, upper)
    assert (low <= inside + 1e-12).all()
    assert (inside <= high + 1e-12).all()
    assert (low >= lower).all()
    assert (high <= upper).all()


@some_examples
@given(feasible(), st.integers(0, 36), st.sampled_from([0, 1]))
def test_all_that_is_left_is_possible(case: tuple[Floats, Floats, Floats], column: int, side: int) -> None:
    # One vote is moved to its end: there are still scores within all other bounds.
    _, lower, upper = case
    low, high = tighten(TREE, lower, upper)
    end = (low, high)[side][:, column]
    low[:, column] = high[:, column] = end
    scores = agree(TREE, np.full((ROWS, 37), 0.5), low, high)
    assert np.abs(TREE.violations(scores)).max() <= 1e-6
    assert (scores >= low - 1e-6).all()
    assert (scores <= high + 1e-6).all()


@some_examples
@given(feasible())
def test_tightening_twice_tells_no_more(case: tuple[Floats, Floats, Floats]) -> None:
    once = tighten(TREE, case[1], case[2])
    twice = tighten(TREE, *once)
    np.testing.assert_allclose(twice[0], once[0], atol=1e-12)
    np.testing.assert_allclose(twice[1], once[1], atol=1e-12)


# Scores that agree.


@some_examples
@given(consistent, feasible())
def test_scores_come_to_agree_with_bounds_and_sums(scores: Floats, case: tuple[Floats, Floats, Floats]) -> None:
    _, lower, upper = case
    result = agree(TREE, scores, lower, upper)
    assert result.dtype == np.float32
    assert np.abs(TREE.violations(result)).max() <= 1e-6
    assert (result >= lower - 1e-6).all()
    assert (result <= upper + 1e-6).all()
    np.testing.assert_allclose(agree(TREE, result, lower, upper), result, atol=1e-6)


@some_examples
@given(consistent)
def test_where_nothing_is_known_scores_stay(scores: Floats) -> None:
    np.testing.assert_allclose(agree(TREE, scores, *open_bounds(rows=ROWS)), scores, atol=1e-6)


@some_examples
@given(consistent, consistent)
def test_where_all_is_known_the_votes_come_out(scores: Floats, votes: Floats) -> None:
    np.testing.assert_allclose(agree(TREE, scores, *bounds_of_votes(votes)), votes, atol=1e-6)


@some_examples
@given(consistent, consistent, masks)
def test_known_votes_come_out_whatever_else_is_not_known(
    scores: Floats, votes: Floats, unknown: NDArray[np.bool_]
) -> None:
    known = np.where(unknown, np.nan, votes)
    result = agree(TREE, scores, *bounds_of_votes(known))
    np.testing.assert_allclose(result[~unknown], votes[~unknown], atol=1e-6)
    TREE.check(result)


@some_examples
@given(consistent, feasible())
def test_no_other_first_answers_are_nearer(scores: Floats, case: tuple[Floats, Floats, Floats]) -> None:
    inside, lower, upper = case
    own = TREE.slices["Q1"]
    result = agree(TREE, scores, lower, upper)
    moved, other = (np.square(each[:, own] - scores[:, own]).sum(axis=1) for each in (result, inside))
    assert (moved <= other + 1e-6).all()


def test_fractions_stay_where_only_the_weight_is_known() -> None:
    scores = TREE.scores(np.full((1, 37), np.nan))
    fractions = np.array([votes_of(*ROUND)], np.float64)
    fractions[0, TREE.slices["Q1"]] = 0.4, 0.5, 0.1
    fractions[0, TREE.slices["Q7"]] = 0.5, 0.25, 0.25
    fractions[0, TREE.slices["Q2"]] = 0.0, 1.0
    for question in ("Q3", "Q4", "Q5", "Q9", "Q10", "Q11", "Q8"):
        fractions[0, TREE.slices[question].start] = 1.0
    scores = TREE.scores(fractions)
    result = agree(TREE, scores, *bounds_with(Class1_1=(0.8, 0.8), Class1_3=(0, 0)))
    np.testing.assert_allclose(result[0, TREE.slices["Q7"]], [0.4, 0.2, 0.2], atol=1e-6)
    np.testing.assert_allclose(result[0, TREE.slices["Q2"]], [0.0, 0.2], atol=1e-6)


def test_a_question_that_nobody_was_asked_shares_its_weight_equally() -> None:
    result = agree(TREE, np.array([votes_of(*ROUND)]), *bounds_with(Class1_2=(0.6, 0.6)))
    np.testing.assert_allclose(result[0, TREE.slices["Q2"]], [0.3, 0.3], atol=1e-6)
    TREE.check(result)


def test_a_last_digit_does_not_cost_a_known_vote() -> None:
    # The votes on two questions add up to a hair more than the votes on the answers that they follow.
    votes = np.full((1, 37), np.nan)
    votes[0, TREE.slices["Q1"]] = 0.5, 0.5, 0
    votes[0, TREE.slices["Q9"]] = 0.1, 0.1, 0.1
    votes[0, TREE.slices["Q3"]] = 0.1, 0.1004
    result = agree(TREE, np.array([votes_of(*THIN)]), *bounds_of_votes(votes))
    TREE.check(result)
    known = ~np.isnan(votes)
    np.testing.assert_allclose(result[known], votes[known], atol=5e-4)


def test_independent_fractions_are_clipped() -> None:
    lower, upper = open_bounds(CANDELS)
    lower[0, 0], upper[0, 1] = 0.7, 0.2
    result = agree(CANDELS, np.full((1, 5), 0.5), lower, upper)
    np.testing.assert_allclose(result, [[0.7, 0.2, 0.5, 0.5, 0.5]])


@pytest.mark.parametrize("votes", [(0.7, 0.4, 0.1), (0.5, 0.2, 0.0), (0.9, 0.9, 0.9), (0.0, 0.0, 0.0)])
def test_bounds_that_do_not_add_up_give_way_and_the_sums_hold(votes: tuple[float, float, float]) -> None:
    given = dict(zip(("Class1_1", "Class1_2", "Class1_3"), ((vote, vote) for vote in votes), strict=True))
    result = agree(TREE, np.array([votes_of(*THIN)]), *bounds_with(**given))
    TREE.check(result)
    # All three are off by as much.
    off = result[0, TREE.slices["Q1"]] - np.array(votes)
    np.testing.assert_allclose(off, (1 - sum(votes)) / 3, atol=1e-6)


def test_no_galaxies_are_as_good_as_some() -> None:
    lower, upper = open_bounds(rows=0)
    assert tighten(TREE, lower, upper)[0].shape == (0, 37)
    assert agree(TREE, lower, lower, upper).shape == (0, 37)


# Votes and other bounds together.


@some_examples
@given(feasible(), masks)
def test_votes_and_bounds_are_combined(case: tuple[Floats, Floats, Floats], unknown: NDArray[np.bool_]) -> None:
    inside, lower, upper = case
    votes = np.where(unknown, np.nan, inside).astype(np.float32)
    combined = combine(TREE, votes, lower.astype(np.float32), upper.astype(np.float32))
    assert not combined.impossible.any()
    assert not combined.contradicted.any()
    assert (combined.lower <= combined.upper).all()
    np.testing.assert_array_equal(combined.lower[~unknown], votes[~unknown])
    np.testing.assert_array_equal(combined.upper[~unknown], votes[~unknown])
    assert (combined.lower <= inside + 1e-5).all()
    assert (combined.upper >= inside - 1e-5).all()
    assert (combined.lower >= lower - 1e-5)[unknown].all()
    assert (combined.upper <= upper + 1e-5)[unknown].all()


def test_bounds_that_contradict_votes_only_together_with_the_tree_are_dropped() -> None:
    votes = np.full((1, 37), np.nan, np.float32)
    votes[0, TREE.slices["Q1"]] = 0.7, 0.3, 0
    lower, upper = (each.astype(np.float32) for each in bounds_with(Class2_1=(0.5, 1)))
    combined = combine(TREE, votes, lower, upper)
    assert combined.contradicted.tolist() == [True]
    assert of("Class2.1", (combined.lower, combined.upper)) == pytest.approx((0, 0.3))


def test_the_last_digits_of_a_table_contradict_nothing() -> None:
    votes = np.array([votes_of(*THIN)])
    votes[0, TREE.slices["Q1"]] = 0.0004, 0.9992, 0.0
    votes[0, TREE.slices["Q9"]] = np.nan
    lower, upper = (each.astype(np.float32) for each in open_bounds())
    combined = combine(TREE, votes, lower, upper)
    assert not combined.impossible.any()
    assert not combined.contradicted.any()
    assert (combined.lower <= combined.upper).all()
