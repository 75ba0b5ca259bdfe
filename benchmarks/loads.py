"""Ways to send requests, each on many connections that stay open."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from benchmarks.client import DROPPED, UNANSWERED, Answer, Connection, connect

_PATIENCE_SECONDS = 60.0
TOO_MANY = 429
_NAMES = {DROPPED: "dropped", UNANSWERED: "unanswered"}


@dataclass(frozen=True, slots=True)
class Job:
    """A request, and what it is, so that its answer can be held against it."""

    request: bytes
    kind: str = "good"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and what became of it.

    Attributes
    ----------
    seconds
        From when it was sent, or was to be sent, to the end of the answer.
    at
        When that was, by `time.perf_counter`.
    closed
        Whether the server closed the connection though nobody had asked it to: since the exchange before this one, or
        with this answer.
    """

    kind: str
    status: int
    seconds: float
    at: float
    closed: bool = False


def statuses(exchanges: Sequence[Exchange]) -> dict[str, int]:
    """Count answers by status; ``dropped`` where the connection ended instead, ``unanswered`` where nothing came."""
    counts = Counter(each.status for each in exchanges)
    return {_NAMES.get(status, str(status)): number for status, number in sorted(counts.items())}


class Line:
    """A client that keeps one connection, and opens another one where the server has closed it.

    Attributes
    ----------
    retry_after
        Seconds that the last answer asked to wait.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None
        self.retry_after = 0.0

    async def open(self) -> None:
        """Connect, unless that is so; OSError if the server doesn't take it."""
        if self._connection is None or not self._connection.usable:
            self.close()
            self._connection = await connect(self._port)

    async def exchange(self, job: Job, since: float) -> Exchange:
        """Send a request and wait for its answer, a minute at most; its time counts from `since`."""
        closed = self._connection is not None and self._connection.closed_unasked
        answer = await self._ask(job.request)
        self.retry_after = answer.retry_after
        return Exchange(job.kind, answer.status, answer.at - since, answer.at, closed or answer.closing)

    async def _ask(self, request: bytes) -> Answer:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.open()
                if self._connection is not None:
                    return await self._connection.ask(request)
        except TimeoutError:
            self.close()
            return Answer(UNANSWERED, time.perf_counter())
        except OSError:
            pass
        return Answer(DROPPED, time.perf_counter())

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
            exchanges.append(await line.exchange(next(jobs), begun))
            if exchanges[-1].status == UNANSWERED:
                break

    await _all(port, lines, work)
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
            exchanges.append(await line.exchange(next(jobs), due))
            if exchanges[-1].status == UNANSWERED:
                break

    begun = time.perf_counter() + 0.5
    await _all(port, lines, work)
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
            answered = await line.exchange(next(jobs), begun)
            exchanges.append(answered)
            if answered.status == UNANSWERED:
                break
            if patient and answered.status == TOO_MANY:
                if answered.at + line.retry_after >= deadline:
                    break
                await asyncio.sleep(line.retry_after)

    connected = asyncio.Barrier(lines)

    async def join(line: Line) -> None:
        nonlocal deadline
        # Who is not taken now is counted when it sends.
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await line.open()
        await connected.wait()
        deadline = min(deadline, time.perf_counter() + seconds)
        await work(line)

    await _all(port, lines, join)
    return exchanges


async def _all(port: int, lines: int, work: Callable[[Line], Awaitable[None]]) -> None:
    """Let so many lines work side by side. Whoever is not answered for a minute leaves, so that all come to an end."""
    each = [Line(port) for _ in range(lines)]
    try:
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
