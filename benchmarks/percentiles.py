"""Percentiles of times."""

import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator

# JSON has no NaN: pydantic writes null.
Milliseconds = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class Percentiles(BaseModel):
    """How times are distributed, in milliseconds; of none at all, each is NaN.

    Attributes
    ----------
    number
        Of how many times.
    """

    number: int
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    most_ms: Milliseconds

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Sum up times in seconds."""
        ordered = sorted(seconds)
        p50, p95, p99, most = (1000 * nearest(ordered, part) for part in (0.5, 0.95, 0.99, 1.0))
        return cls(number=len(ordered), p50_ms=p50, p95_ms=p95, p99_ms=p99, most_ms=most)

    def __str__(self) -> str:
        return f"p50 {self.p50_ms:.1f}, p95 {self.p95_ms:.1f}, p99 {self.p99_ms:.1f} ms" if self.number else "none"


def nearest(ordered: Sequence[float], part: float) -> float:
    """Return the smallest value that so large a part of the values do not exceed (nearest rank); NaN of none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan
