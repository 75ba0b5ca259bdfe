"""Edges of the middleware and of the service that no peer reaches over a socket."""

import asyncio
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from app.disconnects import while_connected
from app.errors import CatchUnexpected
from app.lingering import LingeringClose
from app.service import Service
from app.settings import Settings


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


def test_work_is_dropped_when_its_client_goes() -> None:
    messages: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]
    cancelled = asyncio.Event()

    async def receive() -> Message:
        return messages.pop(0)

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def ask() -> None:
        with pytest.raises(ClientDisconnect):
            await while_connected(Request({"type": "http"}, receive), work())
        await asyncio.wait_for(cancelled.wait(), 5)

    asyncio.run(ask())


def test_a_service_that_never_started_stops(model_folder: Path) -> None:
    asyncio.run(Service.prepare(Settings(model=model_folder, device="cpu")).stop())
