"""One line of JSON for each request, on standard output: gathered, and written by a thread of its own.

Lines are made some at a time, which costs a part of what it does between other work, and writing each by itself would
cost more than making it. A pipe that nobody reads, or a disk that hangs, would hold up everyone: so lines that can't be
written, or not fast enough, are lost, and are counted.
"""

import asyncio
import logging
import os
import queue
import select
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from app.areas import HEALTH, METRICS
from app.telemetry.numbers import OK
from app.telemetry.seen import Seen

FLUSH_SECONDS = 0.5
"""For how long a line is kept, at most."""

FLUSH_LINES = 64
"""How many are kept, at most."""

MOST_BEHIND_BYTES = 8 * 1024 * 1024
"""How many bytes may wait for the thread to write them."""

CLOSE_SECONDS = 1.0
"""For how long what is left is waited for at the end."""

STANDARD_OUTPUT = 1

_LOOKED_AT = HEALTH | {METRICS}
_REDIRECTS = 300

_Piece = tuple[bytes, int]

_log = logging.getLogger(__name__)


class AccessLog:
    """Lines on their way to a file descriptor. It belongs to the event loop's thread, and writes in another.

    Parameters
    ----------
    descriptor
        Where they go.
    quiet
        Whether what is asked again and again by those who look after the service is left out, where all is well.
    """

    def __init__(self, descriptor: int = STANDARD_OUTPUT, *, quiet: bool = False) -> None:
        self._descriptor = descriptor
        self._quiet = quiet
        self._waiting: list[Callable[[], Seen]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pieces: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        # Each is changed by one thread only.
        self._given = self._written = 0
        self._lost_here = self._lost_there = 0
        self._cut = False
        self._thread = threading.Thread(target=self._write_all, name="access log", daemon=True)

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        return self._lost_here + self._lost_there

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, seen: Callable[[], Seen]) -> None:
        """Tell of a request, which is only looked at when its line is made."""
        self._waiting.append(seen)
        if len(self._waiting) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Have the thread write what there is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        lines = [line for each in waiting if (line := self._line_of(each)) is not None]
        piece = b"".join(lines)
        if self._given - self._written + len(piece) > MOST_BEHIND_BYTES:
            self._lost_here += len(lines)
        elif lines:
            self._given += len(piece)
            self._pieces.put((piece, len(lines)))

    def _line_of(self, seen: Callable[[], Seen]) -> bytes | None:
        """Make a line, unless it is left out. Whatever goes wrong with that, others have theirs."""
        try:
            told = seen()
            return None if self._quiet and _is_routine(told) else line_of(told)
        except Exception:  # noqa: BLE001 (see above)
            _log.exception("a request could not be told of")
            self._lost_here += 1
            return None

    def close(self) -> None:
        """Write what there is, but don't wait for long."""
        self.flush()
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _write_all(self) -> None:
        while (item := self._pieces.get()) is not None:
            piece, count = item
            try:
                # What was cut off by a full disk is to be no part of the next line.
                self._write(b"\n" + piece if self._cut else piece)
                self._cut = False
            except OSError as error:
                if not self._lost_there:
                    _log.error("lines of the access log are lost: %s", error.strerror)
                self._lost_there += count
            self._written += len(piece)

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            try:
                written = os.write(self._descriptor, left)
            except BlockingIOError:
                # Somebody who shares it may have set it so.
                select.select([], [self._descriptor], [], FLUSH_SECONDS)
                continue
            left = left[written:]
            self._cut = len(left) > 0


def _is_routine(seen: Seen) -> bool:
    return seen.route in _LOOKED_AT and seen.status < _REDIRECTS and seen.code == OK


def line_of(seen: Seen) -> bytes:
    """Return what is told of a request, as a line."""
    said: dict[str, object] = {
        "time": datetime.fromtimestamp(seen.began, UTC),
        "id": seen.request_id,
        "client": seen.client,
        "key": seen.key,
        "method": seen.method,
        "route": seen.route,
        "status": seen.status,
        "code": seen.code,
        "bytes_in": seen.bytes_in,
        "bytes_out": seen.bytes_out,
        "ms": round(1000 * seen.seconds, 3),
    }
    if seen.key_checksum is not None:
        said["key_checksum"] = seen.key_checksum
    if seen.stages is not None:
        said["decode_ms"], said["queue_ms"], said["infer_ms"] = seen.stages
    if seen.views is not None:
        said["views"], said["priority"] = seen.views, seen.priority
    if seen.scored is not None:
        said["scored"], said["failed"] = seen.scored, seen.failed
    if seen.ended is not None:
        said["ended"] = seen.ended
    if seen.parent is not None:
        said["trace_id"] = seen.parent.trace_id
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
