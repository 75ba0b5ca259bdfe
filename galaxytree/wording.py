"""What a network says of images, as the values of a `Classification`: plain, and ready to be written as JSON.

Answers are made many at a time and are not checked against their schema, which would cost more than making them; tests
hold that they fit it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from galaxytree.predictions import Averages
from galaxytree.schemas import ImageFacts, ModelName
from galaxytree.summary import sentence

DECIMALS = 8
"""Scores are written with so many decimals: sums of eleven of them still hold to far better than 1e-6."""

COARSE_DECIMALS = 6
"""Error bars and `out_of_domain` are written with so many: they add up to nothing, but hold to 1e-5 however an image
lies."""

_ERROR_BARS = ("uncertainty", "uncertainty_95")

Answer = dict[str, Any]


class Wording:
    """Puts the answers of one network into words.

    Parameters
    ----------
    tree : DecisionTree
    model : ModelName
    """

    def __init__(self, tree: DecisionTree, model: ModelName) -> None:
        self._tree = tree
        self._model = dict(model)
        self._questions = [
            (question.id, question.text, [(one.id, one.label) for one in question.answers])
            for question in tree.questions
        ]
        count = len(tree.columns)
        decimals = [DECIMALS] * count + [COARSE_DECIMALS] * (len(_ERROR_BARS) * count + 1)
        self._steps = np.array([10.0**each for each in decimals])

    def answers(self, averages: Averages, images: Sequence[ImageFacts], full: Sequence[bool]) -> list[Answer]:
        """Return what `Classification` holds, for M images.

        Parameters
        ----------
        averages : Averages
            M rows. Scores add up to about what they should; they are normalised in float64, so that they do exactly.
        images : sequence of M ImageFacts
        full : sequence of M bool
            Whether to give questions, path and summary beside the scores.

        Returns
        -------
        list of M dict
            What is not known is left out.
        """
        exact = self._tree.normalise(averages.scores)
        bars = [name for name in _ERROR_BARS if getattr(averages, name) is not None]
        unlike = averages.out_of_domain
        # Rounded in one array: each step of numpy costs more than what it does to so few numbers.
        parts = [exact, *(getattr(averages, name) for name in bars), *([] if unlike is None else [unlike[:, None]])]
        steps = self._steps[: sum(part.shape[1] for part in parts)]
        rows: list[list[float]] = (np.rint(np.concatenate(parts, axis=1) * steps) / steps).tolist()
        columns, answers = self._tree.columns, []
        for row, image, views in zip(rows, images, averages.views, strict=True):
            answer: Answer = {"model": self._model, "image": vars(image), "views": views}
            for place, name in enumerate(("scores", *bars)):
                start = place * len(columns)
                answer[name] = dict(zip(columns, row[start : start + len(columns)], strict=True))
            if unlike is not None:
                answer["out_of_domain"] = row[-1]
            answers.append(answer)
        if any(full):
            self._complete(answers, exact, full)
        return answers

    def _complete(self, answers: list[Answer], exact: NDArray[np.float64], full: Sequence[bool]) -> None:
        fractions, weights = self._tree.fractions(exact), _rows(self._tree.weights(exact))
        shown = _rows(fractions)
        for row in np.flatnonzero(full):
            answer = answers[row]
            beside = {"score": answer["scores"], "fraction": dict(zip(self._tree.columns, shown[row], strict=True))}
            beside |= {name: answer[name] for name in _ERROR_BARS if name in answer}
            answer["questions"] = [
                {
                    "id": question,
                    "text": text,
                    "weight": weight,
                    "answers": [
                        {"id": one, "label": label, **{name: values[one] for name, values in beside.items()}}
                        for one, label in options
                    ],
                }
                for (question, text, options), weight in zip(self._questions, weights[row], strict=True)
            ]
            answer["path"] = self._tree.path(exact[row])
            answer["summary"] = sentence(self._tree, fractions[row].tolist(), answer.get("out_of_domain"))


def _rows(values: NDArray[np.float64]) -> list[list[float]]:
    rows: list[list[float]] = values.round(DECIMALS).tolist()
    return rows
