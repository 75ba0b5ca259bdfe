"""What became of requests, counted so that nothing that was accepted can get lost among what was refused.

A request is *accepted* once its whole body was taken and no refusal was given. So each that was sent is one of four:

answered
    As it should be: its status, and every score, to 1e-4.
refused
    With a 429, a 503 ``not_ready`` or a 408, each with its code: the client was told before anything was promised.
away
    Never taken: there was no connection to be had, or the kernel says that the service closed this one with the request
    unread (a reset, as Linux sends it for bytes that nobody read, or that came after the end).
lost
    Accepted, and not answered: the connection ended in good order with no answer or in the middle of one, or it was any
    other error (500, 503 ``deadline_exceeded``), or not what the network says of this image, or nothing for a minute.
"""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, PrivateAttr

from benchmarks.percentiles import Percentiles

_MOST_TIMES = 1_000_000

Fate = Literal["answered", "refused", "away", "lost"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes
    ----------
    why
        In words: status and code, or how the connection ended.
    seconds
        From when it was to be sent.
    """

    fate: Fate
    why: str
    seconds: float = 0.0


class Accounts(BaseModel):
    """What became of all requests of a kind.

    Attributes
    ----------
    refused, away, lost
        How many, by reason.
    """

    answered: int = 0
    refused: dict[str, int] = {}
    away: dict[str, int] = {}
    lost: dict[str, int] = {}
    times: Percentiles = Percentiles.of([])

    _seconds: list[float] = PrivateAttr(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many were accepted."""
        return self.answered + self.lost_in_all

    @property
    def lost_in_all(self) -> int:
        """How many were accepted and not answered."""
        return sum(self.lost.values())

    @property
    def sent(self) -> int:
        """How many there were."""
        return self.accepted + sum(self.refused.values()) + sum(self.away.values())

    @property
    def seconds(self) -> tuple[float, ...]:
        """How long each took that was answered, in this program's run."""
        return tuple(self._seconds)

    def note(self, outcome: Outcome) -> None:
        """Count one."""
        if outcome.fate == "answered":
            self.answered += 1
            self._note_time(outcome.seconds)
        else:
            counts: dict[str, int] = getattr(self, outcome.fate)
            counts[outcome.why] = counts.get(outcome.why, 0) + 1

    def _note_time(self, seconds: float) -> None:
        if len(self._seconds) < _MOST_TIMES:
            self._seconds.append(seconds)
        # Of those of a run of days so many are kept, each as likely as any other.
        elif (place := random.randrange(self.answered)) < _MOST_TIMES:
            self._seconds[place] = seconds

    def close(self) -> None:
        """Sum up the times."""
        self.times = Percentiles.of(self._seconds)

    def add(self, other: "Accounts") -> None:
        """Add those of another run."""
        self.answered += other.answered
        for name in ("refused", "away", "lost"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))
        self._seconds += other.seconds
        self.close()


def in_words(counts: dict[str, int]) -> str:
    """Return counts by reason in words."""
    return ", ".join(f"{number:,} {why}" for why, number in sorted(counts.items())) or "0"
