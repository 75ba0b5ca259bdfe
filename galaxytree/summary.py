"""One English sentence for a score vector, hedged where the votes would be split.

The words are the tree's own: each answer carries a phrase, whose placeholders stand for the phrases of other questions'
answers. How sure a phrase sounds depends on the margin between the two likeliest vote fractions of its question.
"""

import string
from collections.abc import Sequence
from enum import IntEnum
from functools import cache

from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, Floats, Question
from galaxytree.predictions import flagged

PROBABLE_MARGIN = 0.4
"""Below this margin of vote fractions a phrase says "probably" (two answers: fewer than 70 of 100)."""

SPLIT_MARGIN = 0.15
"""Below this margin a phrase says "perhaps", and the votes are called split (two answers: fewer than 57.5 of 100)."""

WARNING = "This does not look like the galaxies the model knows; take the answer with care."


class Certainty(IntEnum):
    """How sure a phrase sounds."""

    SPLIT = 0
    PROBABLE = 1
    CLEAR = 2

    @property
    def hedge(self) -> str:
        """The word in front of a phrase."""
        return ("perhaps ", "probably ", "")[self]


def certainty(margin: float) -> Certainty:
    """How sure the likeliest answer is, from its lead in vote fractions over the next one."""
    if margin < SPLIT_MARGIN:
        return Certainty.SPLIT
    return Certainty.PROBABLE if margin < PROBABLE_MARGIN else Certainty.CLEAR


def summarise(tree: DecisionTree, scores: NDArray[Floats], out_of_domain: float | None = None) -> str:
    """Say in a sentence or two what the voters would have said.

    Parameters
    ----------
    tree : DecisionTree
    scores : array of float32 or float64, shape [columns]
        Consistent scores.
    out_of_domain : float or None
        How unlike its training images the network finds the picture, from 0 to 1; where that is `flagged`, the
        answer begins with a warning.

    Returns
    -------
    str
    """
    return sentence(tree, tree.fractions(scores).tolist(), out_of_domain)


def sentence(tree: DecisionTree, fractions: Sequence[float], out_of_domain: float | None = None) -> str:
    """Say the same of vote fractions, one a column."""
    writer = _Writer(tree, fractions)
    text = writer.fill(tree.sentence, Certainty.CLEAR)
    text = text[0].upper() + text[1:] + "."
    if flagged(out_of_domain):
        text = f"{WARNING} {text}"
    if writer.split:
        text += f" The {tree.voters} would be split on {_enumerate(writer.split)}."
    return text


class _Writer:
    """Fills phrases in, and remembers on which topics the votes are split."""

    def __init__(self, tree: DecisionTree, fractions: Sequence[float]) -> None:
        self._tree = tree
        self._fractions = fractions
        self.split: list[str] = []

    def fill(self, phrase: str, cover: Certainty) -> str:
        """Fill a phrase's placeholders; `cover` is the hedge said before it, which reaches as far as a semicolon."""
        text = ""
        for literal, question_id in _parts(phrase):
            text += literal
            if ";" in literal:
                cover = Certainty.CLEAR
            if question_id:
                text += self._answer(self._tree.question(question_id), cover)
        return text

    def _answer(self, question: Question, cover: Certainty) -> str:
        own = self._fractions[self._tree.slices[question.id]]
        if question.independent:
            return _components(question, own)
        # Of equal ones the first in the table; sorting keeps their order.
        first, second = sorted(range(len(own)), key=own.__getitem__, reverse=True)[:2]
        answer, runner_up = question.answers[first], question.answers[second]
        sure = certainty(own[first] - own[second])
        if sure is Certainty.SPLIT:
            self.split.append(answer.topic or runner_up.topic or question.topic)
        text = self.fill(answer.phrase, min(sure, cover))
        # A phrase that begins with another question's may be hedged already, and then by the less sure of the two.
        return text if sure >= cover or text.startswith(_HEDGES) else sure.hedge + text


_HEDGES = tuple(level.hedge for level in Certainty if level.hedge)


@cache
def _parts(phrase: str) -> tuple[tuple[str, str | None], ...]:
    """Split a phrase of a tree's table into literal texts, each with the question whose phrase follows, if any does."""
    return tuple((literal, question_id) for literal, question_id, _, _ in string.Formatter().parse(phrase))


def _components(question: Question, fractions: Sequence[float]) -> str:
    """Enumerate independent components: those that most saw, and as uncertain those that about half saw."""
    shown = []
    for answer, fraction in zip(question.answers, fractions, strict=True):
        margin = 2 * fraction - 1
        if margin > -SPLIT_MARGIN:
            shown.append(certainty(margin).hedge + answer.phrase)
    return _enumerate(shown) if shown else "nothing that most would agree on"


def _enumerate(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]
