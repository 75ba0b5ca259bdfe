"""The way of one image through the service: what is asked of it, whether there is room, to the workers, and its answer.

A request is served in one of two ways. One that has come whole with its head, as small images do over fast networks,
is served right where it is read, by `serve_whole`. All others, and those with a form, are served as ASGI has it, by
`serve`, while their bodies come in. What they do is the same.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.access import Ticket
from app.bodies import is_form, read_image
from app.disconnects import calling_when_gone
from app.errors import InternalError, InvalidRequestError, ServiceError
from app.jobs import Answered, Job
from app.pool import Pool
from app.problems import written
from app.request_id import current_id
from app.service import Service
from app.waiting import Entry, Outcome
from galaxytree.views import Views

Headers = Iterable[tuple[bytes, bytes]]

Reply = Callable[[int, Headers, bytes], object]
"""Sends a whole answer: status, headers, body."""

_log = logging.getLogger(__name__)


class Parameters(BaseModel):
    """What a query may say."""

    model_config = ConfigDict(frozen=True)

    detail: Annotated[
        Literal["full", "scores"],
        Field(description="`scores` leaves out `questions`, `path` and `summary`"),
    ] = "full"
    views: Annotated[
        Views,
        Field(
            description="Average over so many orientations of the image: 1, as it is, or 8, its rotations by 90 "
            "degrees and mirror images, so that a picture that is turned or mirrored gets the same answer. Not given: "
            "what the service is set to, as `GET /model` says"
        ),
    ] = None  # type: ignore[assignment]  # None is no value that a client can send
    priority: Annotated[
        Literal["interactive", "bulk"],
        Field(
            description="`bulk` lets others go ahead, and leaves them room in the queue: for surveys, whose images "
            "are in no hurry"
        ),
    ] = "interactive"

    @classmethod
    def of(cls, query: bytes) -> Self:
        """Read a query; InvalidRequestError if a parameter has no such value, or is there twice. Others are ignored."""
        given: dict[str, str] = {}
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name in given and name in cls.model_fields:
                msg = f"query.{name}: given more than once, so that it can't be told which is meant."
                raise InvalidRequestError(msg)
            given[name] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            details = (f"query.{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
            raise InvalidRequestError("; ".join(details)) from error


class ImageParameters(Parameters):
    """What the query of one image may say."""

    explain: Annotated[
        str,
        Field(
            description="Id of an answer: `explanation` then says where in the picture the network saw evidence for "
            "it. Of models that say so, see `explainable` of `GET /model`"
        ),
    ] = None  # type: ignore[assignment]  # None is no value that a client can send


_SHORT = 128

_known = lru_cache(maxsize=256)(ImageParameters.of)


def _parameters(query: bytes) -> ImageParameters:
    # Short ones come again and again; long ones are not worth keeping.
    return _known(query) if len(query) <= _SHORT else ImageParameters.of(query)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for, and of whom."""

    pool: Pool
    views: Views
    full: bool
    bulk: bool
    explain: int | None

    @classmethod
    def of(cls, service: Service, scope: Scope) -> "_Asked":
        """Read a request's head; ServiceError if it asks for what there isn't."""
        parameters = _parameters(scope["query_string"])
        views = service.views(parameters.views)
        explain = service.explained(parameters.explain)
        return cls(service.pool, views, parameters.detail == "full", parameters.priority == "bulk", explain)

    def submit(self, data: bytes, done: Callable[[Outcome], object], request_id: str) -> Entry:
        """Have the image that came classified."""
        job = Job(data, self.views, full=self.full, bulk=self.bulk, explain=self.explain)
        return self.pool.submit(job, done, request_id)


async def serve(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request that was let in, as an ASGI application of a service."""
    try:
        outcome: Outcome = await _classified(service, scope, receive)
    except ServiceError as error:
        outcome = error
    except ClientDisconnect:
        # Nobody is there to be answered.
        return
    status, headers, body = _answer(outcome)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _classified(service: Service, scope: Scope, receive: Receive) -> Outcome:
    asked = _Asked.of(service, scope)
    with service.admission.visit(asked.views, bulk=asked.bulk) as visit:
        data = await read_image(scope, receive, service.body_limits, visit.hold)
        visit.enter()
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        entry = asked.submit(data, settle, current_id())
        with calling_when_gone(scope, receive, answered.cancel):
            try:
                return await answered
            except asyncio.CancelledError:
                asked.pool.drop(entry)
                task = asyncio.current_task()
                if answered.cancelled() and not (task and task.cancelling()):
                    raise ClientDisconnect from None
                raise


def serve_whole(service: Service, scope: Scope, body: bytes, reply: Reply) -> Callable[[], None] | None:
    """Serve a request that has come whole, without a task of its own, which would cost more than what it does.

    Parameters
    ----------
    service, scope
    body
        The image: no form.
    reply
        Is called once, now or later, unless what is returned is called before.

    Returns
    -------
    callable or None
        What to call if the client goes before it is answered; None if it has been answered.
    """
    ticket: Ticket | None = None
    try:
        ticket = service.access.admit(scope, "classify", 1)
        asked = _Asked.of(service, scope)
        visit = service.admission.visit(asked.views, bulk=asked.bulk)
        try:
            visit.hold(len(body))
            visit.enter()

            def done(outcome: Outcome) -> None:
                visit.leave()
                reply(*_answer(outcome, ticket))

            entry = asked.submit(body, done, current_id())
        except BaseException:
            visit.leave()
            raise
    except ServiceError as error:
        reply(*_answer(error, ticket))
        return None
    except Exception:  # noqa: BLE001 (as the middleware does for all others)
        _log.exception("unexpected error in %s %s", scope["method"], scope["path"])
        reply(*_answer(InternalError(), ticket))
        return None

    def gone() -> None:
        asked.pool.drop(entry)
        visit.leave()
        if ticket is not None:
            ticket.leave()

    return gone


def served_whole(service: Service, scope: Scope, body_bytes: int) -> bool:
    """Whether `serve_whole` is for a request with so many bytes: the others are refused where bodies are read."""
    return body_bytes <= service.settings.max_image_bytes and not is_form(scope) and service.is_plain(scope)


def _answer(outcome: Outcome, ticket: Ticket | None = None) -> tuple[int, Headers, bytes]:
    if isinstance(outcome, ServiceError):
        status, headers, body = written(outcome)
    else:
        status, body = 200, outcome.body
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", _timing(outcome)),
        ]
    if ticket is not None:
        headers += ticket.headers()
        ticket.leave(status)
    return status, headers, body


def _timing(answered: Answered) -> bytes:
    """Return the value of ``Server-Timing``, in milliseconds."""
    decode, queue, infer = answered.decode_seconds, answered.queue_seconds, answered.infer_seconds
    return b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % (1000 * decode, 1000 * queue, 1000 * infer)
