"""Decision trees as values: questions, answers, what their scores add up to, and the algebra on scores.

A tree is read from a table in ``galaxytree/trees``. Its scores are a vector with one entry an answer, in the order of
the table. A *score* is weighted: it is the part of all voters who reached the question and gave this answer. What the
scores of one question add up to is its *weight*; score / weight is the *vote fraction* among those who were asked.

All sums are linear in the scores, so an average of consistent score vectors is consistent.

References
----------
Willett et al. 2013, MNRAS 435, 2835 (Galaxy Zoo 2); Huertas-Company et al. 2015, ApJS 221, 8 (CANDELS).
"""

import string
import tomllib
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxytree.layout import Layout

Floats = TypeVar("Floats", np.float32, np.float64)

END = "end"
INDEPENDENT = "independent"


class UnknownTreeError(LookupError):
    """No table of this name is in ``galaxytree/trees``."""


class InconsistentScoresError(ValueError):
    """Scores that do not add up as the tree says, or are negative or not finite."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Value):
    """One answer to a question."""

    id: Annotated[str, Field(description="Name of the answer's score", examples=["Class1.1"])]
    label: Annotated[str, Field(description="What the answer means, in a word or two")]
    next: Annotated[str, Field(description="The question that follows, or `end`")]
    phrase: Annotated[str, Field(description="What a summary says; `{Q7}` stands for the phrase of the answer to Q7")]
    topic: Annotated[str | None, Field(description="What the votes are split on where this answer takes part")] = None
    release: Annotated[str | None, Field(description="Column in the public release, without its ending")] = None

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Questions whose phrases this answer's phrase refers to."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.phrase) if name)


class Question(_Value):
    """One question, its answers in the order of the table, and what their scores add up to."""

    id: Annotated[str, Field(examples=["Q1"])]
    text: Annotated[str, Field(description="The question as the voters read it")]
    topic: Annotated[str, Field(description="What a summary says the votes are split on")]
    adds_up_to: Annotated[
        Literal[1] | str,
        Field(description="What the scores add up to: 1, the score of this answer, or nothing (`independent`)"),
    ]
    answers: Annotated[tuple[Answer, ...], Field(min_length=1)]

    @property
    def independent(self) -> bool:
        """Whether each answer is a fraction of its own, with no sum to keep."""
        return self.adds_up_to == INDEPENDENT

    @property
    def parent(self) -> str | None:
        """The answer whose score is this question's weight; None where the weight is 1."""
        return None if self.adds_up_to in (1, INDEPENDENT) else str(self.adds_up_to)


