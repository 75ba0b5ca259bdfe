"""What travels on the wire, used by the service and by the client."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from galaxytree.decision_tree import DecisionTree, Floats, Question
from galaxytree.summary import summarise

DECIMALS = 8
"""Scores are written with so many decimals: sums of eleven of them still hold to far better than 1e-6."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Message):
    """An error, as RFC 9457 has it: ``application/problem+json``."""

    type: Annotated[str, Field(description="A URI that names the kind of problem", examples=["about:blank"])]
    title: Annotated[str, Field(description="The kind of problem in words")]
    status: Annotated[int, Field(description="HTTP status")]
    detail: Annotated[str, Field(description="What is wrong with this request, and what to do")]
    code: Annotated[str, Field(description="Stable word for programs", examples=["undecodable_image"])]


class ModelName(_Message):
    """Which network answered."""

    name: str
    version: str
    tree: Annotated[str, Field(description="Name of the decision tree that the scores belong to")]


class ImageFacts(_Message):
    """What the service saw."""

    sha256: Annotated[str, Field(description="SHA-256 of the bytes, in hexadecimal")]
    format: Annotated[str, Field(examples=["JPEG", "PNG"])]
    width: Annotated[int, Field(description="Pixels, after the rotation that EXIF asks for")]
    height: Annotated[int, Field(description="Pixels, after the rotation that EXIF asks for")]


class AnswerScore(_Message):
    """One answer's part of the votes."""

    id: str
    label: str
    score: Annotated[float, Field(description="Part of all voters, weighted as in the Kaggle challenge")]
    fraction: Annotated[float, Field(description="score / weight: part of those who were asked")]


class QuestionScores(_Message):
    """One question with the votes on its answers."""

    id: str
    text: str
    weight: Annotated[float, Field(description="What the scores of the answers add up to")]
    answers: tuple[AnswerScore, ...]


class Classification(_Message):
    """The answer for one image; `questions`, `path` and `summary` are left out for ``detail=scores``."""

    model: ModelName
    image: ImageFacts
    scores: Annotated[dict[str, float], Field(description="Weighted scores, in the order of the tree")]
    questions: Annotated[tuple[QuestionScores, ...] | None, Field(description="The scores by question")] = None
    path: Annotated[tuple[str, ...] | None, Field(description="Likeliest answers, from first question to end")] = None
    summary: Annotated[str | None, Field(description="The answer in a sentence")] = None

    @classmethod
    def of(
        cls, tree: DecisionTree, scores: NDArray[Floats], model: ModelName, image: ImageFacts, *, full: bool
    ) -> Self:
        """Put one score vector into words.

        Parameters
        ----------
        tree : DecisionTree
        scores : array of float32 or float64, shape [columns]
            Scores that add up to about what they should; they are normalised in float64, so that they do exactly.
        model : ModelName
        image : ImageFacts
        full : bool
            Whether to give questions, path and summary beside the scores.
        """
        exact = tree.normalise(scores.astype(np.float64))
        named = dict(zip(tree.columns, exact.round(DECIMALS).tolist(), strict=True))
        if not full:
            return cls(model=model, image=image, scores=named)
        fractions, weights = tree.fractions(exact), tree.weights(exact)
        questions = tuple(
            _question(question, exact[own], fractions[own], float(weight))
            for question, own, weight in zip(tree.questions, tree.slices.values(), weights, strict=True)
        )
        return cls(
            model=model,
            image=image,
            scores=named,
            questions=questions,
            path=tuple(tree.path(exact)),
            summary=summarise(tree, exact),
        )


def _question(
    question: Question, scores: NDArray[np.float64], fractions: NDArray[np.float64], weight: float
) -> QuestionScores:
    answers = tuple(
        AnswerScore(id=answer.id, label=answer.label, score=round(score, DECIMALS), fraction=round(fraction, DECIMALS))
        for answer, score, fraction in zip(question.answers, scores.tolist(), fractions.tolist(), strict=True)
    )
    return QuestionScores(id=question.id, text=question.text, weight=round(weight, DECIMALS), answers=answers)


class Health(_Message):
    """Whether the service lives, or is ready for images."""

    status: Annotated[str, Field(examples=["live", "ready"])]
