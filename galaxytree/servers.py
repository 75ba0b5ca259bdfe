"""Several services behind one client: who is asked next, and who is left alone for a while."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import httpx

SHORTEST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


def check_addresses(addresses: Sequence[str]) -> None:
    """ValueError if one is no address of a service, or there is none."""
    for address in addresses:
        try:
            usable = httpx.URL(address).scheme in {"http", "https"} and httpx.URL(address).host
        except httpx.InvalidURL:
            usable = ""
        if not usable:
            msg = f"{address!r} is no address of a service: write it like http://127.0.0.1:8000"
            raise ValueError(msg)
    if not addresses:
        msg = "name at least one service"
        raise ValueError(msg)


@dataclass(eq=False)
class Server:
    """One service.

    Attributes
    ----------
    address
        Scheme, host and port, with no slash at the end.
    outstanding
        How much it has been asked and has not answered.
    aside_until
        When it is asked again, if it failed.
    failures
        How often it failed since it last answered.
    """

    address: str
    outstanding: int = 0
    aside_until: float = 0.0
    failures: int = 0


class Servers:
    """Services that share the work: the one with the least to do is asked, and one that fails is set aside.

    Parameters
    ----------
    addresses
        One or more.
    clock
        Seconds that only grow.

    Raises
    ------
    ValueError
        If there are none, or one is no address.
    """

    def __init__(self, addresses: Sequence[str], clock: Callable[[], float] = monotonic) -> None:
        check_addresses(addresses)
        self._all = [Server(address.rstrip("/")) for address in addresses]
        self._clock = clock

    def __str__(self) -> str:
        return ", ".join(server.address for server in self._all)

    @property
    def any_well(self) -> bool:
        """Whether any is not set aside."""
        return self.pause == 0

    @property
    def pause(self) -> float:
        """For how many seconds all are set aside."""
        return max(0.0, min(server.aside_until for server in self._all) - self._clock())

    @contextmanager
    def taking(self, weight: int = 1) -> Iterator[Server]:
        """Choose one, and count what it is asked until the end of the ``with`` block.

        If all are set aside, it is the one that comes back first.
        """
        now = self._clock()
        # Those who are well are all alike; of the others the first to come back.
        server = min(self._all, key=lambda one: (max(one.aside_until, now), one.outstanding))
        server.outstanding += weight
        try:
            yield server
        finally:
            server.outstanding -= weight

    def answered(self, server: Server) -> None:
        """Note that one does what it should."""
        server.failures = 0
        server.aside_until = 0.0

    def failed(self, server: Server) -> None:
        """Set one aside that doesn't, for longer each time."""
        self.busy(server, min(LONGEST_SECONDS, SHORTEST_SECONDS * 2**server.failures))
        server.failures = min(server.failures + 1, 16)

    def busy(self, server: Server, seconds: float) -> None:
        """Leave one alone for as long as it asked to be."""
        server.aside_until = max(server.aside_until, self._clock() + seconds)
