"""Linear regression on a few values of an image: what any network has to beat."""

import torch
from torch import Tensor, nn


class Regression(nn.Module):
    """Scores that are linear in a few values, cut off at 0 and 1.

    Parameters
    ----------
    values : int
        How many; with none, every image gets the same scores.
    columns : int
        How many scores.
    """

    def __init__(self, values: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(values, columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, values: Tensor) -> Tensor:
        """Map [N, values] to scores [N, columns]."""
        return (values @ self.weight + self.bias).clamp(0, 1)

    @torch.no_grad()
    def fit(self, values: Tensor, votes: Tensor) -> None:
        """Take the weights with the least squared error, column by column, over the votes that are known.

        Parameters
        ----------
        values : float32, shape [N, values]
        votes : float32, shape [N, columns]
            NaN where a vote is not known; a column of which none is known gets the score 0.
        """
        design = torch.cat([values, torch.ones_like(values[:, :1] if values.shape[1] else votes[:, :1])], dim=1)
        for column in range(votes.shape[1]):
            known = ~votes[:, column].isnan()
            if known.any():
                # The pseudo-inverse takes the smallest weights where values depend on each other.
                solution = torch.linalg.pinv(design[known].double()) @ votes[known, column].double()
                self.weight[:, column] = solution[:-1]
                self.bias[column] = solution[-1]
