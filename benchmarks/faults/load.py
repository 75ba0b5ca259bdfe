"""Requests at a steady rate, while something goes wrong."""

import asyncio
import random
import time
from collections.abc import Iterator

from benchmarks.faults.accounts import Accounts
from benchmarks.faults.asking import Ask, Line

LINES = 64


class Load:
    """Requests that come when they come (a Poisson process), on up to `LINES` connections, until they are stopped.

    Parameters
    ----------
    rate
        Requests a second.

    Attributes
    ----------
    accounts
        What became of them.
    """

    def __init__(self, port: int, asks: Iterator[Ask], rate: float, lines: int = LINES) -> None:
        self.accounts = Accounts()
        self._asks, self._rate = asks, rate
        self._lines = [Line(port) for _ in range(lines)]
        self._due: asyncio.Queue[float | None] = asyncio.Queue()
        self._stopped = asyncio.Event()
        self._under_way: set[float] = set()

    async def run(self) -> None:
        """Send until stopped, and wait for what is under way."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._come())
                for line in self._lines:
                    group.create_task(self._work(line))
        finally:
            self.accounts.close()
            for line in self._lines:
                line.close()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    def answered_since(self, time_of: float) -> bool:
        """Whether all is over that was sent before some time, by `time.perf_counter`."""
        return all(begun >= time_of for begun in self._under_way)

    async def _come(self) -> None:
        source, due = random.Random(0), time.perf_counter()
        while not self._stopped.is_set():
            due += source.expovariate(self._rate)
            wait = due - time.perf_counter()
            # A gap is slept through; after a pause of this program all that was due comes at once.
            await asyncio.sleep(max(0.0, wait))
            self._due.put_nowait(due)
        for _ in self._lines:
            self._due.put_nowait(None)

    async def _work(self, line: Line) -> None:
        while (due := await self._due.get()) is not None:
            begun = time.perf_counter()
            self._under_way.add(begun)
            self.accounts.note(await line.ask(next(self._asks), due))
            self._under_way.discard(begun)


async def most(port: int, asks: Iterator[Ask], seconds: float, lines: int = 16) -> float:
    """Return requests a second that are answered when as many clients as that ask without a pause."""
    each, answered, begun = [Line(port) for _ in range(lines)], 0, time.perf_counter()

    async def work(line: Line) -> None:
        nonlocal answered
        while time.perf_counter() - begun < seconds:
            outcome = await line.ask(next(asks))
            answered += outcome.fate == "answered"

    await asyncio.gather(*(work(line) for line in each))
    rate = answered / (time.perf_counter() - begun)
    for line in each:
        line.close()
    return rate
