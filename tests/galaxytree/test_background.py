"""An event loop in a thread: what runs there, and how it ends."""

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from typing import Any, NoReturn

import pytest

from galaxytree.background import Background
from tests.servers import PATIENCE_SECONDS


async def nothing() -> None:
    pass


async def where() -> str:
    return threading.current_thread().name


async def failing() -> None:
    msg = "no luck"
    raise LookupError(msg)


def test_what_is_run_runs_in_its_thread_and_what_comes_of_it_comes_back() -> None:
    one = Background("a thread")
    assert one.run(where()) == "a thread"
    with pytest.raises(LookupError, match="no luck"):
        one.run(failing())
    one.close(nothing())


def test_in_the_end_what_runs_is_cancelled_before_the_last_is_done() -> None:
    order = []
    started = threading.Event()

    async def long() -> None:
        started.set()
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            order.append("cancelled")

    async def last() -> None:
        order.append("last")

    one = Background("one")
    future = one.start(long())
    assert started.wait(PATIENCE_SECONDS)
    one.close(last())
    assert order == ["cancelled", "last"]
    assert future.cancelled()
    assert one.closed
    one.close(last())
    assert order == ["cancelled", "last"]
    with pytest.raises(RuntimeError, match="this is closed"):
        one.start(nothing())


def test_ctrl_c_in_the_waiting_thread_cancels() -> None:
    ended = threading.Event()

    async def long() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            ended.set()

    one = Background("one")
    with pytest.raises(KeyboardInterrupt):
        one.run(long())
    assert ended.wait(PATIENCE_SECONDS / 2)
    one.close(nothing())


def test_ctrl_c_before_there_is_anything_to_wait_for_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    begun = threading.Event()

    async def long() -> None:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            ended.set()

    one = Background("one")
    start = one.start

    def interrupted(doing: Coroutine[Any, Any, None]) -> NoReturn:
        start(doing)
        assert begun.wait(PATIENCE_SECONDS)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            one.run(long())
    assert ended.wait(PATIENCE_SECONDS / 2)
    one.close(nothing())


def test_in_a_process_that_was_forked_it_is_said_rather_than_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Background("one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(RuntimeError, match="make one in each"):
            one.run(nothing())
    one.close(nothing())
