"""From raw outputs to consistent scores: the decision tree as a layer."""

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree


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
        logits = logits.float()
        by_question: dict[str, Tensor] = {}
        by_answer: dict[str, Tensor] = {}
        for question in self.tree.order:
            own = logits[:, self.tree.slices[question.id]]
            scores = own.sigmoid() if question.independent else own.softmax(dim=1)
            if question.parent is not None:
                scores = scores * by_answer[question.parent]
            by_question[question.id] = scores
            for position, answer in enumerate(question.answers):
                by_answer[answer.id] = scores[:, position : position + 1]
        return torch.cat([by_question[question.id] for question in self.tree.questions], dim=1)
