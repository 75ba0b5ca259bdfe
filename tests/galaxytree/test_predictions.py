"""What several views of an image come to."""

import numpy as np
import pytest

from galaxytree.decision_tree import load_tree
from galaxytree.predictions import Predictions

TREE = load_tree("galaxy-zoo-2")
RAW = np.random.default_rng(0).random((8, 37)).astype(np.float32)


def test_averages_of_consistent_scores_are_consistent() -> None:
    prediction = Predictions(TREE.normalise(RAW)).over_views()
    TREE.check(prediction.scores, 1e-6)
    assert prediction.scores.dtype == np.float64
    assert prediction.views == 8


def test_the_order_of_the_views_makes_no_difference() -> None:
    shuffled = RAW[np.random.default_rng(1).permutation(8)]
    one, other = (Predictions(rows, rows, 2 * rows, rows[:, 0]).over_views() for rows in (RAW, shuffled))
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-15)
    np.testing.assert_allclose(one.uncertainty, other.uncertainty, rtol=0, atol=1e-15)  # type: ignore[arg-type]
    np.testing.assert_allclose(one.uncertainty_95, other.uncertainty_95, rtol=0, atol=1e-15)  # type: ignore[arg-type]
    assert one.out_of_domain == pytest.approx(other.out_of_domain, abs=1e-15)


def test_one_view_is_what_the_network_said() -> None:
    prediction = Predictions(RAW, RAW, 2 * RAW, RAW[:, 0]).over_views(slice(3, 4))
    np.testing.assert_array_equal(prediction.scores.astype(np.float32), RAW[3])
    np.testing.assert_allclose(prediction.uncertainty, RAW[3], rtol=1e-15)  # type: ignore[arg-type]
    np.testing.assert_allclose(prediction.uncertainty_95, 2 * RAW[3], rtol=1e-15)  # type: ignore[arg-type]
    assert (prediction.out_of_domain, prediction.views) == (RAW[3, 0], 1)


def test_errors_that_are_common_to_all_views_do_not_average_out() -> None:
    prediction = Predictions(RAW, np.full_like(RAW, 0.25), np.full_like(RAW, 0.75)).over_views()
    np.testing.assert_allclose(prediction.uncertainty, 0.25)  # type: ignore[arg-type]
    np.testing.assert_allclose(prediction.uncertainty_95, 0.75)  # type: ignore[arg-type]
    assert prediction.out_of_domain is None


def test_views_that_are_less_sure_count_for_more() -> None:
    halves = np.array([[3], [4], [0], [0]], np.float32)
    for which in ("uncertainty", "uncertainty_95"):
        prediction = Predictions(np.zeros_like(halves), **{which: halves}).over_views()
        assert getattr(prediction, which) == [2.5]
        assert {prediction.uncertainty is None, prediction.uncertainty_95 is None} == {True, False}
