"""How much one caller may ask for: as it is written down, and as it is counted.

A bucket of requests is refilled at so many a second up to a burst, requests in service are counted, and so are the
images of a day in UTC. All of it is in memory: a service that starts anew begins to count anew.
"""

from collections.abc import Callable
from math import ceil
from time import monotonic, time
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import RateLimitedError

DAY_SECONDS = 86_400

Header = tuple[bytes, bytes]

POLICY, LEFT = b"ratelimit-policy", b"ratelimit"
SAYS_LIMITS = frozenset({POLICY, LEFT})
"""Headers of answers."""

UNKNOWN_WORD = "extra_forbidden"
"""How pydantic calls it."""

_PAIR = 2


class Limits(BaseModel):
    """How much one caller may ask for; what isn't given isn't limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_second: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, allow_inf_nan=False, description="Requests a second, on average, at most"),
    ] = None
    burst: Annotated[
        int | None,
        Field(
            gt=0, le=1_000_000, description="Requests at once after a rest; not given: those of a second, at least 1"
        ),
    ] = None
    concurrent_requests: Annotated[
        int | None, Field(gt=0, le=1_000_000, description="Requests in service at a time, a batch being one")
    ] = None
    images_per_day: Annotated[
        int | None, Field(gt=0, description="Images from 00:00 to 24:00 UTC, items of batches too")
    ] = None

    @model_validator(mode="after")
    def _a_burst_is_refilled(self) -> Self:
        if self.burst is not None and self.requests_per_second is None:
            msg = "burst needs requests_per_second"
            raise ValueError(msg)
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``name=number`` with spaces or commas between them; ValueError if it says nothing or something else."""
        pairs = [each.split("=") for each in text.replace(",", " ").split()]
        if not pairs or any(len(pair) != _PAIR for pair in pairs):
            msg = "say at least one limit as name=number, with spaces or commas between them"
            raise ValueError(msg)
        if len({name for name, _ in pairs}) < len(pairs):
            msg = "each limit can be said once only"
            raise ValueError(msg)
        try:
            return cls.model_validate(dict(pairs))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            msg = first["msg"].removeprefix("Value error, ")
            if first["type"] == UNKNOWN_WORD:
                msg = f"{name!r} is no limit; there are {', '.join(cls.model_fields)}"
            elif name:
                msg = f"{name}: {msg}"
            raise ValueError(msg) from None

    @property
    def are_any(self) -> bool:
        """Whether anything is limited."""
        return self != type(self)()

    @property
    def bucket(self) -> int:
        """How many requests may come at once after a rest."""
        return self.burst or max(1, ceil(self.requests_per_second or 0))


class Meter:
    """What one caller has asked for. It belongs to the event loop's thread.

    Parameters
    ----------
    limits
    who
        Who is limited, as a sentence begins with it.
    retry_after_seconds
        What is told to who has too many requests in service: when one ends isn't known.
    clock, wall_clock
        Seconds that only ever go on, and seconds since 1970 in UTC.

    Attributes
    ----------
    live
        Requests in service.
    """

    def __init__(
        self,
        limits: Limits,
        who: str,
        retry_after_seconds: int,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        self.live = 0
        self._who = who
        self._retry_after_seconds = retry_after_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._images = 0
        self._day = 0
        self._since = clock()
        self._set(limits)
        self._tokens = float(limits.bucket)

    def limit(self, limits: Limits) -> None:
        """Go by other limits from now on; what has been counted stays."""
        self._set(limits)
        self._tokens = min(self._tokens, float(limits.bucket))

    def _set(self, limits: Limits) -> None:
        self._limits = limits
        self._rate = limits.requests_per_second
        self._bucket = limits.bucket
        self._concurrent = limits.concurrent_requests
        self._per_day = limits.images_per_day
        policies = []
        if self._rate is not None:
            policies.append(f'"requests";q={self._bucket};w={max(1, ceil(self._bucket / self._rate))}')
        if self._concurrent is not None:
            policies.append(f'"concurrent";q={self._concurrent};qu="concurrent-requests"')
        if self._per_day is not None:
            policies.append(f'"images";q={self._per_day};w={DAY_SECONDS};qu="images"')
        self._policy = ", ".join(policies).encode()

    def enter(self, images: int = 0, least: int = 0) -> None:
        """Count a request as in service, and so many images with it.

        Parameters
        ----------
        images
            How many images it has.
        least
            How many more must be left of this day's, since it will ask for them with `take`.

        Raises
        ------
        RateLimitedError
            If it is one too many; nothing is counted then.
        """
        rate, concurrent = self._rate, self._concurrent
        if rate is not None:
            now = self._clock()
            tokens = self._tokens + (now - self._since) * rate
            self._tokens, self._since = min(tokens, self._bucket), now
            if self._tokens < 1:
                self._refuse(f"make {rate:g} requests a second, {self._bucket} at once", (1 - self._tokens) / rate)
        if concurrent is not None and self.live >= concurrent:
            self._refuse(f"have {concurrent} requests in service at a time", self._retry_after_seconds)
        if self._per_day is not None:
            self._check_day(max(images, least))
            self._images += images
        if rate is not None:
            self._tokens -= 1
        self.live += 1

    def take(self, images: int) -> None:
        """Count images of a request that is in service; RateLimitedError if they are too many for this day."""
        if self._per_day is not None:
            self._check_day(images)
            self._images += images

    def give_back(self, images: int) -> None:
        """Count so many images less: the service did not get to look at them."""
        self._images = max(0, self._images - images)

    def leave(self) -> None:
        """Count a request as done."""
        self.live -= 1

    def _check_day(self, images: int) -> None:
        assert self._per_day is not None  # noqa: S101 (that is when it is called)
        now = self._wall_clock()
        day = int(now // DAY_SECONDS)
        if day != self._day:
            self._day, self._images = day, 0
        if self._images + images > self._per_day:
            self._refuse(f"have {self._per_day} images looked at a day (UTC)", DAY_SECONDS - now % DAY_SECONDS)

    def _refuse(self, what: str, seconds: float) -> None:
        wait = max(1, ceil(seconds))
        msg = f"{self._who} may {what}; try again in {wait} s."
        headers = {name.decode(): value.decode() for name, value in self.headers()}
        raise RateLimitedError(msg, wait, headers)

    def headers(self) -> list[Header]:
        """Return what an answer says of the limits and of what is left (draft-ietf-httpapi-ratelimit-headers)."""
        left = []
        if self._rate is not None:
            left.append(b'"requests";r=%d;t=%d' % (self._tokens, ceil((self._bucket - self._tokens) / self._rate)))
        if self._concurrent is not None:
            left.append(b'"concurrent";r=%d' % max(0, self._concurrent - self.live))
        if self._per_day is not None:
            seconds = DAY_SECONDS - self._wall_clock() % DAY_SECONDS
            left.append(b'"images";r=%d;t=%d' % (max(0, self._per_day - self._images), ceil(seconds)))
        return [(POLICY, self._policy), (LEFT, b", ".join(left))]
