"""Weighting a sample to a population's means: known answers, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from training.population import BalanceError, balance, read_population
from training.votes import WrongHeaderError

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")
HEADER = "column,population_mean,population_std,sample_mean\n"


# The table.


def test_means_are_read_in_the_order_of_the_tree(tmp_path: Path) -> None:
    path = tmp_path / "means.csv"
    path.write_text(HEADER + "Class1.2,0.54,0.3,0.51\nClass1.1,0.43,0.3,0.46\nClass11.6,0,0,0\n")
    means = read_population(path, TREE)
    assert means.shape == (37,)
    assert means[:2].tolist() == [0.43, 0.54]
    assert means[-1] == 0
    assert np.isnan(means).sum() == 34


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("column,mean\nClass1.1,0.5\n", r"means\.csv: has no column population_mean"),
        (HEADER + "Class9.9,0.5,0,0\n", r"means\.csv, line 2: Class9\.9 is no column of the tree galaxy-zoo-2"),
        (HEADER + "Class1.1,0.5,0,0\nClass1.1,0.5,0,0\n", "line 3: Class1.1 is no column .* or named twice"),
        (HEADER + "Class1.1,much,0,0\n", "line 2: the mean 'much' is no number between 0 and 1"),
        (HEADER + "Class1.1,1.5,0,0\n", r"the mean '1\.5' is no number"),
        (HEADER + "Class1.1\n", "the mean None is no number"),
    ],
)
def test_tables_that_are_wrong_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "means.csv").write_text(text)
    with pytest.raises(WrongHeaderError, match=complaint):
        read_population(tmp_path / "means.csv", TREE)


# The weights.


def test_two_kinds_of_galaxies_are_weighted_to_their_parts() -> None:
    # Three of four are thin in the sample, half of them in the population.
    votes = np.array([[1.0], [1.0], [1.0], [0.0]])
    np.testing.assert_allclose(balance(votes, np.array([0.5])), [2 / 3, 2 / 3, 2 / 3, 2], atol=1e-3)


def test_weights_are_those_that_the_sample_was_drawn_with() -> None:
    random = np.random.default_rng(1)
    population = TREE.normalise(random.gamma(0.7, size=(40_000, 37)))
    chance = np.exp(-2 * population[:, 0] + population[:, 13])
    sample = population[random.uniform(size=len(population)) < chance / chance.max()]
    means = population.mean(axis=0)
    assert np.abs(sample.mean(axis=0) - means).max() > 0.05
    # 37 columns of which only 27 are free, in a sample of float32.
    weights = balance(sample.astype(np.float32), means, largest=100)
    assert weights.shape == (len(sample),)
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights @ sample / len(sample), means, atol=2e-5)
    true = 1 / np.exp(-2 * sample[:, 0] + sample[:, 13])
    np.testing.assert_allclose(np.corrcoef(weights, true)[0, 1], 1, atol=0.02)


def test_a_sample_that_has_the_means_keeps_equal_weights() -> None:
    votes = TREE.normalise(np.random.default_rng(2).gamma(0.7, size=(300, 37)))
    np.testing.assert_allclose(balance(votes, votes.mean(axis=0)), 1, atol=1e-6)
    # As does one of which no mean is known.
    np.testing.assert_array_equal(balance(votes, np.full(37, np.nan)), 1)


def test_columns_without_a_mean_are_not_balanced() -> None:
    random = np.random.default_rng(3)
    votes = random.uniform(size=(500, 2))
    weights = balance(votes, np.array([0.6, np.nan]))
    assert weights @ votes[:, 0] / 500 == pytest.approx(0.6, abs=1e-4)
    assert abs(weights @ votes[:, 1] / 500 - votes[:, 1].mean()) < 0.02


def test_no_weight_is_larger_than_asked_for() -> None:
    votes = np.concatenate([np.zeros((190, 1)), np.linspace(0.5, 1, 10)[:, None]])
    free, cut = (balance(votes, np.array([0.5]), largest=largest) for largest in (1000, 5))
    assert free.max() > 5
    assert cut.max() == pytest.approx(5)
    assert cut.mean() == pytest.approx(1)
    assert (free @ votes / 200)[0] == pytest.approx(0.5, abs=1e-4)
    # Cutting one may raise others beyond it.
    raised = balance(votes, np.array([0.5]), largest=1.05)
    assert raised.max() <= 1.05 + 1e-12
    assert raised.mean() == pytest.approx(1)


def test_means_that_no_weights_give_are_refused() -> None:
    votes = np.linspace(0.4, 0.6, 50)[:, None]
    with pytest.raises(BalanceError, match="no weights of 50 galaxies give the population's means"):
        balance(votes, np.array([0.8]))


@pytest.mark.parametrize(
    ("votes", "largest", "complaint"),
    [
        (np.empty((0, 1)), 5, "only if there are some"),
        (np.array([[np.nan], [1.0]]), 5, "all their votes are known"),
        (np.array([[0.0], [1.0]]), 1, "can't all be smaller than 1"),
    ],
)
def test_what_can_not_be_weighted_is_refused(votes: NDArray[np.float64], largest: float, complaint: str) -> None:
    with pytest.raises(BalanceError, match=complaint):
        balance(votes, np.array([0.5]), largest=largest)
