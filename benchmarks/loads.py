"""Ways to send requests, each on many connections that stay open."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from benchmarks.client import DROPPED, Answer, Connection, connect

_PATIENCE_SECONDS = 60.0
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Job:
    """A request, and what it is, so that its answer can be held against it."""

    request: bytes
    kind: str = "good"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was answered, or whose connection ended.

    Attributes
    ----------
    seconds
        From when it was sent, or was to be sent, to the end of the answer.
    at
        When that was, by `time.perf_counter`.
    """

    kind: str
    status: int
    seconds: float
    at: float


def statuses(exchanges: Sequence[Exchange]) -> dict[str, int]:
    """Count answers by status; ``dropped`` where the connection ended instead."""
    counts = Counter(each.status for each in exchanges)
    return {"dropped" if status == DROPPED else str(status): number for status, number in sorted(counts.items())}


class Line:
    """A client that keeps one connection, and opens another one where the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    async def open(self) -> None:
        """Connect, unless that is so; OSError if the server doesn't take it."""
        if self._connection is None or not self._connection.usable:
            self.close()
            self._connection = await connect(self._port)

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        try:
            await self.open()
        except OSError:
            return Answer(DROPPED, time.perf_counter())
        return await self._connection.ask(request) if self._connection else Answer(DROPPED, time.perf_counter())

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()


async def closed_loop(
    port: int, jobs: Iterator[Job], lines: int, *, seconds: float = float("inf"), requests: float = float("inf")
) -> list[Exchange]:
    """Let every line send again as soon as it is answered, for so long or so often in all."""
    exchanges: list[Exchange] = []
    deadline, sent = time.perf_counter() + seconds, 0

    async def work(line: Line) -> None:
        nonlocal sent
        while sent < requests and (begun := time.perf_counter()) < deadline:
            sent += 1
            job = next(jobs)
            answer = await line.ask(job.request)
            exchanges.append(Exchange(job.kind, answer.status, answer.at - begun, answer.at))

    await _all(port, lines, work, min(seconds, _PATIENCE_SECONDS + requests))
    return exchanges


def arrivals(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Draw when requests come of which none knows of another (a Poisson process): seconds from the start, ascending."""
    source = random.Random(seed)
    times: list[float] = []
    at = source.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += source.expovariate(rate)
    return times


async def open_loop(port: int, jobs: Iterator[Job], times: Sequence[float], lines: int) -> list[Exchange]:
    """Send at given times, whatever becomes of what was sent before.

    Each time is counted from when a request was to be sent, so that one that finds all lines busy has waited, and a
    server that stalls is not spared the requests of that while.
    """
    exchanges: list[Exchange] = []
    coming = iter(times)

    async def work(line: Line) -> None:
        for at in coming:
            due = begun + at
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            job = next(jobs)
            answer = await line.ask(job.request)
            exchanges.append(Exchange(job.kind, answer.status, answer.at - due, answer.at))

    begun = time.perf_counter() + 0.5
    await _all(port, lines, work, (times[-1] if times else 0) + 1)
    return exchanges


async def crowd(port: int, jobs: Iterator[Job], lines: int, seconds: float, *, patient: bool) -> list[Exchange]:
    """Let very many lines send at once, all of them connected before, and again when they are answered.

    Parameters
    ----------
    patient : bool
        Whether who is answered 429 waits as long as it is asked to, or sends again at once.
    """
    exchanges: list[Exchange] = []
    deadline = float("inf")

    async def work(line: Line) -> None:
        while (begun := time.perf_counter()) < deadline:
            job = next(jobs)
            answer = await line.ask(job.request)
            exchanges.append(Exchange(job.kind, answer.status, answer.at - begun, answer.at))
            if patient and answer.status == TOO_MANY:
                await asyncio.sleep(answer.retry_after)

    connected = asyncio.Barrier(lines)

    async def join(line: Line) -> None:
        nonlocal deadline
        # Who is not taken now is counted as dropped when it sends.
        with contextlib.suppress(OSError):
            await line.open()
        await connected.wait()
        deadline = min(deadline, time.perf_counter() + seconds)
        await work(line)

    await _all(port, lines, join, seconds)
    return exchanges


async def _all(port: int, lines: int, work: Callable[[Line], Awaitable[None]], seconds: float) -> None:
    """Let so many lines work side by side; TimeoutError if they are not done a minute after they should be."""
    each = [Line(port) for _ in range(lines)]
    try:
        async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
            await asyncio.gather(*(work(line) for line in each))
    finally:
        for line in each:
            line.close()


def in_turn(requests: Sequence[bytes]) -> Iterator[Job]:
    """Return good requests, again and again."""
    return cycle([Job(request) for request in requests])


def mixed(good: Sequence[bytes], bad: Sequence[bytes], part: float, seed: int = 0) -> Iterator[Job]:
    """Return good requests without end, with so large a part of bad ones strewn in."""
    source = random.Random(seed)
    right, wrong = in_turn(good), cycle([Job(request, "bad") for request in bad])
    while True:
        yield next(wrong if source.random() < part else right)
