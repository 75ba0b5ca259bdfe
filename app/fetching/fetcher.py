"""URL -> bytes: each hop within the rules, within time and bytes, in turn, and tried again where that may help."""

import asyncio
import logging
import ssl
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Protocol, Self

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential, wait_random

from app.errors import FetchFailedError, InternalError, ServiceError, UrlForbiddenError
from app.fetching.answers import Answer, Limits
from app.fetching.connection import Connection
from app.fetching.kinds import OTHER, PRIVATE, is_private, kind_of
from app.fetching.mishaps import Mishap
from app.fetching.pauses import seconds_of
from app.fetching.pool import Connecting, Pool
from app.fetching.resolving import AskedNames, Names, Resolver, SystemNames
from app.fetching.rules import Rules
from app.fetching.settings import name_servers_of
from app.fetching.turns import Turns
from app.fetching.urls import Origin, Url, parse_url
from app.settings import Settings
from app.telemetry.numbers import CUT_OFF, OK, Numbers

MOST_REDIRECTS = 3

TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which a host is asked again."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_HEAD = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\n"
    f"User-Agent: galaxytree/{version('galaxytree')}\r\n"
    "Accept: image/jpeg, image/png, */*;q=0.1\r\nAccept-Encoding: identity\r\n\r\n"
)

_BACKOFF = wait_exponential(multiplier=0.25, max=8.0) + wait_random(0.0, 0.25)

_LEADS_ASTRAY = "The URL is not fetched: it leads to where nothing is fetched from."

_log = logging.getLogger(__name__)


class Room(Protocol):
    """Where the bytes of an image are counted, while it is its turn to be fetched and no longer."""

    async def hold(self) -> None:
        """Wait until there is room."""
        ...

    def let_go(self) -> None:
        """Give the room back, if there is any: the image isn't coming, or not now."""
        ...


class _Anywhere:
    """Room without bounds."""

    async def hold(self) -> None:
        """See `Room`."""

    def let_go(self) -> None:
        """See `Room`."""


_ANYWHERE = _Anywhere()


class _Whole:
    """What a fetch may take.

    Waiting for its turn and for room takes none of its time, so that it is the same under any load.
    """

    __slots__ = ("kind", "room", "until")

    def __init__(self, until: float, room: Room) -> None:
        self.until = until
        self.room = room
        # Of its host, for what is counted.
        self.kind = OTHER


