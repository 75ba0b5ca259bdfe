"""``POST /classify/batch`` as an ASGI application of a service: a batch in, its results out as they come or at once."""

import asyncio
import contextlib
import logging
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.access import ticket_of
from app.batch.accept import JSON, NDJSON, Kind, answers_in_lines, header, kind_of
from app.batch.form import Form
from app.batch.items import Intake
from app.batch.lines import Lines
from app.batch.listed import Listed
from app.batch.pictures import AT_A_TIME, Pictures
from app.batch.way import Way
from app.batch.working import Work
from app.classify import Parameters
from app.disconnects import BREAKING, EXTENSION
from app.errors import InvalidRequestError, NotReadyError, ServiceError
from app.lifecycle import State
from app.lingering import LINGER_SECONDS, READS_ON
from app.problems import written
from app.service import Service
from app.telemetry.seen import ENDED, ITEMS

NETWORK = b"x-galaxytree-network"
"""Header of an answer: SHA-256 of the ONNX file that gave the scores."""

_log = logging.getLogger(__name__)


class BatchParameters(Parameters):
    """What the query of a batch may say."""

    priority: Annotated[
        Literal["interactive", "bulk"],
        Field(description="`bulk` lets others go ahead; `interactive` is for batches that somebody waits for"),
    ] = "bulk"
    picture: Annotated[
        bool,
        Field(
            description="Whether each result has the bytes of its image as `picture`, for who shows what was looked "
            "at. Of URLs, not of files; any number in lines, one in a document"
        ),
    ] = False


