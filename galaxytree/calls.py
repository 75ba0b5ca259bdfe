"""Requests to several services: each goes to one that has little to do, and is made again where that may help."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from galaxytree.client_errors import (
    GalaxytreeError,
    TryLaterError,
    UnexpectedAnswerError,
    UnreachableError,
    problem_error,
)
from galaxytree.schemas import Problem
from galaxytree.servers import Server, Servers, addresses_of

DEFAULT_TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
MOST_CONNECT_SECONDS = 10.0

A_FEW = 3
"""How often it is tried what is not expected to come right by itself."""

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between two tries there is a pause of random length, up to a bound that doubles with each try that was in vain."""

_GATEWAYS = {502, 504}

Result = TypeVar("Result")


def authorization(api_key: str | None) -> dict[bytes, bytes]:
    """Return what shows a key to a service.

    Raises
    ------
    ValueError
        If it is no key; the message doesn't repeat it.
    """
    if api_key and any(ord(letter) < ord(" ") for letter in api_key):
        msg = "the API key has a line end or another control character in it"
        raise ValueError(msg)
    # As bytes: httpx takes text for ASCII only, and `printf %s "$KEY" | sha256sum` sums the UTF-8 ones.
    return {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}


class AgainError(Exception):
    """A request is to be made again.

    Parameters
    ----------
    error
        What went wrong: it is raised if there is no patience left.
    rest_seconds
        For how long the server asks to be left alone.
    server_failed
        Whether it is the server's fault, so that others are asked before it.
    a_few
        Whether it is tried a few times only.
    """

    def __init__(
        self,
        error: GalaxytreeError,
        *,
        rest_seconds: float | None = None,
        server_failed: bool = True,
        a_few: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.rest_seconds = rest_seconds
        self.server_failed = server_failed
        self.a_few = a_few


class Progress:
    """How one piece of work goes: for how long nothing came of it.

    Attributes
    ----------
    since
        When something last did, on the clock of `time.monotonic`.
    tries
        How often since then it went wrong.
    odd
        How often since then it went wrong in a way that is tried a few times only.
    """

    def __init__(self) -> None:
        self.made()

    def made(self) -> None:
        """Note that it goes on."""
        self.since = time.monotonic()
        self.tries = self.odd = 0


class Calls:
    """Makes requests.

    Parameters
    ----------
    servers : str or sequence of str
        Addresses of the services, see `addresses_of`.
    api_key : str or None
        Shown to a service that asks for one.
    timeout_seconds : float
        How long each step of a request may take: to connect, to send, to wait for the next part of the answer.
    patience_seconds : float or None
        For how long something is tried while nothing comes of it. 0: each service is asked once, if the ones before
        can't be reached. None: `PATIENCE_SECONDS`, but 0 until a service has answered, since an address that is wrong
        from the start is to be noticed at once.
    connections : int
        How many are open at most.

    Attributes
    ----------
    trouble
        Why a request last had to be made again; None if none had to.

    Raises
    ------
    ValueError
        If an address or the key is none.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        api_key: str | None,
        timeout_seconds: float,
        patience_seconds: float | None,
        connections: int,
    ) -> None:
        self._servers = Servers(addresses_of(servers))
        self._patience_seconds = patience_seconds
        self.trouble: GalaxytreeError | None = None
        self._http = httpx.AsyncClient(
            headers=authorization(api_key),
            # Who waits for a connection waits for other requests of this client: that is no failure.
            timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, MOST_CONNECT_SECONDS), pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, once: Callable[[Server], Awaitable[Result]], progress: Progress | None = None) -> Result:
        """Have something done by one of the services, and again if that may help.

        Parameters
        ----------
        once
            Makes the request, with `answer`; it raises AgainError if it is to be made again.
        progress
            Is told by `once` where a part of the work has been done.

        Raises
        ------
        GalaxytreeError
            What `once` raises, or at last gave as its reason to be called again.
        """
        progress = progress or Progress()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AgainError),
            wait=partial(self._pause, progress),
            stop=partial(self._is_over, progress),
            reraise=True,
        )
        try:
            return await retrying(self._once, once, progress)
        except AgainError as again:
            raise again.error from again.error.__cause__

    async def _once(self, once: Callable[[Server], Awaitable[Result]], progress: Progress) -> Result:
        since = time.monotonic()
        with self._servers.one() as server:
            try:
                found = await once(server)
            except AgainError as again:
                self.trouble = again.error
                if progress.since > since:
                    # Something came of it all the same.
                    self._servers.well(server)
                progress.tries += 1
                progress.odd += again.a_few
                if again.server_failed:
                    self._servers.failed(server, since)
                if again.rest_seconds:
                    self._servers.rest(server, again.rest_seconds)
                raise
            self._servers.well(server)
            return found

    def _pause(self, progress: Progress, _state: RetryCallState) -> float:
        most = min(LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * 2.0 ** min(progress.tries - 1, 16))
        # On top of the rest that a server needs, so that not all who wait for it ask at the same moment.
        return self._servers.rest_seconds + random.uniform(0, most)  # noqa: S311 (no secret)

    def _is_over(self, progress: Progress, state: RetryCallState) -> bool:
        again = state.outcome.exception() if state.outcome else None
        unreachable = isinstance(again, AgainError) and isinstance(again.error, UnreachableError)
        patience = self._patience_seconds
        if patience is None:
            patience = 0 if unreachable and not self._servers.answered else PATIENCE_SECONDS
        if not patience:
            return not (unreachable and self._servers.untried)
        waited = time.monotonic() + state.upcoming_sleep - progress.since
        return waited > patience or progress.odd >= A_FEW

    @asynccontextmanager
    async def answer(
        self,
        server: Server,
        method: str,
        path: str,
        **said: Any,  # noqa: ANN401 (as httpx has them)
    ) -> AsyncIterator[httpx.Response]:
        """Make a request, and give the answer if it is a good one, still to be read.

        Raises
        ------
        AgainError
            If no answer comes or it breaks off, or it says that there may be another one later.
        GalaxytreeError
            If it is any other.
        """
        try:
            async with self._http.stream(method, server.url + path, **said) as response:
                self._servers.answered = True
                if response.status_code != httpx.codes.OK:
                    raise _refusal(server, response.status_code, await response.aread(), response.headers)
                yield response
        except (httpx.TransportError, httpx.DecodingError) as error:
            why = str(error) or type(error).__name__
            silence = UnreachableError(f"{server.url} doesn't answer ({why}); `galaxytree serve` starts a service")
            silence.__cause__ = error
            raise AgainError(silence) from error


def _refusal(server: Server, status: int, body: bytes, headers: httpx.Headers) -> AgainError | GalaxytreeError:
    """Return what an answer means that isn't 200."""
    rest = _rest_of(headers.get("Retry-After", ""))
    error = _error_of(server, status, body, rest)
    if isinstance(error, TryLaterError):
        # Who is busy is well, but not to be asked for now.
        return AgainError(error, rest_seconds=rest, server_failed=status != httpx.codes.TOO_MANY_REQUESTS)
    if status in _GATEWAYS or status == httpx.codes.REQUEST_TIMEOUT:
        return AgainError(error, rest_seconds=rest)
    if status == httpx.codes.INTERNAL_SERVER_ERROR:
        return AgainError(error, a_few=True)
    return error


def _rest_of(said: str) -> float | None:
    """Return for how many seconds a server asks to be left alone; it may also say until when."""
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _error_of(server: Server, status: int, body: bytes, rest: float | None) -> GalaxytreeError:
    try:
        return problem_error(Problem.model_validate_json(body), rest)
    except ValidationError as error:
        if status in {429, 502, 503, 504}:
            # What stands in front of a service says it in its own words.
            words = "busy or not there for now"
            problem = Problem(
                type="about:blank", title=words, status=status, detail=f"{server.url}: {words}.", code="unavailable"
            )
            return problem_error(problem, rest)
        odd = no_galaxytree(server, status)
        odd.__cause__ = error
        return odd


def no_galaxytree(server: Server, status: int) -> UnexpectedAnswerError:
    """Return the error of an answer that no service of galaxytree would give."""
    return UnexpectedAnswerError(f"{server.url} answers {status}, but not as a galaxytree service does")
