"""Connections: made to addresses that were checked, kept for a while, and looked after."""

import asyncio
import ssl
from dataclasses import dataclass

from app.errors import FetchTimeoutError, UrlForbiddenError
from app.fetching.addresses import Address, is_public
from app.fetching.answers import Limits, late
from app.fetching.connection import Connection
from app.fetching.mishaps import Mishap
from app.fetching.resolving import Resolver
from app.fetching.rules import Rules
from app.fetching.urls import Origin

IDLE_SECONDS = 15.0
"""For how long a connection is kept that nobody uses."""

LOOK_SECONDS = 0.1
"""How often it is looked whose time is over. One timer for all costs next to nothing per image."""

MOST_TRIED = 8
"""Addresses of one name that are tried, each with its share of the time."""


@dataclass(frozen=True)
class Connecting:
    """How connections are made.

    Attributes
    ----------
    rules, resolver
    limits
        Of answers.
    seconds
        Within which a connection must be there.
    tls
        What a certificate is checked with.
    """

    rules: Rules
    resolver: Resolver
    limits: Limits
    seconds: float
    tls: ssl.SSLContext


class Pool:
    """All connections. It belongs to the event loop's thread.

    Parameters
    ----------
    connecting : Connecting
    most_idle
        How many are kept that nobody uses.
    """

    def __init__(self, connecting: Connecting, most_idle: int) -> None:
        self._connecting = connecting
        self._most_idle = most_idle
        self._loop = asyncio.get_running_loop()
        self._all: set[Connection] = set()
        self._idle: dict[str, list[Connection]] = {}
        # In the order in which they became idle.
        self._kept: dict[Connection, None] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, key: str) -> Connection | None:
        """Return a connection to an origin that nobody uses, if there is one: the one that was used last."""
        idle = self._idle.get(key)
        if not idle:
            return None
        connection = idle.pop()
        if not idle:
            del self._idle[key]
        del self._kept[connection]
        return connection

    def keep(self, connection: Connection) -> None:
        """Take a connection back, whether or not it can be used again."""
        if not connection.reusable:
            connection.abort()
            return
        connection.idle_until = self._loop.time() + IDLE_SECONDS
        self._idle.setdefault(connection.key, []).append(connection)
        self._kept[connection] = None
        if len(self._kept) > self._most_idle:
            next(iter(self._kept)).abort()

    async def open(self, origin: Origin, until: float) -> Connection:
        """Connect to an origin.

        Its name is resolved, every address must be allowed, and the connection goes to one that was checked, while
        TLS checks the name.

        Raises
        ------
        UrlForbiddenError
            If an address is not allowed.
        Mishap
            If there is no address, or no connection.
        FetchTimeoutError
            If it takes too long.
        """
        if self._closed:
            raise _ending()
        seconds = self._connecting.seconds
        told = f"There was no connection to the URL's host after {seconds:g} s."
        if until < self._loop.time() + seconds:
            told = late(self._connecting.limits)
        until = min(until, self._loop.time() + seconds)
        try:
            async with asyncio.timeout_at(until):
                addresses = await self._checked(origin)
                return await self._reach(origin, addresses[:MOST_TRIED], until)
        except TimeoutError as error:
            raise FetchTimeoutError(told) from error

    async def _checked(self, origin: Origin) -> list[Address]:
        found = (
            [origin.address] if origin.address is not None else await self._connecting.resolver.addresses(origin.host)
        )
        allowed = [each for each in found if each and self._connecting.rules.lets_connect(each, origin.port)]
        if len(allowed) < len(found):
            # The same for whatever else it is: nobody learns from here where a name leads inside.
            msg = (
                "The URL is not fetched: it leads to an address that is neither public nor among what the service's "
                "GALAXYTREE_FETCH_HOSTS lists."
            )
            raise UrlForbiddenError(msg)
        return allowed

    async def _reach(self, origin: Origin, addresses: list[Address], until: float) -> Connection:
        mishap = Mishap("There was no connection to the URL's host.", transient=True)
        for number, address in enumerate(addresses):
            # The last one has all that is left, for which the clock is whoever calls this.
            left = len(addresses) - number
            share = None if left == 1 else self._loop.time() + (until - self._loop.time()) / left
            try:
                async with asyncio.timeout_at(share):
                    return await self._connect(origin, address)
            except ssl.SSLError as error:
                mishap = Mishap("The certificate of the URL's host is not valid for it, or there is no TLS.")
                mishap.__cause__ = error
            except OSError as error:
                # A share of the time that is over is one too.
                mishap.__cause__ = error
        mishap.hidden = not all(is_public(each) for each in addresses)
        raise mishap

    async def _connect(self, origin: Origin, address: Address) -> Connection:
        connecting = self._connecting
        connection = Connection(origin.key, connecting.limits, is_public(address), self._lost)
        # Of an address this looks nothing up.
        await self._loop.create_connection(
            lambda: connection,
            str(address),
            origin.port,
            ssl=connecting.tls if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        self._all.add(connection)
        if self._closed:
            connection.abort()
            raise _ending()
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_SECONDS, self._look)
        return connection

    def _look(self) -> None:
        now = self._loop.time()
        for connection in tuple(self._all):
            connection.look(now)
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look) if self._all else None

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._kept:
            del self._kept[connection]
            idle = self._idle[connection.key]
            idle.remove(connection)
            if not idle:
                del self._idle[connection.key]

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for connection in tuple(self._all):
            connection.abort()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None


def _ending() -> Mishap:
    return Mishap("The service is ending.")
