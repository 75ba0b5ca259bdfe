"""From raw outputs to consistent scores: the decision tree as a layer."""

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree


class DownTheTree(nn.Module):
    """Vote fractions to scores: each multiplied by all that lead to its question, from the root of the tree.

    A tree of depth d takes log2(d) steps, not d: each multiplies a column by the one it points at, which has been
    multiplied by those above it already, and then points as far again (Wyllie 1979, "The complexity of parallel
    computations"). So whatever runs the network has a few nodes to run, not several for each question.

    Parameters
    ----------
    tree : DecisionTree
    """

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        # The root is a further column, of 1, which points at itself.
        root = len(tree.columns)
        above = [
            root if question.parent is None else tree.index[question.parent]
            for question in tree.questions
            for _ in question.answers
        ]
        above.append(root)
        self.steps = 0
        while any(each != root for each in above):
            self.register_buffer(f"above_{self.steps}", torch.tensor(above), persistent=False)
            above = [above[each] for each in above]
            self.steps += 1

    def forward(self, fractions: Tensor) -> Tensor:
        """Map fractions [N, columns + 1], of which the last is 1, to scores [N, columns]."""
        scores = fractions
        for step in range(self.steps):
            scores = scores * scores.index_select(1, self.get_buffer(f"above_{step}"))
        return scores[:, :-1]


class TreeHead(nn.Module):
    """A softmax for each question, multiplied down the tree by the questions' weights.

    Whatever comes in, the scores that come out add up as the tree says. Independent fractions go through a sigmoid.

    All softmaxes are one, over rows of equal length: a question's logits, filled up with minus infinity, of which a
    softmax makes 0. Each row is taken relative to its own largest logit, so that none of them is lost in another's.

    Parameters
    ----------
    tree : DecisionTree
    """

    rows: Tensor
    places: Tensor

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        columns = len(tree.columns)
        impossible, zero = columns, columns + 1
        # A lone logit has all of its row: the column of 1 that `DownTheTree` wants.
        rows, places = [[0]], [(0, 0)] * (columns + 1)
        for question in tree.questions:
            own = range(columns)[tree.slices[question.id]]
            # A sigmoid is a softmax of a logit and 0.
            for row in [[column, zero] for column in own] if question.independent else [list(own)]:
                for position, column in enumerate(row):
                    if column != zero:
                        places[column] = len(rows), position
                rows.append(row)
        self.sigmoids = any(question.independent for question in tree.questions)
        self.questions, self.longest = len(rows), max(len(row) for row in rows)
        filled = [row + [impossible] * (self.longest - len(row)) for row in rows]
        self.register_buffer("rows", torch.tensor(filled).flatten(), persistent=False)
        flat = [row * self.longest + position for row, position in places]
        self.register_buffer("places", torch.tensor(flat), persistent=False)
        self.down_the_tree = DownTheTree(tree)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits [N, columns] to scores [N, columns], float32."""
        logits = nn.functional.pad(logits.float(), (0, 1), value=-torch.inf)
        if self.sigmoids:
            logits = nn.functional.pad(logits, (0, 1))
        rows = logits.index_select(1, self.rows).reshape(-1, self.questions, self.longest)
        scores: Tensor = self.down_the_tree(rows.softmax(dim=2).flatten(1).index_select(1, self.places))
        return scores
