"""The faults that go on during a soak."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from time import perf_counter

import orjson

from benchmarks.client import post
from benchmarks.faults.asking import Ask, Line, connected
from benchmarks.faults.clients import vanishing
from benchmarks.faults.judging import Asks, Code, Failed, expecting
from benchmarks.faults.reloading import reload
from benchmarks.faults.stage import Stage
from benchmarks.images import corrupt

PART_BAD = 0.05
VANISHING_SECONDS, BATCH_SECONDS, SILENT_SECONDS, REPLACE_SECONDS = 0.5, 5.0, 20.0, 45.0
SILENT = 100
HOSTS = "127.0.0.1:1"
"""Where nobody listens, and what the service is told to fetch from; all else is not listed."""

URLS = [*(f"http://127.0.0.1:1/{number}.jpg" for number in range(8)), *(f"http://images.example/{n}" for n in range(8))]


def mixed(asks: Asks, images: tuple[bytes, ...], path: str) -> Iterator[Ask]:
    """Return good requests without end, with some strewn in whose bodies are no whole images."""
    source, good = random.Random(0), asks.in_turn()
    check = expecting(HTTPStatus.UNPROCESSABLE_ENTITY, Code("undecodable_image"))
    bad = [Ask(post(path, body), check) for body in corrupt(images)]
    while True:
        yield source.choice(bad) if source.random() < PART_BAD else next(good)


async def go_wrong(stage: Stage, seconds: float) -> None:
    """Let everything go on for so long; processes and models are replaced in the first third alone.

    What is held is to be seen to stay as it is over the last half, and a process that is new holds less than one that
    has worked for a while.
    """
    loop = asyncio.get_running_loop()
    ends, third = loop.time() + seconds, loop.time() + seconds / 3
    async with asyncio.TaskGroup() as group:
        group.create_task(_vanish(stage, ends))
        group.create_task(_batches(stage, ends))
        group.create_task(_silence(stage, ends))
        group.create_task(_replace(stage, third))


def _count(stage: Stage, what: str, number: int = 1) -> None:
    stage.happened[what] = int(stage.happened.get(what, 0)) + number


async def _pause(seconds: float, ends: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, ends - asyncio.get_running_loop().time())))


async def _vanish(stage: Stage, ends: float) -> None:
    source = random.Random(1)
    while asyncio.get_running_loop().time() < ends:
        await vanishing(stage.server.port, source)
        _count(stage, "uploads broken off")
        await _pause(VANISHING_SECONDS, ends)


async def _batches(stage: Stage, ends: float) -> None:
    line = Line(stage.server.port)
    request = post("/classify/batch", orjson.dumps({"urls": URLS}), "application/json")
    codes = frozenset({"fetch_failed", "url_forbidden", "fetch_timeout"})
    ask = Ask(request, expecting(HTTPStatus.OK, Failed(len(URLS), codes)))
    while asyncio.get_running_loop().time() < ends:
        stage.beside.note(await line.ask(ask))
        _count(stage, "batches of bad URLs")
        await _pause(BATCH_SECONDS, ends)
    line.close()


async def _silence(stage: Stage, ends: float) -> None:
    """Hold connections on which nothing is said, and let them go."""
    while asyncio.get_running_loop().time() < ends:
        opened = await asyncio.gather(*(connected(stage.server.port) for _ in range(SILENT)), return_exceptions=True)
        held = [each for each in opened if isinstance(each, socket.socket)]
        try:
            _count(stage, "silent connections", len(held))
            await _pause(SILENT_SECONDS, ends)
        finally:
            for each in held:
                each.close()


async def _replace(stage: Stage, ends: float) -> None:
    """Kill a worker, and reload the model where the service does that, in turn."""
    loop, number, killed = asyncio.get_running_loop(), 0, 0.0
    while True:
        await _pause(REPLACE_SECONDS * stage.scale, ends)
        if loop.time() >= ends:
            return
        number += 1
        if number % 2 == 0 and stage.hears(signal.SIGHUP):
            await reload(stage, number)
            _count(stage, "models exchanged")
            continue
        # What another one had that was killed is not to meet with this too.
        await stage.until(partial(stage.load.answered_since, killed), "what a worker had")
        killed = perf_counter()
        for pid in stage.children()[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _count(stage, "workers killed")