class DecisionTree(_Value):
    """A decision tree of visual morphology.

    Attributes
    ----------
    name, title
        What models and programs call the tree, and what people do.
    voters
        Who answered the questions: ``volunteers`` or ``classifiers``.
    sentence
        Where a summary starts, a phrase with placeholders.
    references
        Where the tree was published.
    questions
        The questions; the answers of all of them, in this order, are the columns of a score vector.
    """

    name: str
    title: str
    voters: str
    sentence: str
    references: tuple[str, ...]
    questions: tuple[Question, ...]

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        columns, ids = list(self.columns), [question.id for question in self.questions]
        if len(set(columns)) != len(columns) or len(set(ids)) != len(ids):
            msg = f"{self.name}: two questions or two answers share an id"
            raise ValueError(msg)
        for question in self.questions:
            if question.parent is not None and question.parent not in columns:
                msg = f"{self.name}: {question.id} adds up to {question.parent}, which is no answer"
                raise ValueError(msg)
            if len(question.answers) == 1 and not question.independent:
                msg = f"{self.name}: {question.id} has one answer only"
                raise ValueError(msg)
            for answer in question.answers:
                unknown = {answer.next, *answer.placeholders} - {END, *ids}
                if unknown:
                    msg = f"{self.name}: {answer.id} refers to {', '.join(sorted(unknown))}, which is no question"
                    raise ValueError(msg)
        for what, links in self._links().items():
            try:
                TopologicalSorter(links).prepare()
            except CycleError as error:
                msg = f"{self.name}: some questions {what} each other in a circle"
                raise ValueError(msg) from error
        return self

    def _links(self) -> dict[str, dict[str, set[str]]]:
        """Return which questions each one leads to, in each of the three ways."""
        asked_by = {answer.id: question.id for question in self.questions for answer in question.answers}
        return {
            "add up to answers of": {
                each.id: {asked_by[each.parent]} if each.parent else set() for each in self.questions
            },
            "follow": {each.id: {answer.next for answer in each.answers} - {END} for each in self.questions},
            "say the phrases of": {
                each.id: {name for answer in each.answers for name in answer.placeholders} for each in self.questions
            },
        }

    # What derives from the table.

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores, in order."""
        return tuple(answer.id for question in self.questions for answer in question.answers)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each answer's score in a score vector."""
        return {column: position for position, column in enumerate(self.columns)}

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each question's scores lie in a score vector."""
        return {
            question.id: slice(self.index[question.answers[0].id], self.index[question.answers[-1].id] + 1)
            for question in self.questions
        }

    @cached_property
    def order(self) -> tuple[Question, ...]:
        """The questions, each after the one whose answer is its weight."""
        ids = TopologicalSorter(self._links()["add up to answers of"]).static_order()
        return tuple(self.question(each) for each in ids)

    @cached_property
    def _layout(self) -> Layout:
        return Layout.of(
            [len(question.answers) for question in self.questions],
            [None if question.parent is None else self.index[question.parent] for question in self.questions],
            [question.independent for question in self.questions],
        )

    def question(self, question_id: str) -> Question:
        """Return the question of this id; KeyError if there is none."""
        return self._by_id[question_id]

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.id: question for question in self.questions}

    # The algebra. Everything works on the last axis and in float64, and answers in the dtype that came in.

    def normalise(self, raw: NDArray[Floats]) -> NDArray[Floats]:
        """Turn non-negative raw outputs into scores that add up as the tree says.

        Each question's outputs are divided by their sum and multiplied by the question's weight, from the root of the
        tree to its leaves. Normalising scores that add up already changes nothing.

        Raw outputs that are negative or NaN count as 0: they are no evidence for an answer. A question whose outputs
        are all 0 then tells nothing, and its weight is shared out equally. An infinite output outweighs every finite
        one; several share equally. Independent fractions are brought to between 0 and 1, and NaN becomes 0.

        Parameters
        ----------
        raw : array of float32 or float64, shape [columns] or [N, columns]

        Returns
        -------
        array of the same shape and dtype

        Raises
        ------
        ValueError
            If the last axis does not hold one entry an answer, or the array has neither one nor two axes.
        """
        evidence = self._rows(raw)
        # Not so of NaN either.
        if not np.minimum.reduce(evidence, axis=None, initial=1.0) > 0:
            # Of a number and NaN `fmax` takes the number; adding 0 takes the sign from -0.
            evidence = np.fmax(evidence, 0.0) + 0.0
        shares = self._layout.shares(evidence)
        if self._layout.some_independent:
            shares = np.where(self._layout.independent, np.minimum(evidence, 1.0), shares)
        return self._layout.descend(shares).astype(raw.dtype, copy=False)

    def weights(self, scores: NDArray[Floats]) -> NDArray[Floats]:
        """Return what each question's scores are to add up to; shape [questions] or [N, questions]."""
        return self._layout.weights(self._rows(scores)).astype(scores.dtype)

    def violations(self, scores: NDArray[Floats]) -> NDArray[Floats]:
        """Return each question's sum of scores less its weight; 0 for independent fractions.

        Parameters
        ----------
        scores : array of float32 or float64, shape [columns] or [N, columns]

        Returns
        -------
        array, shape [questions] or [N, questions], same dtype
        """
        rows = self._rows(scores)
        excess = self._layout.sums(rows) - self._layout.weights(rows)
        free = self._layout.independent[self._layout.starts]
        return np.where(free, 0.0, excess).astype(scores.dtype)

    def check(self, scores: NDArray[Floats], tolerance: float = 1e-6) -> None:
        """Hold scores against every sum of the tree.

        Raises
        ------
        InconsistentScoresError
            If a score is not finite, below -`tolerance` or above 1 + `tolerance`, or if a sum is off by more than it.
        """
        rows = self._rows(scores)
        if not np.isfinite(rows).all():
            msg = "a score is not a finite number"
            raise InconsistentScoresError(msg)
        if rows.size and (rows.min() < -tolerance or rows.max() > 1 + tolerance):
            msg = f"scores lie between {rows.min():.3g} and {rows.max():.3g}, not between 0 and 1"
            raise InconsistentScoresError(msg)
        excess = np.abs(self.violations(rows)).reshape(-1, len(self.questions))
        if excess.size and excess.max() > tolerance:
            row, column = np.unravel_index(excess.argmax(), excess.shape)
            question = self.questions[column]
            off = f"off by {excess[row, column]:.3g} in row {row}"
            msg = f"{question.id} does not add up to {question.adds_up_to}: {off}"
            raise InconsistentScoresError(msg)

    def fractions(self, scores: NDArray[Floats]) -> NDArray[Floats]:
        """Return the vote fractions among those who were asked: score / weight, and 0 where the weight is 0.

        Parameters
        ----------
        scores : array of float32 or float64, shape [columns] or [N, columns]

        Returns
        -------
        array of the same shape and dtype
        """
        rows = self._rows(scores)
        weights = self._layout.weights(rows)[..., self._layout.question_of]
        fractions = np.divide(rows, weights, out=np.zeros_like(rows), where=weights > 0)
        return np.minimum(fractions, 1.0).astype(scores.dtype)

    def scores(self, fractions: NDArray[Floats]) -> NDArray[Floats]:
        """Multiply vote fractions down the tree into scores; the reverse of `fractions`.

        Nothing is normalised: fractions that do not add up to 1 give scores that do not add up, and NaN stays NaN in
        every score that depends on it.
        """
        return self._layout.descend(self._rows(fractions)).astype(fractions.dtype)

    def path(self, scores: NDArray[Floats]) -> list[str]:
        """Follow the likeliest answer of each question from the first one to the end.

        Of answers with equal scores the first in the table is taken. Of independent fractions, those of at least one
        half are on the path, in the order of the table.

        Parameters
        ----------
        scores : array of float32 or float64, shape [columns]

        Returns
        -------
        list of str
            Ids of the answers.
        """
        path: list[str] = []
        upcoming = self.questions[0].id
        while upcoming != END:
            question = self.question(upcoming)
            own = scores[self.slices[question.id]]
            if question.independent:
                path += [answer.id for answer, score in zip(question.answers, own, strict=True) if score >= 0.5]
                break
            answer = question.answers[int(own.argmax())]
            path.append(answer.id)
            upcoming = answer.next
        return path

    def paths(self, scores: NDArray[Floats]) -> list[list[str]]:
        """Return the `path` of each row; shape [N, columns]."""
        return [self.path(row) for row in scores]

    def _rows(self, values: NDArray[Floats]) -> NDArray[np.float64]:
        if values.ndim not in (1, 2) or values.shape[-1] != len(self.columns):
            msg = f"{self.name} has {len(self.columns)} scores; an array of shape {list(values.shape)} does not fit"
            raise ValueError(msg)
        return values.astype(np.float64, copy=False)


_TABLES = files("galaxytree") / "trees"


def tree_names() -> list[str]:
    """Return the names of the trees there are."""
    return sorted(table.name.removesuffix(".toml") for table in _TABLES.iterdir() if table.name.endswith(".toml"))


@cache
def load_tree(name: str) -> DecisionTree:
    """Read a tree from its table.

    Raises
    ------
    UnknownTreeError
        If there is no table of this name; the message lists those there are.
    """
    if name not in tree_names():
        msg = f"there is no decision tree {name!r}; known are {', '.join(tree_names())}"
        raise UnknownTreeError(msg)
    return DecisionTree.model_validate(tomllib.loads((_TABLES / f"{name}.toml").read_text("utf-8")))
