"""Whether an answer is the right one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import cycle
from typing import Any

import orjson

from benchmarks.client import post
from benchmarks.failures import NotServedError
from benchmarks.faults.accounts import Outcome
from benchmarks.faults.asking import Ask, Check, Line
from benchmarks.images import BOUNDARY, as_form

TOLERANCE = 1e-4
REFUSALS = {(429, "overloaded"), (429, "rate_limited"), (503, "not_ready"), (408, "body_timeout")}
"""Answers that tell a client, in time, that its request is not taken."""

_FORMS = 8
ANSWERED = Outcome("answered", "200")


def judged(status: int, body: bytes, wanted: int, right: "Right") -> Outcome:
    """Judge an answer that should have a status and hold the right things."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Outcome("lost", f"{status} without JSON")
    if status == wanted:
        return ANSWERED if right(said) else Outcome("lost", f"{status} with a wrong answer")
    why = (status, str(said.get("code")) if isinstance(said, dict) else "")
    return Outcome("refused" if why in REFUSALS else "lost", f"{why[0]} {why[1]}".strip())


class Right:
    """Whether the content of an answer is right; this one doesn't care."""

    def __call__(self, said: Any) -> bool:  # noqa: ANN401  (whatever JSON can hold)
        """Judge."""
        return said is not None


@dataclass
class Scores(Right):
    """Whether scores are those that the same image got when nothing was the matter.

    Attributes
    ----------
    versions
        Of the models that said they made the answers.
    """

    expected: dict[str, float]
    versions: set[str] = field(default_factory=set)

    def __call__(self, said: Any) -> bool:  # noqa: ANN401
        """Judge."""
        if not isinstance(said, dict) or not isinstance(said.get("scores"), dict):
            return False
        scores = said["scores"]
        self.versions.add(str(said.get("model", {}).get("version")))
        return scores.keys() == self.expected.keys() and all(
            isinstance(scores[name], float | int) and abs(scores[name] - value) <= TOLERANCE
            for name, value in self.expected.items()
        )


@dataclass
class Code(Right):
    """Whether a problem has a code."""

    code: str

    def __call__(self, said: Any) -> bool:  # noqa: ANN401
        """Judge."""
        return isinstance(said, dict) and said.get("code") == self.code


@dataclass
class Failed(Right):
    """Whether a batch is answered whole, each of so many images with one of some errors."""

    number: int
    codes: frozenset[str]

    def __call__(self, said: Any) -> bool:  # noqa: ANN401
        """Judge."""
        results = said.get("results", []) if isinstance(said, dict) else []
        return len(results) == self.number and all(
            isinstance(each.get("error"), dict) and each["error"].get("code") in self.codes for each in results
        )


def expecting(status: int, right: Right) -> Check:
    """Return what judges answers that should have a status and hold the right things."""
    return partial(judged, wanted=status, right=right)


@dataclass(frozen=True)
class Asks:
    """Good requests, whose right answers are known.

    Attributes
    ----------
    versions
        Of the models that said they made the answers, in any order.
    """

    every: tuple[Ask, ...]
    versions: set[str]

    @classmethod
    async def learn(cls, port: int, path: str, images: Sequence[bytes]) -> "Asks":
        """Ask for each image by itself, and keep the answers as what is right; NotServedError if one is none.

        One in some is then sent as a form.
        """
        line, versions = Line(port), set[str]()
        try:
            return cls(tuple([await _learnt(line, path, each, versions) for each in enumerate(images)]), versions)
        finally:
            line.close()

    def in_turn(self) -> "cycle[Ask]":
        """Return them again and again."""
        return cycle(self.every)


async def _learnt(line: Line, path: str, numbered: tuple[int, bytes], versions: set[str]) -> Ask:
    number, image = numbered
    said: list[Any] = []
    outcome = await line.ask(Ask(post(path, image), expecting(HTTPStatus.OK, _Keep(said))))
    if outcome.fate != "answered" or not isinstance(said[0].get("scores"), dict):
        msg = f"an image by itself was answered {outcome.why}"
        raise NotServedError(msg)
    check = expecting(HTTPStatus.OK, Scores(said[0]["scores"], versions))
    form = number % _FORMS == _FORMS - 1
    body = as_form(image).replace(b'name="files"', b'name="file"') if form else image
    kind = f"multipart/form-data; boundary={BOUNDARY}" if form else "image/jpeg"
    return Ask(post(path, body, kind), check)


@dataclass
class _Keep(Right):
    said: list[Any]

    def __call__(self, said: Any) -> bool:  # noqa: ANN401
        self.said.append(said)
        return isinstance(said, dict)
