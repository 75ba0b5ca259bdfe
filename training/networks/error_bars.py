"""Standard errors of scores: by how much volunteers' votes differ from them, image by image.

References
----------
Nix & Weigend 1994, ICNN, "Estimating the mean and variance of the target probability distribution": a second output
for the logarithm of the spread. Kuleshov et al. 2018, ICML, "Accurate uncertainties for deep learning using
calibrated regression": recalibration on data of its own.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree

_FLOOR = 1e-3
_SMALLEST, _LARGEST = -7.0, 0.0
KNOTS = (0.0, 0.1, 0.3, 1.0)
"""Weights of a question between which the recalibration is linear."""


class ErrorBars(nn.Module):
    """Features and scores of images to the standard error of each score.

    Parameters
    ----------
    tree : DecisionTree
    features : int
        How many features an image has.
    components : int
        How many principal components of them are looked at.
    hidden : int
        Units between these and the answer.
    """

    mean: Tensor
    components: Tensor
    factors: Tensor
    parents: Tensor

    def __init__(self, tree: DecisionTree, features: int, components: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.tree = tree
        columns = len(tree.columns)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("components", torch.zeros(features, components))
        self.body = nn.Sequential(
            nn.Linear(components + 2 * columns, hidden), nn.SiLU(), nn.Dropout(0.1), nn.Linear(hidden, columns)
        )
        self.own = nn.Parameter(torch.zeros(3, columns))
        # Factors for each column at each knot, found last of all, on data of their own.
        self.register_buffer("factors", torch.ones(len(KNOTS), columns))
        parents = [
            columns if question.parent is None else tree.index[question.parent]
            for question in tree.questions
            for _ in question.answers
        ]
        self.register_buffer("parents", torch.tensor(parents), persistent=False)

    def weights(self, scores: Tensor) -> Tensor:
        """Return for each column what its question's scores add up to: [N, columns]."""
        padded = torch.cat([scores, torch.ones_like(scores[:, :1])], dim=1)
        return padded[:, self.parents]

    def uncalibrated(self, features: Tensor, scores: Tensor) -> Tensor:
        """Return standard errors before the recalibration: [N, columns]."""
        seen = (features - self.mean) @ self.components
        weights = self.weights(scores)
        share, rest = (scores + _FLOOR).log(), ((weights - scores).clamp(min=0) + _FLOOR).log()
        logarithm = self.body(torch.cat([seen, share, rest], dim=1))
        logarithm = logarithm + self.own[0] * share + self.own[1] * rest + self.own[2]
        spread: Tensor = logarithm.clamp(_SMALLEST, _LARGEST).exp()
        return spread

    def forward(self, features: Tensor, scores: Tensor) -> Tensor:
        """Map features [N, features] and scores [N, columns] to standard errors [N, columns]."""
        return self.uncalibrated(features, scores) * self.correction(scores)

    def correction(self, scores: Tensor) -> Tensor:
        """Return the factors of the recalibration, linear in the weight of the question between the knots."""
        weights = self.weights(scores)
        factors = self.factors[0].expand_as(weights)
        for number, (left, right) in enumerate(pairwise(KNOTS)):
            part = ((weights - left) / (right - left)).clamp(0, 1)
            factors = factors + part * (self.factors[number + 1] - self.factors[number])
        return factors
