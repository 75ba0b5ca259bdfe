"""One worker, as the service sees it: at the other end of a socket."""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

import orjson

from app.errors import InternalError, request_errors
from app.frames import Frame, FrameReader, Kind, frame_of
from app.jobs import Answered
from app.refusals import WorkerRefusedError, refusals
from app.starting import Running, Start
from app.telemetry.numbers import Numbers
from app.waiting import Entry

_MUCH = 1_000_000
"""What a suspect counts for: more than anything else."""

START_SECONDS = 120.0
"""A worker that is not ready after that hangs: it takes seconds."""

_OF_A_RUN = frozenset({Kind.ANSWER, Kind.FAILURE})

_log = logging.getLogger(__name__)


class Handle(Protocol):
    """A worker that was started."""

    def end(self) -> None:
        """Have it end, if it doesn't by itself now that its socket is closed; called in another thread."""
        ...


Starter = Callable[[socket.socket], Handle]
"""Starts a worker at the other end of a socket, which then belongs to it."""


class Owner(Protocol):
    """Who gives a worker its work.

    Attributes
    ----------
    numbers
        Where it is counted what becomes of it.
    """

    numbers: Numbers

    def served(self) -> None:
        """Hear that a worker has room again."""
        ...

    def died(self, worker: "WorkerLink") -> None:
        """Hear that a worker has gone."""
        ...


class WorkerLink(asyncio.Protocol):
    """One worker, at the other end of a socket.

    Parameters
    ----------
    owner
        Who gives it work.

    Attributes
    ----------
    entries
        What it has been given and has not said to be done with, by their numbers; for some nobody waits any more.
    load
        How many views those have: very many, if there is a suspect among them, which is to be by itself.
    wide
        Whether a run that is alone has all cores there.
    began
        When it was ready, on the loop's clock.
    in_vain
        How many were started in its place before, and were of no use.
    proved
        Whether it has scored an image.
    """

    def __init__(self, owner: Owner) -> None:
        self.entries: dict[int, Entry] = {}
        self._clock = asyncio.get_running_loop().time
        self.load = 0
        self.wide = False
        self.began = 0.0
        self.in_vain = 0
        self.proved = False
        self._scored = self._clock()
        self._owner = owner
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._handle: Handle | None = None
        self._running: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    async def start(self, start: Start, starter: Starter) -> Running:
        """Start it and wait until it is ready; StartRefusedError if it says that it can't, or says nothing."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await self._start(start, starter)
        except TimeoutError as error:
            msg = f"a worker was not ready within {START_SECONDS:g} s"
            raise WorkerRefusedError(msg) from error

    async def _start(self, start: Start, starter: Starter) -> Running:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 (the standard library's)
        try:
            self._handle = await asyncio.to_thread(starter, theirs)
        except BaseException:
            ours.close()
            raise
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
        self._transport.write(Frame(Kind.START, body=orjson.dumps(asdict(start))).encode())
        return await self._running

    def give(self, entry: Entry, *, alone: bool) -> None:
        """Give it an entry to work on."""
        entry.worker, entry.given = self, self._clock()
        self.entries[entry.number] = entry
        # Nobody else is to be with a suspect.
        entry.weight = _MUCH if entry.suspect else entry.job.views
        self.load += entry.weight
        self._send(frame_of(entry.number, entry.job, alone=alone))

    def silent_since(self) -> float:
        """Return since when it has owed an answer: on the loop's clock, and now if it owes none.

        Who only says which images it can't decode may hang all the same: on a GPU others do that than who runs it.
        """
        oldest = next(iter(self.entries.values()), None)
        return self._clock() if oldest is None else max(self._scored, oldest.given)

    def give_time(self) -> None:
        """Count its silence from now."""
        self._scored = self._clock()

    def drop(self, entry: Entry) -> None:
        """Tell it that nobody waits for an entry, which counts until it says that it is done with it."""
        if entry.number in self.entries:
            self._send(Frame(Kind.CANCEL, entry.number))

    def _send(self, frame: Frame) -> None:
        """Send a frame, at once: in a crowd, the loop comes to what was put off only once a second."""
        if self._transport is not None:
            self._transport.write(frame.encode())

    def hang_up(self) -> None:
        """Break the connection, as if it had died: it hangs."""
        _log.error("a worker has said nothing for a whole deadline")
        if self._transport is not None:
            # What it has not read it won't read any more.
            self._transport.abort()

    async def end(self) -> None:
        """Let it go."""
        if self._transport is not None:
            self._transport.close()
        if self._handle is not None:
            await asyncio.to_thread(self._handle.end)

    def data_received(self, data: bytes) -> None:
        """Hear what it says."""
        now = self._clock()
        for frame in self._reader.feed(data):
            self._owner.numbers.without_memory += frame.without_memory
            if frame.kind in _OF_A_RUN:
                self._scored, self.proved = now, True
            if (entry := self._take(frame.number)) is not None:
                _settle(entry, frame, now, self._owner.numbers)
            elif not self._running.done():
                self._hear_of_start(frame)
        self._owner.served()

    def _hear_of_start(self, frame: Frame) -> None:
        if frame.kind is Kind.READY:
            said = orjson.loads(frame.body)
            self._running.set_result(Running(**{**said, "outputs": tuple(said["outputs"])}))
        elif frame.kind is Kind.REFUSED:
            said = orjson.loads(frame.body)
            self._running.set_exception(refusals()[said["kind"]](said["detail"]))

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that it has gone."""
        if not self._running.done():
            self._running.set_exception(WorkerRefusedError())
        self._owner.died(self)

    def _take(self, number: int) -> Entry | None:
        entry = self.entries.pop(number, None)
        if entry is not None:
            self.load -= entry.weight
        return entry


def _settle(entry: Entry, frame: Frame, now: float, numbers: Numbers) -> None:
    """Hand over what an entry got: nothing, if it was dropped."""
    if frame.kind is Kind.ANSWER:
        waited = max(0.0, now - entry.since - frame.decode_seconds - frame.infer_seconds)
        if frame.run_views:
            numbers.runs.note(frame.run_views)
        if not entry.gone:
            numbers.scored(frame.decode_seconds, waited, frame.infer_seconds)
        entry.finish(Answered(frame.body, frame.decode_seconds, waited, frame.infer_seconds))
    elif frame.kind is Kind.PROBLEM:
        said = orjson.loads(frame.body)
        entry.finish(request_errors()[said["code"]](said["detail"]))
    elif frame.kind is Kind.FAILURE:
        _log.error("%s", frame.body.decode(errors="replace"), extra={"request_id": entry.request_id})
        entry.finish(InternalError())
