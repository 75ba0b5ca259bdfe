"""What a host answers, and what that may take."""

from dataclasses import dataclass


@dataclass(slots=True)
class Limits:
    """What an answer may take.

    Attributes
    ----------
    body_bytes
    first_byte_seconds, seconds
        To its first byte; and for the whole fetch, as it is told.
    """

    body_bytes: int
    first_byte_seconds: float
    seconds: float


@dataclass(slots=True)
class Answer:
    """What a host answered: a body with status 200 only."""

    status: int
    body: bytes
    location: bytes | None
    retry_after: bytes | None


def late(limits: Limits) -> str:
    """Return what is told of a fetch that took too long in all."""
    return f"The image was not there after {limits.seconds:g} s."
