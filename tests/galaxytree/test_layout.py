"""The ways in which shares are taken are not to differ."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree

TREE = load_tree("galaxy-zoo-2")
LAYOUT = TREE._layout

NUMBERS = st.one_of(st.floats(1e-150, 1e150), st.floats(0, 1), st.just(0.0))


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 3), st.just(37)), elements=NUMBERS))
def test_the_short_way_is_the_long_one(evidence: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(LAYOUT.shares(evidence), LAYOUT._shares_of_any(evidence), rtol=1e-14, atol=0)


@given(arrays(np.float64, (4, 37), elements=NUMBERS), st.integers(0, 3))
def test_who_is_in_a_batch_makes_no_difference_to_speak_of(rows: NDArray[np.float64], row: int) -> None:
    np.testing.assert_allclose(TREE.normalise(rows)[row], TREE.normalise(rows[row]), rtol=1e-13, atol=0)
