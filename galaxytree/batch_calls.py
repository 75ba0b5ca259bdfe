"""Calls of ``POST /classify/batch``: some hundred items at a time, and an answer for each, whatever happens.

What a call leaves unanswered, since the connection broke or the service was too busy, is asked again, of another
service where there are several; what has been answered is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from pydantic_core import to_json

from galaxytree.calls import AgainError, Caller, Progress, no_galaxytree, parsed
from galaxytree.client_errors import GalaxytreeError, UnexpectedAnswerError, UnreachableError
from galaxytree.servers import Server
from galaxytree.views import Views

NETWORK = "X-Galaxytree-Network"
"""Header of an answer: SHA-256 of the ONNX file that gave it, in hexadecimal."""

TRANSIENT = frozenset({"overloaded", "not_ready", "deadline_exceeded"})
"""Codes of items that are asked again."""

FAILED = "internal_error"
MOST_FAILURES = 3
"""So often an item is asked of services that fail on it."""

_BATCH, _MODEL = "/classify/batch", "/model"
_LINES = "application/x-ndjson"

Row = dict[str, Any]


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


class BatchCaller(Caller):
    """Calls services for many images at a time; the parameters are those of `galaxytree.calls.Caller`."""

    async def model(self) -> dict[str, Any]:
        """Return what ``GET /model`` says of one that answers.

        Raises
        ------
        UnreachableError, ProblemError, UnexpectedAnswerError
            If none answers, or with something else.
        """

        async def ask() -> dict[str, Any]:
            with self.servers.taking() as server:
                answer, body = await self.send(server, "GET", _MODEL)
            found = parsed(server, answer, body)
            if not isinstance(found, dict):
                raise no_galaxytree(server, answer)
            return found

        return await self.persisting(ask)

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
        call = _Call(items)

        async def ask() -> BatchAnswer:
            sent = call.missing
            with self.servers.taking(len(sent)) as server:
                answer, body = await self.send(server, "POST", _BATCH, params=params, **call.content(sent))
            call.take(server, answer, body, sent)
            return call.answer()

        try:
            return await self.persisting(ask, call.progress)
        except GalaxytreeError:
            # What is only late is told as the item's own error; others need not be lost with it.
            if call.has_some_answer_for_each:
                return call.answer(final=True)
            raise


class _Call:
    """A call with items, some of which may be answered already."""

    def __init__(self, items: Sequence[UrlItem] | Sequence[ImageItem]) -> None:
        self.progress = Progress()
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
    def has_some_answer_for_each(self) -> bool:
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
        rows = parsed(server, answer, b"[" + whole.replace(b"\n", b",") + b"]")
        if network is None:
            raise no_galaxytree(server, answer)
        if self._network not in {None, network}:
            msg = f"{server.address} answers with another network than what answered before ({network})"
            raise UnexpectedAnswerError(msg)
        self._network = network
        try:
            for row in rows:
                self._keep(sent[row.pop("index")], row)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise no_galaxytree(server, answer) from error

    def _keep(self, place: int, row: Row) -> None:
        if row["status"] != "ok":
            code = row["error"]["code"]
            self._failures[place] = self._failures.get(place, 0) + (code == FAILED)
            if code in TRANSIENT or (code == FAILED and self._failures[place] < MOST_FAILURES):
                self._late[place] = row
                return
        self._rows[place] = row
        self.progress.made()

    def answer(self, *, final: bool = False) -> BatchAnswer:
        """Return all answers; AgainError if some are missing, unless it is final."""
        rows = [self._late.get(place) if row is None else row for place, row in enumerate(self._rows)]
        missing = self.missing
        if self._network is None or (missing and not final):
            msg = f"{len(missing)} of {len(self._rows)} items were not answered"
            raise AgainError(UnreachableError(msg))
        return BatchAnswer([row for row in rows if row is not None], self._network)
