"""Error bars of scores: by how much volunteers' vote fractions differ from them, image by image.

References
----------
Nix & Weigend 1994, ICNN, "Estimating the mean and variance of the target probability distribution": a second output
for the logarithm of the spread. Kuleshov et al. 2018, ICML, "Accurate uncertainties for deep learning using
calibrated regression": recalibration on data of its own.
"""

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree

_FLOOR = 1e-3
_SMALLEST, _LARGEST = -7.0, 0.0
RARE, ASKED = 0.07, 0.13
"""Up to the first weight a question counts as rarely asked, from the second on as asked; a mix of both between them."""

INTERVALS = 2
"""How many half widths of intervals are given: that for 68 % of the vote fractions, and that for 95 %."""


class ErrorBars(nn.Module):
    """Features and scores of images to the intervals about scores that hold 68 % and 95 % of the vote fractions.

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
        # For each interval, for questions that are rarely asked and those that are asked: found last, on other data.
        self.register_buffer("factors", torch.ones(INTERVALS, 2, columns))
        parents = [
            columns if question.parent is None else tree.index[question.parent]
            for question in tree.questions
            for _ in question.answers
        ]
        self.register_buffer("parents", torch.tensor(parents), persistent=False)

    def weights(self, scores: Tensor) -> Tensor:
        """Return for each column what its question's scores add up to: [N, columns]."""
        return nn.functional.pad(scores, (0, 1), value=1.0).index_select(1, self.parents)

    def spread(self, features: Tensor, scores: Tensor) -> Tensor:
        """Return standard deviations of votes about scores, before the calibration: [N, columns]."""
        seen = (features - self.mean) @ self.components
        weights = self.weights(scores)
        share, rest = (scores + _FLOOR).log(), ((weights - scores).clamp(min=0) + _FLOOR).log()
        logarithm = self.body(torch.cat([seen, share, rest], dim=1))
        logarithm = logarithm + self.own[0] * share + self.own[1] * rest + self.own[2]
        spread: Tensor = logarithm.clamp(_SMALLEST, _LARGEST).exp()
        return spread

    def forward(self, features: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [N, features] and scores [N, columns] to both half widths: [N, columns] each."""
        spread = self.spread(features, scores)
        asked = ((self.weights(scores) - RARE) / (ASKED - RARE)).clamp(0, 1)
        narrow, wide = (spread * (own[0] + asked * (own[1] - own[0])) for own in self.factors)
        return narrow, torch.maximum(narrow, wide)
