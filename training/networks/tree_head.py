"""From raw outputs to consistent scores: the decision tree as a layer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree, Question


class TreeHead(nn.Module):
    """A softmax for each question, multiplied down the tree by the questions' weights.

    Whatever comes in, the scores that come out add up as the tree says. Independent fractions go through a sigmoid.

    Parameters
    ----------
    tree : DecisionTree
    """

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        self.tree = tree

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits [N, columns] to scores [N, columns], float32."""
        return down_the_tree(self.tree, logits.float(), _softmax)


def _softmax(own: Tensor, question: Question) -> Tensor:
    return own.sigmoid() if question.independent else own.softmax(dim=1)


def down_the_tree(tree: DecisionTree, numbers: Tensor, share: Callable[[Tensor, Question], Tensor]) -> Tensor:
    """Share each question's weight among its answers, from the root of the tree to its leaves.

    Parameters
    ----------
    tree : DecisionTree
    numbers : float32, shape [N, columns]
    share : callable
        A question's own numbers [N, answers], and the question, to vote fractions [N, answers].

    Returns
    -------
    float32, shape [N, columns]
    """
    by_question: dict[str, Tensor] = {}
    by_answer: dict[str, Tensor] = {}
    for question in tree.order:
        scores = share(numbers[:, tree.slices[question.id]], question)
        if question.parent is not None:
            scores = scores * by_answer[question.parent]
        by_question[question.id] = scores
        for position, answer in enumerate(question.answers):
            by_answer[answer.id] = scores[:, position : position + 1]
    return torch.cat([by_question[question.id] for question in tree.questions], dim=1)