async def serve(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request that was let in, as an ASGI application of a service."""
    try:
        exchange = _Exchange(service, scope, receive, send)
        await exchange.run()
    except ServiceError as error:
        status, headers, body = written(error)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except ClientDisconnect:
        # Nobody is there to be answered.
        return


class _Exchange:
    """One request and its answer; ServiceError if it asks for what there isn't."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = BatchParameters.of(scope["query_string"])
        views = service.views(parameters.views)
        kind = kind_of(scope)
        # While no worker is there nothing is begun; and what is begun with one model isn't gone on with by another.
        self._live = service.live(parameters.model)
        self._network = self._live.network_sha256.encode()
        self._service = service
        self._scope = scope
        self._receive = receive
        self._send = send
        self._in_lines = answers_in_lines(scope, kind)
        pictures = Pictures(service.admission) if parameters.picture else None
        if pictures and kind is Kind.FORM:
            msg = "query.picture: it is for URLs; of files the sender has the pictures."
            raise InvalidRequestError(msg)
        settings = service.settings
        # A document is kept until it is whole.
        most = 1 if pictures and not self._in_lines else settings.batch_items
        self._intake = _intake(service, scope, kind, most, in_lines=self._in_lines)
        full, bulk = parameters.detail == "full", parameters.priority == "bulk"
        way = Way(service, self._live, views, full=full, bulk=bulk, pictures=pictures, ticket=ticket_of(scope))
        concurrency = min(settings.batch_concurrency, AT_A_TIME) if pictures else settings.batch_concurrency
        # Of items that are only so many the results are kept, unless they are as large as images.
        keeps = self._intake.bounded and not (pictures and self._in_lines)
        self._work = Work(self._intake, way, concurrency, settings.body_timeout_seconds, keeps=keeps)
        self._pictures = pictures
        self._started = False
        self._ended_by: ServiceError | None = None
        self._giving_up: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Work on all items, and answer; ServiceError if nothing has been answered that could be gone on with."""
        watchers = self._scope.get("extensions", {}).get(EXTENSION, set())
        watchers.add(self._work.gone)
        try:
            service = self._service
            with (
                self._live.in_use(),
                service.admission.batch(),
                service.lifecycle.calling_at_end(self._finish),
                service.access.calling_when_refused(self._scope, "batch", self._stop),
            ):
                self._work.start(self._receive)
                await (self._answer_in_lines() if self._in_lines else self._answer_at_once())
        finally:
            watchers.discard(self._work.gone)
            if self._giving_up is not None:
                self._giving_up.cancel()
            await self._work.end()
            self._scope[ITEMS] = self._work.ok, self._work.failed
            self._tell_end()

    async def _answer_in_lines(self) -> None:
        while results := await self._work.results():
            if not self._started:
                await self._start(NDJSON.encode())
            body = b"\n".join([*(line for _, line in results), b""])
            await self._say(body, more=True)
            self._work.sent()
        if self._work.error is None:
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._break_off()

    async def _answer_at_once(self) -> None:
        found: dict[int, bytes] = {}
        while results := await self._work.results():
            found.update(results)
        work = self._work
        lines = b",".join([found[index] for index in range(len(found))])
        body = b'{"results":[%b],"summary":{"ok":%d,"failed":%d}}' % (lines, work.ok, work.failed)
        await self._start(JSON.encode(), (b"content-length", b"%d" % len(body)))
        await self._say(body, more=False)

    async def _say(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the answer; one with pictures until it has been read, or isn't within a time."""
        if self._pictures is None:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            return
        seconds = self._service.settings.body_timeout_seconds
        cutting = asyncio.get_running_loop().call_later(seconds, self._cut)
        try:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            # It is written when the loop comes round; what is sent then waits until it has gone out.
            await asyncio.sleep(0)
            await self._send({"type": "http.response.body", "body": b"", "more_body": more})
        finally:
            cutting.cancel()

    def _cut(self) -> None:
        """Close the connection of a client that doesn't read."""
        if (break_off := self._scope.get("extensions", {}).get(BREAKING)) is not None:
            break_off(now=True)

    async def _start(self, media_type: bytes, *headers: tuple[bytes, bytes]) -> None:
        self._started = self._work.answered = True
        headers = ((b"content-type", media_type), (NETWORK, self._network), *headers)
        start = {"type": "http.response.start", "status": 200, "headers": [*headers]}
        await self._send({**start, READS_ON: True})

    def _finish(self) -> None:
        """Hear that the service is to end: what is all here is finished, within the time that an image has."""
        if not self._intake.closed:
            self._stop(self._service.not_ready(State.DRAINING))
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(self._service.settings.request_timeout_seconds, self._give_up)

    def _give_up(self) -> None:
        self._stop(self._service.not_ready(State.DRAINING))
        if self._started:
            self._cut()

    def _stop(self, error: ServiceError) -> None:
        """Read no more, for a reason that is the service's; what is done already is only to be read by the client."""
        if self._work.done:
            return
        if self._work.error is None:
            self._ended_by = error
        self._work.stop(error)

    def _tell_end(self) -> None:
        """Say in the log, and to the access log, that the service ended this batch, and why."""
        ended_by, work = self._ended_by or self._work.error, self._work
        if self._started and isinstance(ended_by, ServiceError):
            self._scope[ENDED] = ended_by.code
        if self._ended_by is None:
            return
        ticket = ticket_of(self._scope)
        whose = "" if ticket is None or ticket.name is None else f" of {ticket.name}"
        if isinstance(self._ended_by, NotReadyError):
            why = "the service ends"
            self._service.lifecycle.broke_off(work.ok + work.failed)
        else:
            why = f"its key was taken back ({self._ended_by.code})"
        _log.warning("broke off a batch%s, since %s: %d items scored, %d failed", whose, why, work.ok, work.failed)

    async def _break_off(self) -> None:
        """End the answer so that the client sees that it is not whole, and still gets what has been sent.

        If the connection were closed with bytes of the body unread, what is on its way to the client might be lost.
        """
        await self._work.end()
        break_off = self._scope.get("extensions", {}).get(BREAKING)
        if break_off is None:
            # The server breaks off what has not been ended.
            return
        break_off(now=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._gone()
        break_off(now=True)
        await self._gone()

    async def _gone(self) -> None:
        """Read until the connection has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _intake(service: Service, scope: Scope, kind: Kind, most: int, *, in_lines: bool) -> Intake:
    clock, settings = asyncio.get_running_loop().time, service.settings
    if kind is Kind.NDJSON:
        return Lines(clock, None if in_lines else most)
    if kind is Kind.JSON:
        return Listed(clock, most, service.admission)
    length = header(scope, b"content-length")
    return Form(
        clock,
        most,
        service.admission,
        header(scope, b"content-type"),
        most_bytes=settings.max_image_bytes,
        body_bytes=int(length) if length.isdigit() else None,
        ahead=settings.batch_concurrency,
    )
