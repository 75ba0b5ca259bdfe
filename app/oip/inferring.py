"""``POST /v2/models/{model}/infer`` as an ASGI application of a service: some images in, and what is said of them all.

Each image goes the way of one of ``POST /classify``, and is scored along with others. If one of them can't be, the
whole request gets its error, as the protocol has it, and what is still waiting is let go.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.access import Ticket, ticket_of
from app.disconnects import calling_when_gone
from app.errors import InternalError, RequestError, ServiceError, TryLaterError
from app.jobs import Answered, Job
from app.oip.body import Limits, read_body
from app.oip.models import named
from app.oip.tensors import Images, at, images_of, outputs_of
from app.oip.told import written
from app.oip.wire import Tensor, head_bytes, parse, write
from app.pool import Pool
from app.request_id import current_id
from app.service import Service
from app.settings import Settings
from app.telemetry.numbers import CUT_OFF, OK, Numbers
from app.waiting import Entry, Outcome
from galaxytree.views import Views

MOST_BESIDE = 64 * 1024
"""Bytes of JSON beside the one largest image, in base64, that there is room for."""

Headers = list[tuple[bytes, bytes]]


async def serve(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request, as an ASGI application of a service."""
    try:
        headers, body = await _inferred(service, scope, receive)
        status = 200
    except ServiceError as error:
        status, headers, body = written(error)
    except ClientDisconnect:
        # Nobody is there to be answered.
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def most_json(settings: Settings) -> int:
    """Return how many bytes of JSON a request may have: the service waits while it is read."""
    return min(_most(settings), 4 * math.ceil(settings.max_image_bytes / 3) + MOST_BESIDE)


def _most(settings: Settings) -> int:
    return min(settings.infer_bytes, settings.queue_bytes)


async def _inferred(service: Service, scope: Scope, receive: Receive) -> tuple[Headers, bytes]:
    """Return the headers and the body of an answer; ServiceError if there is none."""
    model, version = scope["path_params"]["model"], scope["path_params"].get("version")
    named(service, model, version)
    live, settings = service.live(model), service.settings
    head = head_bytes(scope)
    # Another model may take its place while the body is on its way.
    with live.in_use(), service.admission.visit(settings.views) as visit:
        limits = Limits(most_json(settings) if head is None else _most(settings), settings.body_timeout_seconds)
        body = await read_body(scope, receive, limits, visit.hold)
        asked, behind = parse(body, head, most_json(settings))
        outputs = outputs_of(asked, live.running.outputs)
        views, bulk, asked_id = service.views(asked.parameters.views), asked.parameters.bulk, asked.id
        size, most = live.folder.card.framing.size, settings.queue_images // views
        images = images_of(asked.inputs[0], behind, size, settings.max_image_bytes, most)
        # They stand for the body from here on.
        del body, behind, asked
        number = len(images.data)
        with _told(service.telemetry.numbers, number):
            visit.enter_as(number * views, bulk=bulk)
            with _counted(ticket_of(scope), number):
                jobs = _Jobs(live.pool, images, views, bulk=bulk)
                with calling_when_gone(scope, receive, jobs.leave):
                    answered = await jobs.answers()
    said: list[dict[str, Any]] = [orjson.loads(one.body) for one in answered]
    beside = {"model_name": model, "model_version": said[0]["model"]["version"]}
    if asked_id is not None:
        beside["id"] = asked_id
    headers, content = write(beside, [_tensor(name, said, binary=binary) for name, binary in outputs])
    return [*headers, (b"server-timing", _timing(answered))], content


@contextmanager
def _told(numbers: Numbers, images: int) -> Iterator[None]:
    """Note what becomes of images, for ``GET /metrics``."""
    outcome = InternalError.code
    try:
        yield
        outcome = OK
    except ServiceError as error:
        outcome = error.code
        raise
    except (ClientDisconnect, asyncio.CancelledError):
        outcome = CUT_OFF
        raise
    finally:
        numbers.inferred[outcome] += images


@contextmanager
def _counted(ticket: Ticket | None, images: int) -> Iterator[None]:
    """Count images as the caller's, unless the service has no time for them or fails; all of them or none."""
    taken = 0
    try:
        for _ in range(images if ticket else 0):
            cast("Ticket", ticket).take_image()
            taken += 1
        yield
    except (TryLaterError, InternalError):
        for _ in range(taken):
            cast("Ticket", ticket).give_back_image()
        raise


class _Jobs:
    """The images of one request on their way through the workers."""

    def __init__(self, pool: Pool, images: Images, views: Views, *, bulk: bool) -> None:
        loop = asyncio.get_running_loop()
        request_id = current_id()
        self._pool = pool
        self._outcomes: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in images.data]
        self._entries: list[Entry] = []
        self._gone = False
        try:
            for data, outcome in zip(images.data, self._outcomes, strict=True):
                job = Job(data, views, bulk=bulk, framed=images.framed)
                self._entries.append(pool.submit(job, _settling(outcome), request_id))
        except BaseException:
            self._drop()
            raise

    async def answers(self) -> list[Answered]:
        """Wait for what each got.

        Raises
        ------
        ServiceError
            Of the first one, in their order, that can't be scored: so it is the same whoever is the fastest.
        starlette.requests.ClientDisconnect
            If the client has gone.
        """
        answers = []
        try:
            for place, future in enumerate(self._outcomes):
                outcome = await future
                if isinstance(outcome, RequestError):
                    raise at(place, outcome)
                if isinstance(outcome, ServiceError):
                    raise outcome
                answers.append(outcome)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._gone and not (task and task.cancelling()):
                raise ClientDisconnect from None
            raise
        finally:
            self._drop()
        return answers

    def leave(self) -> None:
        """Hear that the client has gone."""
        self._gone = True
        for outcome in self._outcomes:
            outcome.cancel()

    def _drop(self) -> None:
        """Let go of what nobody waits for any more."""
        for entry in self._entries:
            if not entry.gone:
                self._pool.drop(entry)


def _settling(future: asyncio.Future[Outcome]) -> Callable[[Outcome], None]:
    def settle(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    return settle


def _tensor(name: str, said: Sequence[dict[str, Any]], *, binary: bool) -> Tensor:
    """Return one output of all images."""
    rows = [one[name] for one in said]
    if isinstance(rows[0], dict):
        return Tensor(name, (len(rows), len(rows[0])), [value for row in rows for value in row.values()], binary)
    return Tensor(name, (len(rows),), rows, binary)


def _timing(answered: Sequence[Answered]) -> bytes:
    """Return the value of ``Server-Timing``, in milliseconds: each the longest that an image took."""
    longest = (
        max(one.decode_seconds for one in answered),
        max(one.queue_seconds for one in answered),
        max(one.infer_seconds for one in answered),
    )
    return b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % tuple(1000 * each for each in longest)
