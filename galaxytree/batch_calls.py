"""Calls of ``POST /classify/batch``: some hundred items at a time, and an answer for each, whatever happens.

What a call leaves unanswered, since the connection broke or the service was too busy, is asked again, of another
service where there are several; what has been answered is not.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from galaxytree.client import (
    DEFAULT_TIMEOUT_SECONDS,
    GalaxytreeError,
    UnexpectedAnswerError,
    UnreachableError,
    problem_error,
)
from galaxytree.schemas import Problem
from galaxytree.servers import Server, Servers
from galaxytree.views import Views

PATIENCE_SECONDS = 300.0
"""For how long nothing may come back before a call is given up."""

CONNECTIONS = 32

NETWORK = "X-Galaxytree-Network"
"""Header of an answer: SHA-256 of the ONNX file that gave it, in hexadecimal."""

TRANSIENT = frozenset({"overloaded", "not_ready", "deadline_exceeded"})
"""Codes of items that are asked again."""

FAILED = "internal_error"
MOST_FAILURES = 3
"""So often an item is asked of services that fail on it."""

_BATCH, _MODEL = "/classify/batch", "/model"
_LINES = "application/x-ndjson"
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_BACKOFF = wait_random_exponential(multiplier=0.2, max=15.0)

Row = dict[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class UrlItem:
    """An image that the service fetches."""

    url: str
    id: str | None = None


@dataclass(frozen=True)
class ImageItem:
    """An image that is sent: the bytes of a JPEG or PNG."""

    data: bytes
    name: str | None = None


@dataclass(frozen=True)
class BatchAnswer:
    """What came of a call.

    Attributes
    ----------
    rows
        One an item, in the items' order: ``{"status": "ok", "classification": {...}}`` or ``{"status": "error",
        "error": {...}}``.
    network
        SHA-256 of the ONNX file that gave the answers, in hexadecimal.
    """

    rows: list[Row]
    network: str


class _AgainError(Exception):
    """A call that has to be made again; `why` is raised if it has been too often."""

    def __init__(self, why: GalaxytreeError) -> None:
        super().__init__(str(why))
        self.why = why


class BatchCaller:
    """Calls services, over connections that are kept open.

    Parameters
    ----------
    servers
        Addresses of services that run the same model: calls go to the one with the least to do.
    api_key
        Shown to the services where they ask for one.
    timeout_seconds
        How long a service may be silent in the middle of a call.
    patience_seconds
        For how long nothing may come back before a call is given up; 0 to try once.
    connections
        Open at a time, at most.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        connections: int = CONNECTIONS,
    ) -> None:
        self._servers = Servers(servers)
        self._patience = patience_seconds
        # As bytes: httpx takes text for ASCII only, and the service sums the key's UTF-8.
        headers = {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout_seconds, limits=limits)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def model(self) -> dict[str, Any]:
        """Return what ``GET /model`` says of one that answers.

        Raises
        ------
        UnreachableError, ProblemError, UnexpectedAnswerError
            If none answers, or with something else.
        """
        call = _Call(self._patience)

        async def ask() -> dict[str, Any]:
            with self._servers.taking() as server:
                answer, body = await self._send(server, "GET", _MODEL)
            found = _parsed(server, answer, body)
            if not isinstance(found, dict):
                raise _no_galaxytree(server, answer)
            return found

        return await self._persisting(call, ask)

    async def score(
        self,
        items: Sequence[UrlItem] | Sequence[ImageItem],
        *,
        detail: Literal["full", "scores"] = "scores",
        views: Views | None = None,
        priority: Literal["bulk", "interactive"] = "bulk",
    ) -> BatchAnswer:
        """Have images scored.

        Parameters
        ----------
        items
            Of one kind; some hundred, since they are sent in one request.
        detail
            ``scores`` leaves out questions, path and summary.
        views
            How many orientations of each image to average over; None for what the service is set to.
        priority
            ``bulk`` lets others go ahead.

        Raises
        ------
        UnreachableError, TryLaterError
            If for `patience_seconds` nothing comes back.
        UnauthorizedError, RequestRefusedError, ServiceFailedError
            If the service refuses the whole call, or fails.
        UnexpectedAnswerError
            If what answers is no galaxytree service, or answers come from different networks.
        """
        params = {"detail": detail, "priority": priority} | ({} if views is None else {"views": str(views)})
        call = _BatchCall(items, self._patience)

        async def ask() -> BatchAnswer:
            sent = call.missing
            with self._servers.taking(len(sent)) as server:
                answer, body = await self._send(server, "POST", _BATCH, params=params, **call.content(sent))
            call.take(server, answer, body, sent)
            return call.answer()

        try:
            return await self._persisting(call, ask)
        except GalaxytreeError:
            # What is only late is told as the item's own error; others need not be lost with it.
            if call.answered_all:
                return call.answer(final=True)
            raise

    async def _persisting(self, call: "_Call", ask: Callable[[], Awaitable[Result]]) -> Result:
        retrying = AsyncRetrying(
            stop=call.is_over, wait=self._pause, retry=retry_if_exception_type(_AgainError), reraise=True
        )
        try:
            return await retrying(ask)
        except _AgainError as error:
            raise error.why from error

    def _pause(self, state: RetryCallState) -> float:
        """Return for how long to wait: not at all if another service may do it."""
        backoff = _BACKOFF(state)
        return max(self._servers.pause, 0.0 if self._servers.any_well and state.attempt_number == 1 else backoff)

    async def _send(
        self,
        server: Server,
        method: str,
        path: str,
        **more: Any,  # noqa: ANN401 (what httpx takes)
    ) -> tuple[httpx.Response, bytes]:
        """Send a request; return the answer and as much of its body as came.

        Raises
        ------
        _AgainError
            If nothing came, or the service says so.
        GalaxytreeError
            If it is of no use to ask again.
        """
        pieces: list[bytes] = []
        answer = None
        try:
            async with self._http.stream(method, server.address + path, **more) as answer:
                # What has come is kept if the connection breaks: it need not be asked again.
                async for piece in answer.aiter_raw():
                    pieces.append(piece)  # noqa: PERF401 (see above)
        except httpx.TransportError as error:
            self._servers.failed(server)
            if answer is None or not answer.is_success or not pieces:
                why = str(error) or type(error).__name__
                msg = f"{self._servers} doesn't answer ({why}); `galaxytree serve` starts a service"
                raise _AgainError(UnreachableError(msg)) from error
        else:
            if answer.is_success:
                self._servers.answered(server)
        body = b"".join(pieces)
        if not answer.is_success:
            self._refused(server, answer, body)
        return answer, body

    def _refused(self, server: Server, answer: httpx.Response, body: bytes) -> None:
        said = answer.headers.get("Retry-After", "")
        wait = float(said) if said.isdecimal() else None
        try:
            why: GalaxytreeError = problem_error(Problem.model_validate_json(body), wait)
        except ValidationError:
            # As a proxy in front of a service has it that is not there.
            why = _no_galaxytree(server, answer)
        if answer.status_code in _TRY_AGAIN:
            self._servers.busy(server, wait or 0.0)
            raise _AgainError(why)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._servers.failed(server)
            raise _AgainError(why)
        raise why


