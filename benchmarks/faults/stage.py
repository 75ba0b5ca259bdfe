"""A service under steady load, to which something happens."""

import asyncio
import http.client
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import uvloop
from pydantic import BaseModel, Field

from benchmarks.failures import NotMeasuredError
from benchmarks.faults.accounts import Accounts
from benchmarks.faults.judging import Asks
from benchmarks.faults.load import Load, most
from benchmarks.serving import Server, serving
from benchmarks.systems import System

PART_OF_MOST = 0.6
"""Of what the service answers when 16 clients ask without a pause, just before."""

IMAGES = 40
_MOST_SECONDS = 4.0
_CALM_SECONDS = 2.0
CHANGE_SECONDS = 60.0
_LOOK_SECONDS = 0.05


class NotThereError(NotMeasuredError):
    """What a fault needs is not there; the message names it."""


@dataclass
class Stage:
    """What a fault is given while the load goes on.

    Attributes
    ----------
    rate
        Requests a second of the load.
    scale
        By how much everything is shortened; 1 for what is published.
    load
        What goes on.
    asks
        Good requests with their right answers.
    happened
        What was done, and what else was seen: for the table.
    missed
        What should have been and was not, beside lost requests.
    beside
        What became of requests of another kind that the fault sends itself.
    """

    server: Server
    load: Load
    asks: Asks
    rate: float
    scale: float
    happened: dict[str, str | int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    beside: Accounts = field(default_factory=Accounts)

    @property
    def pid(self) -> int:
        """The service's."""
        return self.server.process.popen.pid

    def seconds(self, seconds: float) -> float:
        """Shorten a time."""
        return seconds * self.scale

    def times(self, number: int) -> int:
        """Shorten a number of times, to once at least."""
        return max(1, round(number * self.scale))

    async def calm(self, seconds: float = _CALM_SECONDS) -> None:
        """Let the load go on for a while."""
        await asyncio.sleep(self.seconds(seconds))

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = CHANGE_SECONDS) -> bool:
        """Wait until something is so; where it never is, note that as missed."""
        ends = perf_counter() + seconds
        while not condition():
            if perf_counter() > ends:
                self.missed.append(f"waited {seconds:.0f} s for {what}")
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def get(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Ask the service for something, in a thread: status, body, headers; status 0 where no answer comes."""
        return await asyncio.to_thread(_get, self.server.port, path)

    def children(self) -> list[int]:
        """Return the service's own children that run: its workers."""
        found: list[int] = []
        for tasks in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += [int(each) for each in tasks.read_text("ascii").split() if _runs(int(each))]
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def hears(self, sig: signal.Signals) -> bool:
        """Whether the service does something of its own with a signal, and doesn't just end by it."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        caught = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
        return bool(int(caught, 16) >> (sig - 1) & 1)

    def signal(self, sig: signal.Signals) -> None:
        """Send the service a signal."""
        os.kill(self.pid, sig)


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2][0] not in "XZ"


def _get(port: int, path: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CHANGE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    except (OSError, http.client.HTTPException):
        return 0, b"", {}
    finally:
        connection.close()


@contextmanager
def as_it_is(system: System) -> Iterator[System]:
    """Prepare nothing."""
    yield system


@dataclass(frozen=True)
class Fault:
    """Something that happens to a service under load.

    Attributes
    ----------
    title
        What it is, for the table.
    act
        Does it; the load ends when this does.
    prepared
        Changes how the service is started, and cleans up.
    repeats
        How often all of it is done, each time with a new service.
    """

    name: str
    title: str
    act: Callable[[Stage], Awaitable[None]]
    prepared: Callable[[System], AbstractContextManager[System]] = as_it_is
    repeats: int = 1


class FaultRow(BaseModel):
    """What became of requests while a fault happened.

    Attributes
    ----------
    rate
        Requests a second, on average.
    absent
        Why it could not be done; then nothing else counts.
    """

    fault: str
    title: str
    seconds: float = 0.0
    rate: float = 0.0
    accounts: Accounts = Field(default_factory=Accounts)
    beside: Accounts = Field(default_factory=Accounts)
    happened: dict[str, str | int] = {}
    missed: list[str] = []
    absent: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether nothing that was accepted was lost, and all else was as it should be; None if it wasn't done."""
        if self.absent is not None:
            return None
        lost = self.accounts.lost_in_all + self.beside.lost_in_all
        return self.accounts.answered > 0 and not lost and not self.missed


def perform(fault: Fault, system: System, images: tuple[bytes, ...], scale: float) -> FaultRow:
    """Let a fault happen to a service that was just started; what it needs and isn't there is noted."""
    row = FaultRow(fault=fault.name, title=fault.title)
    try:
        for _ in range(max(1, round(fault.repeats * scale))):
            with fault.prepared(system) as own, serving(own, images[0]) as server:
                raise_limit()
                _add(row, *uvloop.run(_happens(fault, server, images[:IMAGES], scale)))
    except NotThereError as error:
        row.absent = str(error)
    return row


def _add(row: FaultRow, stage: Stage, accounts: Accounts, seconds: float) -> None:
    row.accounts.add(accounts)
    row.beside.add(stage.beside)
    row.seconds += seconds
    row.rate = stage.rate
    for name, value in stage.happened.items():
        before = row.happened.get(name)
        row.happened[name] = value + before if isinstance(value, int) and isinstance(before, int) else value
    row.missed += stage.missed


async def _happens(
    fault: Fault, server: Server, images: tuple[bytes, ...], scale: float
) -> tuple[Stage, Accounts, float]:
    asks = await Asks.learn(server.port, server.system.path, images)
    rate = PART_OF_MOST * await most(server.port, asks.in_turn(), max(0.5, _MOST_SECONDS * scale))
    load = Load(server.port, asks.in_turn(), rate)
    stage = Stage(server, load, asks, rate, scale)
    begun = perf_counter()
    running = asyncio.ensure_future(load.run())
    try:
        await stage.calm()
        await fault.act(stage)
    finally:
        load.stop()
        await running
    stage.beside.close()
    return stage, load.accounts, perf_counter() - begun


def raise_limit() -> None:
    """Let this process have as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_up(**variables: str) -> Callable[[System], AbstractContextManager[System]]:
    """Return a preparation that sets some of the service's settings."""
    return partial(_set_up, variables=variables)


@contextmanager
def _set_up(system: System, variables: dict[str, str]) -> Iterator[System]:
    named = {f"GALAXYTREE_{name.upper()}": value for name, value in variables.items()}
    yield replace(system, variables={**system.variables, **named})
