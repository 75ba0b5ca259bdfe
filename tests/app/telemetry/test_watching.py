"""What becomes of requests that are not served as they should be is counted too."""

import asyncio
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.disconnects import EXTENSION
from app.main import create_app
from app.settings import Settings
from app.telemetry.codes import code_of
from app.telemetry.numbers import Numbers
from app.telemetry.routes import OTHER, Routes
from app.telemetry.watching import Watcher

HEAD = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"a", "more_body": True}
END = {"type": "http.response.body", "body": b""}


async def nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def unheard(_message: Message) -> None:
    """Send to nobody."""


@pytest.fixture
def watcher(model_folder: Path) -> Watcher:
    app = application(model_folder)
    return Watcher(app.state.service, Routes(app.routes))


def application(model_folder: Path) -> FastAPI:
    return create_app(Settings(model=model_folder, device="cpu", access_log="off"))


def numbers_of(watcher: Watcher) -> Numbers:
    return watcher._numbers


def scope_of(path: str = "/nowhere", **more: object) -> Scope:
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], **more}


def test_who_fails_before_an_answer_has_the_server_answer(watcher: Watcher) -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(watcher.watch(fails)(scope_of(), nothing, unheard))  # type: ignore[arg-type]
    assert numbers_of(watcher).requests == {("other", "GET", 500, "internal_server_error"): 1}


def test_who_fails_in_an_answer_cuts_it_off(watcher: Watcher) -> None:
    async def fails(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(HEAD)
        await send(PIECE)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(watcher.watch(fails)(scope_of("/model"), nothing, unheard))  # type: ignore[arg-type]
    assert numbers_of(watcher).requests == {("/model", "GET", 200, "cut_off"): 1}


@pytest.mark.parametrize(("begun", "counted"), [(True, (200, "cut_off")), (False, (499, "cut_off"))])
def test_who_goes_before_the_end_is_cut_off(watcher: Watcher, begun: bool, counted: tuple[int, str]) -> None:  # noqa: FBT001
    async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send(HEAD)
        for act in tuple(scope["extensions"][EXTENSION]):
            act()
        if not begun:
            await send(HEAD)
        await send(PIECE)
        await send(END)

    watchers: set[object] = set()
    scope = scope_of("/model", extensions={EXTENSION: watchers})
    asyncio.run(watcher.watch(answers)(scope, nothing, unheard))  # type: ignore[arg-type]
    assert numbers_of(watcher).requests == {("/model", "GET", *counted): 1}
    assert not watchers


def test_who_goes_after_the_end_has_got_all(watcher: Watcher) -> None:
    async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
        # As after a refusal: all has been said, and the connection is held for a while.
        await send({**HEAD, "status": 413, "headers": [(b"content-length", b"20")]})
        await send({**PIECE, "body": b'{"code":"too_large"}'})
        for act in tuple(scope["extensions"][EXTENSION]):
            act()
        await send(END)

    scope = scope_of("/model", extensions={EXTENSION: set()})
    asyncio.run(watcher.watch(answers)(scope, nothing, unheard))  # type: ignore[arg-type]
    assert numbers_of(watcher).requests == {("/model", "GET", 413, "too_large"): 1}


def test_what_is_no_request_is_left_alone(watcher: Watcher) -> None:
    async def lives(_scope: Scope, _receive: Receive, _send: Send) -> None:
        """Start and stop."""

    asyncio.run(watcher.watch(lives)({"type": "lifespan"}, nothing, unheard))  # type: ignore[arg-type]
    assert not numbers_of(watcher).requests


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"anything", "ok"),
        (307, b"", "ok"),
        (422, b'{"code":"invalid_request"}', "invalid_request"),
        (404, b"no JSON", "not_found"),
        (400, b'{"error":"another one\'s"}', "bad_request"),
        (400, b"[]", "bad_request"),
        (418, b'{"code":7}', "im_a_teapot"),
        (599, b"", "599"),
    ],
)
def test_codes(status: int, body: bytes, code: str) -> None:
    assert code_of(status, body) == code


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/model", "/model"),
        ("/v2/models/any/infer", "/v2/models/{model}/infer"),
        ("/v2/models/any/versions/1/infer", "/v2/models/{model}/versions/{version}/infer"),
        ("/page/any.js", "/page/{name:path}"),
        ("/v2/models/any/nothing/infer", OTHER),
        ("/v2/models//infer", OTHER),
        ("/model/", OTHER),
    ],
)
def test_the_route_of_who_was_sent_away_before_one_was_looked_for(model_folder: Path, path: str, route: str) -> None:
    assert Routes(application(model_folder).routes).of(scope_of(path)) == route