class Fetcher:
    """Fetches images within the rules. It belongs to the event loop's thread, and is made there.

    Parameters
    ----------
    settings : Settings
    tls
        What certificates are checked with; not given: the system's authorities.
    names
        Where names are looked up; not given: as the settings say.
    numbers
        Where it is counted what becomes of URLs.
    """

    def __init__(
        self,
        settings: Settings,
        tls: ssl.SSLContext | None = None,
        names: Names | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        self._numbers = numbers or Numbers()
        self._rules = Rules.parse(settings.fetch_hosts)
        self._seconds = settings.fetch_timeout_seconds
        self._first_byte_seconds = settings.fetch_first_byte_timeout_seconds
        self._tries = settings.fetch_tries
        self._clock = asyncio.get_running_loop().time
        self._turns = Turns(settings.fetch_concurrency, settings.fetch_per_host)
        self._resolver = Resolver(names or _names_of(settings))
        limits = Limits(settings.max_image_bytes, self._first_byte_seconds, self._seconds)
        seconds = settings.fetch_connect_timeout_seconds
        connecting = Connecting(self._rules, self._resolver, limits, seconds, tls or ssl.create_default_context())
        self._pool = Pool(connecting, most_idle=settings.fetch_concurrency)
        self._closed = False

    @classmethod
    def of(cls, settings: Settings, numbers: Numbers | None = None) -> Self:
        """Make the one that settings describe, in the event loop's thread."""
        return cls(settings, numbers=numbers)

    async def fetch(self, url: str, room: Room = _ANYWHERE) -> bytes:
        """Return the bytes that a URL leads to, whatever they are.

        Parameters
        ----------
        url
        room
            Is waited for in one's turn, and held once the bytes are there. Who waits for a turn holds none: a slow host
            would take it from all others.

        Raises
        ------
        UrlForbiddenError
            If the rules don't allow it, or where it leads.
        FetchFailedError
            If the host can't be reached, or answers no bytes with status 200.
        FetchTimeoutError
            If it takes too long.
        PayloadTooLargeError
            If there are more bytes than an image may have.
        """
        began = self._clock()
        whole = _Whole(began + self._seconds, room)
        outcome = InternalError.code
        try:
            data = await self._fetch(parse_url(url), whole)
            outcome = OK
        except ServiceError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = CUT_OFF
            raise
        finally:
            self._numbers.fetched(whole.kind, outcome, self._clock() - began)
        return data

    async def _fetch(self, first: Url, whole: _Whole) -> bytes:
        whole.kind = kind_of(first.origin)
        try:
            try:
                return await self._follow(first, whole)
            except Mishap as mishap:
                if not mishap.transient:
                    raise
                return await self._again(first, whole, mishap)
        except Mishap as mishap:
            _log.debug("%s: %s", first.origin.key, mishap.said)
            raise FetchFailedError(mishap.detail) from mishap

    async def close(self) -> None:
        """Let every connection go; what is being fetched fails."""
        self._closed = True
        self._pool.close()
        self._resolver.close()

    async def _again(self, url: Url, whole: _Whole, mishap: Mishap) -> bytes:
        """Try again what failed once, which is all that `tenacity` gets to see of the first try."""
        known = [mishap]

        async def attempt() -> bytes:
            if known:
                raise known.pop()
            return await self._follow(url, whole)

        retrying = AsyncRetrying(
            stop=partial(self._is_over, whole), wait=_pause, retry=retry_if_exception(_is_transient), reraise=True
        )
        return await retrying(attempt)

    def _is_over(self, whole: _Whole, state: RetryCallState) -> bool:
        late = self._clock() + state.upcoming_sleep >= whole.until
        return self._closed or late or state.attempt_number >= self._tries

    async def _follow(self, url: Url, whole: _Whole) -> bytes:
        """Ask, and go where redirects lead."""
        hidden = False
        try:
            for hop in range(MOST_REDIRECTS + 1):
                self._check(url.origin, own=hop == 0)
                answer, public = await self._hop(url, whole)
                if answer.status == HTTPStatus.OK:
                    return answer.body
                whole.room.let_go()
                hidden |= not public
                if answer.status not in _REDIRECTS or answer.location is None:
                    raise _mishap_of(answer)
                url = url.join(answer.location.decode(errors="replace"))
            raise _too_far()
        except Mishap as mishap:
            whole.room.let_go()
            mishap.hidden |= hidden
            raise
        except UrlForbiddenError as error:
            if hidden:
                # What is wrong with it would tell where a host inside redirects.
                raise UrlForbiddenError(_LEADS_ASTRAY) from error
            raise

    async def _hop(self, url: Url, whole: _Whole) -> tuple[Answer, bool]:
        """Ask one host, in turn; return its answer, and whether it is a public one."""
        origin = url.origin
        if is_private(origin):
            whole.kind = PRIVATE
        host = origin.host
        since = self._clock()
        if not self._turns.take_now(host):
            await self._turns.wait(host)
        try:
            await whole.room.hold()
            whole.until += self._clock() - since
            head = _HEAD.format(target=url.target, host=origin.authority).encode("ascii")
            connection = self._pool.take(origin.key)
            if connection is not None:
                try:
                    return await self._ask(connection, head, whole), connection.public
                except Mishap as mishap:
                    if not mishap.stale:
                        raise
            connection = await self._pool.open(origin, whole.until)
            return await self._ask(connection, head, whole), connection.public
        finally:
            self._turns.give_back(host)

    async def _ask(self, connection: Connection, head: bytes, whole: _Whole) -> Answer:
        if not connection.public:
            whole.kind = PRIVATE
        try:
            return await connection.ask(head, self._clock() + self._first_byte_seconds, whole.until)
        finally:
            self._pool.keep(connection)

    def _check(self, origin: Origin, *, own: bool) -> None:
        """Raise UrlForbiddenError if a host isn't listed; it is named if it stood in the URL that was given."""
        address = origin.address
        if address is None:
            allowed = self._rules.lets_name(origin.host, origin.port)
        else:
            allowed = self._rules.lets_literal(address, origin.port)
        if not allowed:
            which = f"{origin.authority} is" if own else "it leads to a host and port that are"
            msg = f"The URL is not fetched: {which} not among what the service's GALAXYTREE_FETCH_HOSTS lists."
            raise UrlForbiddenError(msg)


def _names_of(settings: Settings) -> Names:
    servers = name_servers_of(settings.fetch_name_servers or "")
    return AskedNames(servers, settings.fetch_connect_timeout_seconds) if servers else SystemNames()


def _mishap_of(answer: Answer) -> Mishap:
    said = f"The host answered {answer.status}."
    if answer.status in TRY_AGAIN:
        return Mishap(said, transient=True, pause_seconds=seconds_of(answer.retry_after))
    return Mishap(said)


def _too_far() -> Mishap:
    return Mishap(f"The URL leads to more than {MOST_REDIRECTS} redirects.")


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, Mishap) and error.transient


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause_seconds if isinstance(error, Mishap) else 0.0
    return max(asked, _BACKOFF(state))
