"""Edges of the middleware and of the service that no peer reaches over a socket."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.classify import serve
from app.disconnects import EXTENSION, calling_when_gone
from app.errors import InternalError
from app.jobs import Job
from app.lingering import LingeringClose
from app.live import Live
from app.main import create_app
from app.problems import CatchUnexpected
from app.service import Service
from app.settings import Settings
from app.waiting import Outcome


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def ignore(_: Message) -> None:
    pass


def test_an_error_after_the_start_of_an_answer_cuts_it_off() -> None:
    async def starts_and_fails(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(CatchUnexpected(starts_and_fails)({"type": "http"}, nothing, ignore))


def test_an_error_outside_of_requests_is_left_alone() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(CatchUnexpected(fails)({"type": "lifespan"}, nothing, ignore))


def test_one_who_never_stops_sending_is_listened_to_for_a_while_only() -> None:
    sent: list[Message] = []

    async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body", "body": b"too "})
        await send({"type": "http.response.body", "body": b"large"})

    async def endless() -> Message:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": bytes(1000), "more_body": True}

    async def note(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(asyncio.wait_for(LingeringClose(refuses, seconds=0.05)(scope, endless, note), 5))
    assert sent[0]["headers"] == [(b"connection", b"close")]
    assert b"".join(message["body"] for message in sent[1:]).startswith(b"too ")
    assert not sent[-1].get("more_body")


def test_who_goes_is_noticed_with_any_server() -> None:
    messages: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def ask() -> None:
        gone = asyncio.Event()
        with calling_when_gone({"type": "http"}, receive, gone.set):
            await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(ask())


def test_who_stays_is_not_watched_any_more() -> None:
    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def ask() -> None:
        gone = asyncio.Event()
        with calling_when_gone({"type": "http"}, receive, gone.set):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not gone.is_set()

    asyncio.run(ask())


def test_the_server_tells_who_goes_where_it_can() -> None:
    watchers: set[object] = set()
    scope = {"type": "http", "extensions": {EXTENSION: watchers}}
    with calling_when_gone(scope, nothing, list.clear):  # type: ignore[arg-type]
        assert watchers == {list.clear}
    assert not watchers


class OnePlace:
    """A pool that keeps what it is given."""

    ready = True

    def __init__(self) -> None:
        self.dropped: list[object] = []
        self.done: Callable[[Outcome], object] | None = None

    def submit(self, _job: Job, done: Callable[[Outcome], object], _request_id: str) -> object:
        self.done = done
        return self

    def drop(self, entry: object) -> None:
        self.dropped.append(entry)


def test_a_task_that_the_server_cancels_drops_its_image(model_folder: Path) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"image"}

    async def cancel() -> None:
        service, pool = Service.prepare(Settings(model=model_folder, device="cpu")), OnePlace()
        live = Live("default", service.roster.folder(), pool, object())  # type: ignore[arg-type]
        service.roster.enter([live])
        scope = {"type": "http", "headers": [], "query_string": b"", "extensions": {EXTENSION: set()}}
        task = asyncio.create_task(serve(service, scope, receive, ignore))
        await asyncio.sleep(0)
        assert pool.done is not None
        assert service.admission.images == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.dropped == [pool]
        assert service.admission.images == 0
        # What a worker says of it all the same is for nobody.
        pool.done(InternalError())

    asyncio.run(cancel())


def test_a_service_that_never_started_stops(model_folder: Path) -> None:
    asyncio.run(Service.prepare(Settings(model=model_folder, device="cpu")).stop())


def test_the_application_serves_its_route_without_the_shortcut_too(model_folder: Path) -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response]:
        # No server has started it, so that it isn't ready; that is the route's own answer.
        transport = httpx.ASGITransport(create_app(Settings(model=model_folder, device="cpu")))
        async with httpx.AsyncClient(transport=transport, base_url="http://any") as client:
            return await client.post("/classify", content=b"image"), await client.get("/classify")

    posted, got = asyncio.run(ask())
    assert (posted.status_code, posted.json()["code"]) == (503, "not_ready")
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
