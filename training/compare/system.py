"""A system: how it looks at an image, what computes scores, how it learns, and what others published of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree
from training.compare.views import Look
from training.losses import squared_error


@dataclass(frozen=True)
class System:
    """One of those that are compared.

    Attributes
    ----------
    name
        What the command line calls it.
    what
        What it is, in a few words.
    look
        How it looks at images.
    network
        Makes what maps views to scores float32 [N, columns], or to the fractions of `question` alone.
    reference
        Where it comes from.
    published
        What was published of it, on other galaxies and mostly many more of them.
    question
        The only question that it answers; None if it answers all of them.
    loss
        What it minimises, from scores and votes [N, columns], NaN where a vote is not known.
    learning_rate
        Largest step size of AdamW; None if the best weights are computed at once (least squares).
    made_up
        Whether it learns the tree `candels` from drawn galaxies, since no other images of it are at hand.
    version
        To be raised with every change of the code that `digest` does not show, so that earlier results are not taken
        for those of what it has become.
    """

    name: str
    what: str
    look: Look
    network: Callable[[DecisionTree], nn.Module]
    reference: str = ""
    published: str = ""
    question: str | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = squared_error
    learning_rate: float | None = 1e-3
    made_up: bool = False
    version: int = 1

    def columns(self, tree: DecisionTree) -> slice:
        """Return which of the tree's columns it scores."""
        return slice(None) if self.question is None else tree.slices[self.question]

    def digest(self, network: nn.Module) -> str:
        """Return a SHA-256, in hexadecimal digits, of what the system is.

        Parameters
        ----------
        network : torch.nn.Module
            What `network` made; its layers and their sizes count, not its weights.
        """
        look = repr(self.look) if is_dataclass(self.look) else _name(self.look)
        parts = (f"{self.version}", repr(network), look, self.question or "", _name(self.loss))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _name(function: Callable[..., Tensor]) -> str:
    """Return a function's name: its `repr` has an address, which is another in every process."""
    return function.__qualname__


def cross_entropy(fractions: Tensor, votes: Tensor) -> Tensor:
    """Mean cross-entropy of one question's fractions with the votes, where all of these are known.

    Parameters
    ----------
    fractions, votes : float, shape [N, answers]

    Returns
    -------
    float, shape []
        0 where no votes are known.
    """
    known = ~votes.isnan().any(dim=1)
    terms = -votes.nan_to_num() * torch.log(fractions.clamp(min=1e-7))
    return terms.sum(dim=1)[known].sum() / known.sum().clamp(min=1)
