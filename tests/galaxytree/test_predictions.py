"""What several views of an image come to."""

from itertools import pairwise

import numpy as np
import pytest

from galaxytree.decision_tree import load_tree
from galaxytree.predictions import Averages, Predictions

TREE = load_tree("galaxy-zoo-2")
RAW = np.random.default_rng(0).random((8, 37)).astype(np.float32)


def test_averages_of_consistent_scores_are_consistent() -> None:
    averages = Predictions(TREE.normalise(RAW)).over_views()
    TREE.check(averages.scores, 1e-6)
    assert averages.scores.dtype == np.float64
    assert averages.scores.shape == (1, 37)
    assert averages.views == (8,)


def test_the_order_of_the_views_makes_no_difference() -> None:
    shuffled = RAW[np.random.default_rng(1).permutation(8)]
    one, other = (Predictions(rows, rows, 2 * rows, rows[:, 0]).over_views() for rows in (RAW, shuffled))
    for output in ("scores", "uncertainty", "uncertainty_95", "out_of_domain"):
        np.testing.assert_allclose(getattr(one, output), getattr(other, output), rtol=0, atol=1e-15)


def test_one_view_is_what_the_network_said() -> None:
    averages = Predictions(RAW, RAW, 2 * RAW, RAW[:, 0]).over_views([1] * 8)
    np.testing.assert_array_equal(averages.scores.astype(np.float32), RAW)
    np.testing.assert_array_equal(averages.uncertainty, RAW.astype(np.float64))  # type: ignore[arg-type]
    np.testing.assert_array_equal(averages.uncertainty_95, 2 * RAW.astype(np.float64))  # type: ignore[arg-type]
    np.testing.assert_array_equal(averages.out_of_domain, RAW[:, 0].astype(np.float64))  # type: ignore[arg-type]
    assert averages.views == (1,) * 8


@pytest.mark.parametrize("views", [[1, 8, 1, 8], [8, 8], [1, 1, 8], [8]])
def test_each_image_of_a_batch_gets_what_it_would_get_by_itself(views: list[int]) -> None:
    rows = np.random.default_rng(2).random((sum(views), 37)).astype(np.float32)
    batch = Predictions(rows, rows, 2 * rows, rows[:, 0])
    together = batch.over_views(views)
    assert together.views == tuple(views)
    for place, (start, end) in enumerate(pairwise(np.cumsum([0, *views]))):
        own = rows[start:end]
        alone: Averages = Predictions(own, own, 2 * own, own[:, 0]).over_views()
        for output in ("scores", "uncertainty", "uncertainty_95", "out_of_domain"):
            np.testing.assert_allclose(getattr(together, output)[place], getattr(alone, output)[0], rtol=1e-15)


def test_errors_that_are_common_to_all_views_do_not_average_out() -> None:
    averages = Predictions(RAW, np.full_like(RAW, 0.25), np.full_like(RAW, 0.75)).over_views()
    np.testing.assert_allclose(averages.uncertainty, 0.25)  # type: ignore[arg-type]
    np.testing.assert_allclose(averages.uncertainty_95, 0.75)  # type: ignore[arg-type]
    assert averages.out_of_domain is None


def test_views_that_are_less_sure_count_for_more() -> None:
    halves = np.array([[3], [4], [0], [0]], np.float32)
    for which in ("uncertainty", "uncertainty_95"):
        averages = Predictions(np.zeros_like(halves), **{which: halves}).over_views()
        assert getattr(averages, which) == [[2.5]]
        assert {averages.uncertainty is None, averages.uncertainty_95 is None} == {True, False}
