"""A worker for a GPU: threads that decode, one owner of the device, and the next batch decoded while this one runs."""

import logging
import queue
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from app.batching import Entry, decode, drop, score
from app.engine import Engine
from app.frames import JOBS, Frame, job_of

MOST_FAILED = 3
"""After so many runs in a row that failed the device is taken to be of no more use to this process.

Some of CUDA's errors are for good: all that the process asks of the device later fails too.
"""

_log = logging.getLogger(__name__)


class DeviceWorker:
    """Decodes in some threads, and runs in one.

    Parameters
    ----------
    sock
        Where answers go.
    engine : Engine
    max_batch : int
        Views in one run, at most.
    threads : int
        Threads that decode.
    """

    def __init__(self, sock: socket.socket, engine: Engine, max_batch: int, threads: int) -> None:
        self._sock = sock
        self._engine = engine
        self._max_batch = max_batch
        self._entries: dict[int, Entry] = {}
        self._decoding = ThreadPoolExecutor(threads, "decoding")
        self._decoded: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._telling = threading.Lock()
        self._owner = threading.Thread(target=self._own, name="device")
        self._owner.start()

    def take(self, frames: list[Frame], _peek: Callable[[], list[Frame]]) -> None:
        """Have what has come decoded, and then run."""
        for frame in frames:
            if frame.kind in JOBS:
                entry = Entry(frame.number, job_of(frame))
                self._entries[frame.number] = entry
                self._decoding.submit(self._decode, entry)
            elif (entry_gone := self._entries.get(frame.number)) is not None:
                entry_gone.cancelled = True

    def close(self) -> None:
        """Let the threads go once their runs are over."""
        self._decoding.shutdown(wait=True, cancel_futures=True)
        self._decoded.put(None)
        self._owner.join()

    def _decode(self, entry: Entry) -> None:
        told = drop([entry]) if entry.cancelled else decode(self._engine, [entry])
        if entry.image is None:
            self._entries.pop(entry.number, None)
            self._tell(told)
        else:
            self._decoded.put(entry)

    def _own(self) -> None:
        try:
            self._run_batches()
        finally:
            # Without its owner the device is of no use: another worker is to take over.
            self._hang_up()

    def _run_batches(self) -> None:
        failed = 0
        left: Entry | None = None
        while (entry := left or self._decoded.get()) is not None:
            batch, left, room = [entry], None, self._max_batch - entry.job.views
            while left is None and room > 0:
                try:
                    upcoming = self._decoded.get_nowait()
                except queue.Empty:
                    break
                if upcoming is None:
                    self._decoded.put(None)
                    break
                if upcoming.job.views > room:
                    left = upcoming
                else:
                    batch.append(upcoming)
                    room -= upcoming.job.views
            told = score(self._engine, batch)
            for each in batch:
                self._entries.pop(each.number, None)
            self._tell(told)
            failed = failed + 1 if any(each.run_failed for each in batch) else 0
            if failed == MOST_FAILED:
                _log.error("%d runs in a row have failed: the worker ends, for another to take its place", failed)
                return

    def _tell(self, frames: list[Frame]) -> None:
        if not frames:
            return
        try:
            with self._telling:
                self._sock.sendall(b"".join(frame.encode() for frame in frames))
        except OSError:
            # The service hung up without waiting for answers.
            self._hang_up()

    def _hang_up(self) -> None:
        """Have the service see that this worker ends, and the thread that waits for more see it too."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
