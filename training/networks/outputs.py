"""From the numbers that a network ends in to scores: the ways in which this has been done.

Only a softmax for each question gives consistent scores by its nature; the others are here to be measured against it.
"""

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree, Question
from training.networks.tree_head import DownTheTree, TreeHead

OUTPUTS: dict[str, type["Output"]] = {}
"""Name -> how scores are made."""


class Output(nn.Module):
    """Logits [N, columns] to scores float32 [N, columns].

    Parameters
    ----------
    tree : DecisionTree
    """

    consistent = True
    """Whether scores always add up as the tree says; a model file must hold such."""

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        self.tree = tree

    def __init_subclass__(cls, *, name: str) -> None:
        """Enter a way under its name."""
        super().__init_subclass__()
        OUTPUTS[name] = cls


class SoftmaxTree(Output, name="softmax-tree"):
    """A softmax for each question, multiplied down the tree."""

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__(tree)
        self.scores = TreeHead(tree)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits to scores."""
        scores: Tensor = self.scores(logits)
        return scores


class Temperature(Output, name="softmax-temperature"):
    """The same, each question's logits divided by a temperature that is learnt too."""

    question_of: Tensor

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__(tree)
        self.scores = TreeHead(tree)
        self.logarithm = nn.Parameter(torch.zeros(len(tree.questions)))
        answers = torch.tensor([len(question.answers) for question in tree.questions])
        question_of = torch.arange(len(answers)).repeat_interleave(answers)
        self.register_buffer("question_of", question_of, persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits to scores."""
        scores: Tensor = self.scores(logits.float() * torch.exp(-self.logarithm)[self.question_of])
        return scores


class Sigmoid(Output, name="sigmoid"):
    """A sigmoid for each column, whatever the others say."""

    consistent = False

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits to scores."""
        return logits.float().sigmoid()


class ProjectedSigmoid(Output, name="sigmoid-projected"):
    """The same, moved to the nearest point at which all sums hold; a score may then be below 0."""

    consistent = False
    onto: Tensor
    offset: Tensor

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__(tree)
        questions = [question for question in tree.questions if not question.independent]
        matrix = torch.zeros(len(questions), len(tree.columns), dtype=torch.float64)
        totals = torch.zeros(len(questions), dtype=torch.float64)
        for row, question in enumerate(questions):
            matrix[row, tree.slices[question.id]] = 1
            if question.parent is None:
                totals[row] = 1
            else:
                matrix[row, tree.index[question.parent]] = -1
        inverse = torch.linalg.pinv(matrix)
        self.register_buffer("onto", (torch.eye(len(tree.columns)) - inverse @ matrix).float(), persistent=False)
        self.register_buffer("offset", (inverse @ totals).float(), persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits to scores."""
        with torch.autocast(logits.device.type, enabled=False):
            scores: Tensor = logits.float().sigmoid() @ self.onto.T + self.offset
            return scores


class Divided(Output, name="rectified-divided"):
    """Rectified numbers, divided by their sum over the question (Dieleman et al. 2015, MNRAS 450, 1441)."""

    _FLOOR = 1e-6

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__(tree)
        self.scores = DownTheTree(tree)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits to scores."""
        # Begins at 1, as a softmax's numerator does: at 0, half of the columns would begin without a gradient.
        evidence = (logits.float() + 1).relu() + self._FLOOR
        fractions = [_divided(evidence[:, self.tree.slices[each.id]], each) for each in self.tree.questions]
        scores: Tensor = self.scores(torch.cat([*fractions, torch.ones_like(evidence[:, :1])], dim=1))
        return scores


def _divided(own: Tensor, question: Question) -> Tensor:
    return own / (1 + own) if question.independent else own / own.sum(dim=1, keepdim=True)
