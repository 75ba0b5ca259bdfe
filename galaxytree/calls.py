"""Calls of services: spread over those that there are, and made again while that may help."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from galaxytree.client_errors import GalaxytreeError, UnexpectedAnswerError, UnreachableError, problem_error
from galaxytree.schemas import Problem
from galaxytree.servers import Server, Servers

DEFAULT_SERVER = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
CONNECTIONS = 32

_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_BACKOFF = wait_random_exponential(multiplier=0.2, max=15.0)

Result = TypeVar("Result")


class AgainError(Exception):
    """A call that is to be made again; `why` is raised when there is no patience left for that."""

    def __init__(self, why: GalaxytreeError) -> None:
        super().__init__(str(why))
        self.why = why


class Progress:
    """When something last came back of a call, which may be made several times."""

    def __init__(self) -> None:
        self.at = monotonic()

    def made(self) -> None:
        """Note that something did."""
        self.at = monotonic()


class Caller:
    """Calls services, over connections that are kept open. It belongs to one event loop.

    Parameters
    ----------
    servers
        Addresses of services that run the same model: calls go to the one with the least to do.
    api_key
        Shown to the services where they ask for one.
    timeout_seconds
        How long a service may take for each step of a call: to connect, to take what is sent, to go on answering.
    patience_seconds
        For how long nothing may come back before a call is given up; 0 to make it once.
    connections
        Open at a time, at most.
    waits_for_a_first
        Whether to be as patient with services none of which has ever been reached; else that is told at once.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        connections: int = CONNECTIONS,
        waits_for_a_first: bool = True,
    ) -> None:
        self.servers = Servers([servers] if isinstance(servers, str) else servers)
        self._patience = patience_seconds
        # As bytes: httpx takes text for ASCII only, and `printf %s "$KEY" | sha256sum` sums the UTF-8 ones.
        headers = {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout_seconds, limits=limits)
        self._reached = waits_for_a_first

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def persisting(self, ask: Callable[[], Awaitable[Result]], progress: Progress | None = None) -> Result:
        """Do something again as long as it raises `AgainError` and there is patience; raise why, then.

        Parameters
        ----------
        ask
            What to do.
        progress
            When something last came back; when this began if not given.
        """
        over = partial(self._is_over, progress or Progress())
        retrying = AsyncRetrying(stop=over, wait=self._pause, retry=retry_if_exception_type(AgainError), reraise=True)
        try:
            return await retrying(ask)
        except AgainError as error:
            raise error.why from error

    def _is_over(self, progress: Progress, state: RetryCallState) -> bool:
        """Whether there is no patience left for another try."""
        in_vain = not self._reached and not self.servers.any_well
        return in_vain or monotonic() + state.upcoming_sleep - progress.at > self._patience

    def _pause(self, state: RetryCallState) -> float:
        """Return for how long to wait: not at all the first time, if another service may do it."""
        backoff = _BACKOFF(state)
        return max(self.servers.pause, 0.0 if self.servers.any_well and state.attempt_number == 1 else backoff)

    async def send(
        self,
        server: Server,
        method: str,
        path: str,
        **more: Any,  # noqa: ANN401 (what httpx takes)
    ) -> tuple[httpx.Response, bytes]:
        """Send a request once; return the answer and as much of its body as came.

        Raises
        ------
        AgainError
            If nothing came, or the service says to try later.
        GalaxytreeError
            If it would be of no use to ask again.
        """
        pieces: list[bytes] = []
        answer: httpx.Response | None = None
        try:
            async with self._http.stream(method, server.address + path, **more) as answer:
                self._reached = True
                # What has come is kept if the connection breaks: it need not be asked again.
                async for piece in answer.aiter_raw():
                    pieces.append(piece)  # noqa: PERF401 (see above)
        except httpx.TransportError as error:
            self.servers.failed(server)
            if answer is None or not answer.is_success or not pieces:
                why = str(error) or type(error).__name__
                msg = f"{self.servers} doesn't answer ({why}); `galaxytree serve` starts a service"
                raise AgainError(UnreachableError(msg)) from error
        else:
            if answer.is_success:
                self.servers.answered(server)
        body = b"".join(pieces)
        if not answer.is_success:
            raise self._refusal(server, answer, body)
        return answer, body

    def _refusal(self, server: Server, answer: httpx.Response, body: bytes) -> Exception:
        said = answer.headers.get("Retry-After", "")
        wait = float(said) if said.isdecimal() else None
        try:
            why: GalaxytreeError = problem_error(Problem.model_validate_json(body), wait)
        except ValidationError:
            # As a proxy has it in front of a service that isn't there.
            why = no_galaxytree(server, answer)
        if answer.status_code not in _TRY_AGAIN:
            return why
        if wait is None:
            self.servers.failed(server)
        else:
            self.servers.busy(server, wait)
        return AgainError(why)


def parsed(server: Server, answer: httpx.Response, body: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Return what an answer says; UnexpectedAnswerError if it is no JSON."""
    try:
        return from_json(body)
    except ValueError as error:
        raise no_galaxytree(server, answer) from error


def no_galaxytree(server: Server, answer: httpx.Response) -> UnexpectedAnswerError:
    """Return the error of an answer that no service of galaxytree would give."""
    msg = f"{server.address} answers {answer.status_code}, but not as a galaxytree service does"
    return UnexpectedAnswerError(msg)
