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
            (question.id, question.text, [(one.id, one.label, tree.index[one.id]) for one in question.answers])
            for question in tree.questions
        ]

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
        columns = {"scores": _rows(exact, DECIMALS)} | {
            name: _rows(values, COARSE_DECIMALS)
            for name in _ERROR_BARS
            if (values := getattr(averages, name)) is not None
        }
        unlike = None if averages.out_of_domain is None else _rows(averages.out_of_domain, COARSE_DECIMALS)
        answers: list[Answer] = []
        for row, (image, views) in enumerate(zip(images, averages.views, strict=True)):
            answer: Answer = {"model": self._model, "image": dict(image), "views": views}
            answer |= {
                name: dict(zip(self._tree.columns, values[row], strict=True)) for name, values in columns.items()
            }
            if unlike is not None:
                answer["out_of_domain"] = unlike[row]
            answers.append(answer)
        if any(full):
            self._complete(answers, exact, columns, full)
        return answers

    def _complete(
        self, answers: list[Answer], exact: NDArray[np.float64], columns: dict[str, list[Any]], full: Sequence[bool]
    ) -> None:
        fractions, weights = self._tree.fractions(exact), _rows(self._tree.weights(exact), DECIMALS)
        columns = {"score": columns["scores"], "fraction": _rows(fractions, DECIMALS)} | {
            name: values for name, values in columns.items() if name in _ERROR_BARS
        }
        for row in np.flatnonzero(full):
            beside = [(name, values[row]) for name, values in columns.items()]
            answer = answers[row]
            answer["questions"] = [
                {
                    "id": question,
                    "text": text,
                    "weight": weight,
                    "answers": [
                        {"id": one, "label": label, **{name: values[column] for name, values in beside}}
                        for one, label, column in options
                    ],
                }
                for (question, text, options), weight in zip(self._questions, weights[row], strict=True)
            ]
            answer["path"] = self._tree.path(exact[row])
            answer["summary"] = sentence(self._tree, fractions[row].tolist(), answer.get("out_of_domain"))


def _rows(values: NDArray[np.float64], decimals: int) -> list[Any]:
    rows: list[Any] = values.round(decimals).tolist()
    return rows
