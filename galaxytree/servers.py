"""Several services that do the same: which of them is asked next, and for how long one that failed is left alone."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx

DEFAULT_SERVER = "http://127.0.0.1:8000"

FIRST_REST_SECONDS = 0.1
LONGEST_REST_SECONDS = 15.0
"""A server that fails is left alone for this long at first, for twice as long each time, and at most so long."""


def addresses_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of services, each once.

    Parameters
    ----------
    given
        One, or several: as a sequence, or in a text with commas or spaces between them.

    Raises
    ------
    ValueError
        If there are none, or one is no address of a service; the message says how to write it.
    """
    texts = [given] if isinstance(given, str) else given
    found = [address.rstrip("/") for text in texts for address in text.replace(",", " ").split()]
    for address in found:
        try:
            url = httpx.URL(address)
            usable = url.scheme in {"http", "https"} and url.host and not url.query and not url.fragment
        except httpx.InvalidURL:
            usable = False
        if not usable:
            msg = f"{address!r} is no address of a service: write it like {DEFAULT_SERVER}"
            raise ValueError(msg)
    if not found:
        msg = f"there is no address of a service: write it like {DEFAULT_SERVER}"
        raise ValueError(msg)
    return tuple(dict.fromkeys(found))


class Server:
    """One service.

    Attributes
    ----------
    url
        Its address, without a slash at the end.
    outstanding
        How many requests it has that it hasn't answered.
    failures
        How often it has failed in a row.
    rests_until
        When it may be asked again, on the clock.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.outstanding = 0
        self.failures = 0
        self.rests_until = 0.0


class Servers:
    """The services.

    Parameters
    ----------
    addresses
        As `addresses_of` gives them.
    clock
        What time it is, in seconds.

    Attributes
    ----------
    answered
        Whether any of them has ever answered.
    """

    def __init__(self, addresses: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.answered = False
        self._all = [Server(each) for each in addresses]
        self._clock = clock

    @property
    def untried(self) -> bool:
        """Whether there is one that has not failed."""
        return not all(each.failures for each in self._all)

    @property
    def rest_seconds(self) -> float:
        """How long it takes until one of them may be asked."""
        return max(0.0, min(each.rests_until for each in self._all) - self._clock())

    def __str__(self) -> str:
        return ", ".join(each.url for each in self._all)

    @contextmanager
    def one(self) -> Iterator[Server]:
        """Take the one that has the least to do.

        One that failed and whose rest is over is asked by one at a time, while there are others: it may be that it
        fails again, and slowly.
        """
        now = self._clock()
        awake = [each for each in self._all if each.rests_until <= now]
        # If all of them rest, the one that is the first to wake up.
        found = (
            min(awake, key=lambda each: (bool(each.failures and each.outstanding), each.outstanding, random.random()))  # noqa: S311
            if awake
            else min(self._all, key=lambda each: each.rests_until)
        )
        found.outstanding += 1
        try:
            yield found
        finally:
            found.outstanding -= 1

    def well(self, server: Server) -> None:
        """Note that one has answered as it should."""
        self.answered = True
        server.failures = 0
        server.rests_until = 0.0

    def failed(self, server: Server, since: float) -> None:
        """Note that one has failed a request that was made at `since`, and let it rest.

        What many requests meet that were in flight together counts as one failure.
        """
        if since < server.rests_until:
            return
        rest = FIRST_REST_SECONDS * 2.0 ** min(server.failures, 16)
        server.failures += 1
        self.rest(server, min(rest, LONGEST_REST_SECONDS))

    def rest(self, server: Server, seconds: float) -> None:
        """Let one rest for so long, or longer if it does already."""
        server.rests_until = max(server.rests_until, self._clock() + seconds)
