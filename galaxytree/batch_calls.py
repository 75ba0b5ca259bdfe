"""Calls of many images at a time: one row for each, whatever becomes of the calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import httpx
from pydantic_core import from_json

from galaxytree.batch_bodies import NDJSON, ImageItem, Row, UrlItem, body_of, row_of
from galaxytree.calls import A_FEW, DEFAULT_TIMEOUT_SECONDS, AgainError, Calls, Progress, no_galaxytree
from galaxytree.client_errors import (
    ProblemError,
    RequestRefusedError,
    UnauthorizedError,
    UnexpectedAnswerError,
    problem_error,
)
from galaxytree.schemas import Problem
from galaxytree.servers import Server
from galaxytree.views import Views

__all__ = ["BatchAnswer", "BatchCaller", "ImageItem", "Row", "UrlItem"]

PATH = "/classify/batch"
NETWORK = "X-Galaxytree-Network"

_LATER = frozenset({"overloaded", "rate_limited", "not_ready", "deadline_exceeded"})
"""What is wrong with an item now and may be right later, by the code."""

_BY_CHANCE = "internal_error"
"""What may be right when it is tried again, or never."""


@dataclass(frozen=True)
class BatchAnswer:
    """What became of some items.

    Attributes
    ----------
    rows
        One for each item, in their order: ``{"index": 0, "id": None, "status": "ok", "classification": {...}}``, or
        ``"status": "error"`` and the problem as ``"error"``. `index` is the item's place.
    network
        SHA-256 of the ONNX file that gave all the scores.
    """

    rows: list[Row]
    network: str


class BatchCaller:
    """Has many images scored, by one service or several; it belongs to one event loop.

    Parameters
    ----------
    servers : str or sequence of str
        Addresses of services that run the same model: calls are spread over them, and one that fails is left alone
        for a while that grows.
    api_key : str or None
        Shown to a service that asks for one.
    timeout_seconds : float
        How long each step of a call may take: to connect, to send, to wait for the next part of the answer.
    patience_seconds : float or None
        For how long a call is made again while no item of it is done, see `galaxytree.calls.Calls`.
    connections : int
        How many are open at most.

    Raises
    ------
    ValueError
        If an address is none.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float | None = 300.0,
        connections: int = 32,
    ) -> None:
        self.calls = Calls(
            servers,
            api_key=api_key,
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            connections=connections,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self.calls.aclose()

    async def model(self) -> dict[str, Any]:
        """Return what ``GET /model`` says: the card of the model, `network_sha256`, and where it runs.

        Raises
        ------
        GalaxytreeError
            As `score`.
        """

        async def once(server: Server) -> dict[str, Any]:
            async with self.calls.answer(server, "GET", "/model") as answer:
                body = await answer.aread()
            try:
                found = from_json(body)
            except ValueError:
                found = None
            if not isinstance(found, dict) or "tree" not in found:
                raise no_galaxytree(server, answer.status_code)
            return found

        return await self.calls.ask(once)

    async def score(
        self,
        items: Sequence[UrlItem] | Sequence[ImageItem],
        *,
        detail: Literal["full", "scores"] = "scores",
        views: Views | None = None,
        priority: Literal["bulk", "interactive"] = "bulk",
        heard: Callable[[int], object] = lambda _: None,
    ) -> BatchAnswer:
        """Have images scored: some hundred at a time are best.

        An answer that ends early counts as far as it goes, and the rest is asked for again, of another service where
        there are several. So are items of which a service says that they may do later.

        Parameters
        ----------
        items
            All of one kind; at least one.
        detail
            ``full`` also gives questions, path and summary.
        views
            How many orientations of each image to average over; None for what the service is set to.
        priority
            ``bulk`` lets others go ahead.
        heard
            Is told as results come in how many more there are. Those that are asked for again are told again.

        Raises
        ------
        UnauthorizedError
            If a valid API key is needed.
        RequestRefusedError
            If the service refuses the whole call.
        TryLaterError, ServiceFailedError, UnreachableError
            If it was in vain for as long as there is patience: services are busy, fail, or don't answer.
        UnexpectedAnswerError
            If what answers is no galaxytree service, or one too old, or services run different networks.
        """
        query = {"detail": detail, "priority": priority} | ({} if views is None else {"views": str(views)})
        asking = _Asking(items, query, heard)
        while asking.left:
            try:
                await self.calls.ask(lambda server: asking.once(self.calls, server), asking.progress)
            except ProblemError as error:
                # Services answer, and say the same of each item that is left: that is what became of it.
                if isinstance(error, UnauthorizedError | RequestRefusedError) or not asking.settle():
                    raise
        return BatchAnswer([row for row in asking.rows if row is not None], asking.network)


class _Asking:
    """Some items, and the rows that there are for them so far.

    Attributes
    ----------
    rows
        One for each item; None while there is none.
    left
        Indices of the items that are still to be asked for.
    network
        Which gave the rows.
    progress
        How it goes.
    """

    def __init__(
        self, items: Sequence[UrlItem | ImageItem], query: dict[str, str], heard: Callable[[int], object]
    ) -> None:
        self._items = items
        self._heard = heard
        self._query = query
        self.rows: list[Row | None] = [None] * len(items)
        self.left = list(range(len(items)))
        self._later: dict[int, Row] = {}
        self._chances: dict[int, int] = {}
        self.network = ""
        self.progress = Progress()

    async def once(self, calls: Calls, server: Server) -> None:
        """Make one call for as many as go into one, and keep the rows that come of it.

        Raises
        ------
        AgainError
            If there are not all of them.
        """
        count, said = body_of([self._items[index] for index in self.left])
        asked = self.left[:count]
        pieces: list[bytes] = []
        broken: AgainError | None = None
        try:
            async with calls.answer(server, "POST", PATH, params=self._query, **said) as answer:
                self._check(server, answer.headers)
                async for piece in answer.aiter_bytes():
                    # What came before it breaks off is kept.
                    pieces.append(piece)
                    self._heard(piece.count(b"\n"))
        except AgainError as again:
            broken = again
        except ProblemError as error:
            _raise_of_the_call(server, error)
        later = self._take(server, asked, b"".join(pieces), whole=broken is None)
        left = len(self.left)
        self.left = [index for index in self.left if self.rows[index] is None]
        if len(self.left) < left:
            self.progress.made()
        if broken is not None:
            raise broken
        if later is not None:
            raise later

    def _check(self, server: Server, headers: httpx.Headers) -> None:
        """Hold that what answers is a service, and with the same network as before."""
        kind, network = headers.get("Content-Type", "").partition(";")[0].strip(), headers.get(NETWORK)
        if kind != NDJSON or not network:
            raise no_galaxytree(server, httpx.codes.OK)
        if len(self.left) < len(self.rows) and self.network != network:
            msg = f"{server.url} runs the network {network}, and another service {self.network}: run one model on all"
            raise UnexpectedAnswerError(msg)
        self.network = network

    def _take(self, server: Server, asked: list[int], body: bytes, *, whole: bool) -> AgainError | None:
        """Keep the rows of an answer; return why it is to be made again, unless all are there."""
        lines = body.split(b"\n")
        if not whole:
            # The last one is cut off, or empty.
            lines.pop()
        later: Row | None = None
        seen = set()
        for line in lines:
            if not line:
                continue
            row = row_of(line, len(asked))
            if row is None or row["index"] in seen:
                return _odd(server, "a line that is no result, or one for an item that has one")
            seen.add(row["index"])
            index = row["index"] = asked[row["index"]]
            if self._is_final(index, row):
                self.rows[index] = row
            else:
                later = self._later[index] = row
        if later is not None:
            error = problem_error(Problem.model_validate(later["error"]))
            return AgainError(error, server_failed=error.code == "not_ready")
        return _odd(server, "not for all of its items") if whole and len(seen) < len(asked) else None

    def _is_final(self, index: int, row: Row) -> bool:
        code = row["error"]["code"] if row["status"] == "error" else ""
        if code == _BY_CHANCE:
            self._chances[index] = self._chances.get(index, 0) + 1
            return self._chances[index] >= A_FEW
        return code not in _LATER

    def settle(self) -> bool:
        """Take what was last said of the items that are left; False if it isn't known of all."""
        if not self.left or not all(index in self._later for index in self.left):
            return False
        for index in self.left:
            self.rows[index] = self._later[index]
        self.left = []
        return True


def _odd(server: Server, what: str) -> AgainError:
    return AgainError(UnexpectedAnswerError(f"{server.url} answers a batch, but {what}"), a_few=True)


def _raise_of_the_call(server: Server, error: ProblemError) -> NoReturn:
    """Raise what a problem means that is of a whole call, and of no item."""
    if error.problem.status in {404, 405}:
        msg = f"{server.url} doesn't classify many images in one call; a newer galaxytree does"
        raise UnexpectedAnswerError(msg) from error
    if isinstance(error, UnauthorizedError) or error.problem.status >= 500:
        raise error
    raise RequestRefusedError(error.problem) from error
