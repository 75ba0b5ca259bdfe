"""Weights under which a sample of galaxies has the means of the population that it was drawn from.

Galaxies with all votes known may favour clear-cut ones. Entropy balancing finds, of all weights under which the
sample's means are the population's, those closest to equal ones by the Kullback-Leibler divergence (Hainmueller 2012,
Political Analysis 20, 25). They are exp(votes @ multipliers), normalised; the multipliers minimise a convex function.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.votes import MEANS_COLUMNS, WrongHeaderError, open_table

# Means that a table gives to six digits need not add up better than this, and then no weights bring them closer.
_TOLERANCE = 1e-5
_STEPS = 200
# Votes on one question add up to those on another, so that the curvature has directions without any: a hair of it is
# added in all of them, in units of its largest.
_RIDGE = 1e-10
_SUFFICIENT = 1e-4
_SMALLEST_STEP = 1e-9


class BalanceError(ValueError):
    """No weights bring the sample's means to the population's; the message says by how much they are off."""


def read_population(path: Path, tree: DecisionTree) -> NDArray[np.float64]:
    """Read the means of a population from a table with the columns ``column`` and ``population_mean``.

    Returns
    -------
    array of float64, shape [columns]
        In the order of the tree; NaN where the table has no row for a column.

    Raises
    ------
    WrongHeaderError
        If the table lacks one of the two columns, names a column that the tree does not have or a column twice, or
        gives a mean that is no number between 0 and 1.
    OSError, UnicodeDecodeError
        If the file can't be read.
    """
    means = np.full(len(tree.columns), np.nan)
    with open_table(path) as table:
        if absent := sorted(MEANS_COLUMNS - set(table.fieldnames or ())):
            msg = f"{path.name}: has no column {', '.join(absent)}"
            raise WrongHeaderError(msg)
        for row in table:
            name, text = row["column"], row["population_mean"]
            where = f"{path.name}, line {table.line_num}"
            if name not in tree.index or not np.isnan(means[tree.index[name]]):
                msg = f"{where}: {name} is no column of the tree {tree.name}, or named twice"
                raise WrongHeaderError(msg)
            means[tree.index[name]] = _mean(text, where)
    return means


def _mean(text: str | None, where: str) -> float:
    try:
        mean = float(text or "nan")
    except ValueError:
        mean = np.nan
    if not 0 <= mean <= 1:
        msg = f"{where}: the mean {text!r} is no number between 0 and 1"
        raise WrongHeaderError(msg)
    return mean


def balance(
    votes: NDArray[np.float32] | NDArray[np.float64], means: NDArray[np.float64], *, largest: float = 5.0
) -> NDArray[np.float64]:
    """Return weights under which the means of votes are those of a population.

    Parameters
    ----------
    votes : array of float, shape [N, columns]
        All of them known.
    means : array of float64, shape [columns]
        Of the population; NaN where not known, and then not balanced.
    largest : float
        No weight is larger than so many times the mean; above 1. Larger ones are cut to it and the others raised in
        proportion, after which the means are no longer quite those of the population: the price of not hanging on a few
        galaxies.

    Returns
    -------
    array of float64, shape [N]
        Positive, with mean 1.

    Raises
    ------
    BalanceError
        If there are no galaxies or a vote is not known, or no weights give these means, as when a mean lies outside of
        the votes.
    """
    if largest <= 1:
        msg = f"weights of mean 1 can't all be smaller than {largest}"
        raise BalanceError(msg)
    if not len(votes) or np.isnan(votes).any():
        msg = "galaxies can be weighted only if there are some and all their votes are known"
        raise BalanceError(msg)
    balanced = ~np.isnan(means)
    apart = votes[:, balanced].astype(np.float64) - means[balanced]
    multipliers = np.zeros(apart.shape[1])
    weights, value = _weights(apart, multipliers)
    for _ in range(_STEPS):
        gradient = weights @ apart
        if np.abs(gradient).max(initial=0) <= _TOLERANCE:
            return _cut(weights * len(weights), largest)
        centred = apart - gradient
        curvature = (centred * weights[:, None]).T @ centred
        curvature[np.diag_indices_from(curvature)] += _RIDGE * np.trace(curvature)
        step = -np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while size > _SMALLEST_STEP:
            new_weights, new_value = _weights(apart, multipliers + size * step)
            if new_value <= value + _SUFFICIENT * size * (gradient @ step):
                break
            size /= 2
        multipliers = multipliers + size * step
        weights, value = new_weights, new_value
    msg = (
        f"no weights of {len(votes)} galaxies give the population's means: after {_STEPS} steps one is still off by "
        f"{np.abs(weights @ apart).max():.2g}"
    )
    raise BalanceError(msg)


def _weights(apart: NDArray[np.float64], multipliers: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return weights that add up to 1, and the logarithm of the sum that they were divided by, which is minimised."""
    exponents = apart @ multipliers
    top = exponents.max()
    raw = np.exp(exponents - top)
    return raw / raw.sum(), float(top + np.log(raw.sum()))


def _cut(weights: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Cut weights of mean 1 to `largest`, and raise the others so that the mean stays."""
    held = weights > largest
    while held.any():
        rest = (len(weights) - largest * held.sum()) / weights[~held].sum()
        raised = np.where(held, largest, weights * rest)
        if not (raised > largest).any():
            return raised
        held |= raised > largest
    return weights