class _Call:
    """One call, as often as it is made; it is over when nothing has come back for a while."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self.progressed_at = monotonic()

    def is_over(self, state: RetryCallState) -> bool:
        """Whether there is no patience left for another try."""
        return monotonic() + state.upcoming_sleep - self.progressed_at > self._patience


class _BatchCall(_Call):
    """A call with items, some of which may be answered already."""

    def __init__(self, items: Sequence[UrlItem] | Sequence[ImageItem], patience_seconds: float) -> None:
        super().__init__(patience_seconds)
        self._items = items
        self._rows: list[Row | None] = [None] * len(items)
        self._failures: dict[int, int] = {}
        self._late: dict[int, Row] = {}
        self._network: str | None = None

    @property
    def missing(self) -> list[int]:
        """Places of the items that are still to be asked."""
        return [place for place, row in enumerate(self._rows) if row is None]

    @property
    def answered_all(self) -> bool:
        """Whether every item has some answer, if only that the service was too busy."""
        return all(place in self._late for place in self.missing)

    def content(self, places: Sequence[int]) -> dict[str, Any]:
        """Return what is sent of items, as httpx takes it."""
        items = [self._items[place] for place in places]
        urls = [item for item in items if isinstance(item, UrlItem)]
        if urls:
            lines = [
                to_json({"url": item.url} if item.id is None else {"url": item.url, "id": item.id}) for item in urls
            ]
            return {"content": b"\n".join(lines), "headers": {"Content-Type": _LINES}}
        files = [("files", (item.name or "image", item.data)) for item in items if isinstance(item, ImageItem)]
        return {"files": files, "headers": {"Accept": _LINES}}

    def take(self, server: Server, answer: httpx.Response, body: bytes, sent: Sequence[int]) -> None:
        """Take what came back of the items that were sent.

        Raises
        ------
        UnexpectedAnswerError
            If it is no galaxytree service's, or from another network than before.
        """
        network = answer.headers.get(NETWORK)
        # A line that broke off in the middle has no end.
        whole = body[: body.rfind(b"\n") + 1].rstrip(b"\n")
        rows = _parsed(server, answer, b"[" + whole.replace(b"\n", b",") + b"]")
        if network is None:
            raise _no_galaxytree(server, answer)
        if self._network not in {None, network}:
            msg = f"{server.address} answers with another network than what answered before ({network})"
            raise UnexpectedAnswerError(msg)
        self._network = network
        try:
            for row in rows:
                self._keep(sent[row.pop("index")], row)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise _no_galaxytree(server, answer) from error

    def _keep(self, place: int, row: Row) -> None:
        if row["status"] != "ok":
            code = row["error"]["code"]
            self._failures[place] = self._failures.get(place, 0) + (code == FAILED)
            if code in TRANSIENT or (code == FAILED and self._failures[place] < MOST_FAILURES):
                self._late[place] = row
                return
        self._rows[place] = row
        self.progressed_at = monotonic()

    def answer(self, *, final: bool = False) -> BatchAnswer:
        """Return all answers; _AgainError if some are missing, unless it is final."""
        rows = [self._late.get(place) if row is None else row for place, row in enumerate(self._rows)]
        missing = self.missing
        if self._network is None or (missing and not final):
            msg = f"{len(missing)} of {len(self._rows)} items were not answered"
            raise _AgainError(UnreachableError(msg))
        return BatchAnswer([row for row in rows if row is not None], self._network)


def _parsed(server: Server, answer: httpx.Response, body: bytes) -> Any:  # noqa: ANN401 (JSON)
    try:
        return from_json(body)
    except ValueError as error:
        raise _no_galaxytree(server, answer) from error


def _no_galaxytree(server: Server, answer: httpx.Response) -> UnexpectedAnswerError:
    msg = f"{server.address} answers {answer.status_code}, but not as a galaxytree service does"
    return UnexpectedAnswerError(msg)
