"""A worker: a process that decodes images and runs the network on them, for the service at the other end of a socket.

On a CPU there is one for each core. Each decodes and runs its own batches, on one thread, so that cores share no work
and wait for nobody, least of all for Python's lock; and whoever is free takes at once what has come, so that nobody
waits for a batch to fill. What comes while a batch is decoded goes along. On a GPU there is one worker, with threads
that decode the next batch while the device is busy with this one: `app.device_worker`.

Processes, since threads of one process would wait for each other's turn to run Python, and cores for them.
And an image that should bring a decoder down brings down one worker, not the service.
"""

import ctypes
import gc
import logging
import os
import selectors
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from app.batching import Entry, decode, drop, score
from app.device_worker import DeviceWorker
from app.devices import Device, choose
from app.engine import Engine
from app.frames import JOBS, Frame, FrameReader, Kind, job_of
from app.loading import load_model
from app.logs import LINE, JsonFormatter
from app.model import Model
from app.model_folder import ModelFolder
from app.providers import CPU
from app.refusals import StartRefusedError
from app.starting import Running, Start

FEW = 3
"""Of so many views and more one is held back."""

_READ_BYTES = 256 * 1024

Load = Callable[[ModelFolder, Device, Start], Model]


def work(sock: socket.socket, load: Load = load_model) -> None:
    """Work until the service hangs up.

    Parameters
    ----------
    sock
        A blocking stream socket. The first frame on it says how to start.
    load
        How a model is loaded and warmed up.
    """
    # The service may hang up without waiting for answers.
    with closing(_Inbox(sock)) as inbox, suppress(BrokenPipeError, ConnectionResetError):
        if frames := inbox.wait():
            _work(sock, inbox, Start(**orjson.loads(frames[0].body)), load)


def _work(sock: socket.socket, inbox: "_Inbox", start: Start, load: Load) -> None:
    try:
        folder = ModelFolder.open(Path(start.model) if start.model else None, start.identity)
        model = load(folder, choose(start.device), start)
    except StartRefusedError as error:
        refusal = {"kind": type(error).__name__, "detail": str(error)}
        sock.sendall(Frame(Kind.REFUSED, body=orjson.dumps(refusal)).encode())
        return
    max_batch = start.batch_on(model.device.provider)
    engine = Engine(model, start.max_image_pixels)
    worker = (
        _CoreWorker(sock, engine, max_batch)
        if model.device.provider == CPU
        else DeviceWorker(sock, engine, max_batch, start.cores)
    )
    _settle_down()
    running = Running(
        model.device.provider,
        model.device.why,
        model.precision,
        model.why_precision,
        max_batch,
        model.outputs,
        model.explainable,
        model.wide,
    )
    try:
        sock.sendall(Frame(Kind.READY, body=orjson.dumps(asdict(running))).encode())
        while frames := inbox.wait():
            worker.take(frames, inbox.peek)
    finally:
        worker.close()


def _settle_down() -> None:
    """Have what is here now stay, and what was only needed to get here go."""
    gc.collect()
    # The collector need not look at it again.
    gc.freeze()
    # Loading leaves holes that the C library would keep; others than GNU's don't know this call.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


class _Inbox:
    """The frames that come in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        self._piece = memoryview(bytearray(_READ_BYTES))
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    def wait(self) -> list[Frame]:
        """Wait for frames; none once the service has hung up."""
        frames: list[Frame] = []
        while not frames:
            size = self._sock.recv_into(self._piece)
            if not size:
                return []
            frames = list(self._reader.feed(self._piece[:size]))
        return frames

    def peek(self) -> list[Frame]:
        """Return what has come by now."""
        frames: list[Frame] = []
        size = len(self._piece)
        # There may be more only if a piece was full.
        while size == len(self._piece) and self._selector.select(0):
            size = self._sock.recv_into(self._piece)
            frames += self._reader.feed(self._piece[:size])
        return frames

    def close(self) -> None:
        """Let go of what watches the socket."""
        self._selector.close()


class _CoreWorker:
    """Decodes and runs, in one thread."""

    def __init__(self, sock: socket.socket, engine: Engine, max_batch: int) -> None:
        self._sock = sock
        self._engine = engine
        self._max_batch = max_batch
        self._waiting: deque[Entry] = deque()

    def take(self, frames: list[Frame], peek: Callable[[], list[Frame]]) -> None:
        """Do all that has come, and what comes meanwhile."""
        self._note(frames, [])
        while self._waiting:
            batch: list[Entry] = []
            while chosen := self._chosen(_views(batch)):
                self._tell(decode(self._engine, chosen))
                batch += chosen
                self._note(peek(), batch)
            alone = len(batch) == 1 and batch[0].alone
            self._tell(score(self._engine, batch, alone=alone))
            self._note(peek(), [])

    def close(self) -> None:
        """There is nothing to let go."""

    def _note(self, frames: list[Frame], batch: list[Entry]) -> None:
        """Note what has come while a batch forms."""
        cancelled = set()
        for frame in frames:
            if frame.kind in JOBS:
                self._waiting.append(entry_of(frame))
            else:
                cancelled.add(frame.number)
        if cancelled:
            for entry in batch:
                entry.cancelled = entry.cancelled or entry.number in cancelled
            # Who waits isn't to take the place of others in a batch.
            self._tell(drop(entry for entry in self._waiting if entry.number in cancelled))
            self._waiting = deque(entry for entry in self._waiting if entry.number not in cancelled)

    def _chosen(self, have: int) -> list[Entry]:
        """Choose who goes along in a batch that has so many views."""
        chosen: list[Entry] = []
        here = have + _views(self._waiting)
        # Of several, one is held back: it is decoded while the others' answers travel, and those who got them send
        # anew. Else the core would have nothing to do for that time.
        most = min(self._max_batch, here - 1 if here >= FEW else here)
        while self._waiting:
            entry = self._waiting[0]
            # The first one goes in any case: there is always room for one by itself.
            if (have or chosen) and have + entry.job.views > most:
                break
            self._waiting.popleft()
            have += entry.job.views
            chosen.append(entry)
        return chosen

    def _tell(self, frames: list[Frame]) -> None:
        if frames:
            self._sock.sendall(b"".join(frame.encode() for frame in frames))


def _views(entries: Iterable[Entry]) -> int:
    return sum(entry.job.views for entry in entries)


def entry_of(frame: Frame) -> Entry:
    """Return the entry that a job's frame speaks of."""
    return Entry(frame.number, job_of(frame), alone=frame.alone)


def _log_as_the_service_does() -> None:
    as_json = os.environ.get("GALAXYTREE_LOG_FORMAT") == "json"
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(LINE, defaults={"request_id": "worker"}))
    logging.basicConfig(level="WARNING", handlers=[handler])


def main() -> None:
    """Work on the socket whose file descriptor is the one argument."""
    # Who ends the service ends it in good order, and with it this.
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_IGN)
    _log_as_the_service_does()
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        work(sock)
    logging.shutdown()
    # Nobody waits for what is left of a device's threads.
    os._exit(0)


if __name__ == "__main__":
    main()
