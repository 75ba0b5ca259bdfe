"""How workers are started: as processes of their own or, where that can't be, as threads of this one."""

import logging
import mmap
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What a worker needs is loaded where it works: the service itself has no use for ONNX Runtime.
    from app.worker import Load

PATIENCE_SECONDS = 2.0
"""For how long a worker is waited for whose service has hung up; a run takes a part of that."""

_log = logging.getLogger(__name__)

_running: set[subprocess.Popen[bytes]] = set()


def kill_workers() -> None:
    """End all workers that are processes, without waiting for them."""
    for process in tuple(_running):
        process.kill()


def resident_bytes_of_workers() -> int:
    """Return the memory that all workers that are processes take together, where Linux says so; else 0."""
    pages = 0
    for process in tuple(_running):
        # It may just have ended.
        with suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{process.pid}/statm").read_text("ascii").split()[1])
    return pages * mmap.PAGESIZE


class WorkerProcess:
    """A worker as a process of its own.

    Parameters
    ----------
    sock
        Its end of the socket; it is closed here.
    """

    def __init__(self, sock: socket.socket) -> None:
        with sock:
            # Where this very package lies, and nothing that happens to lie where the service was started.
            places = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
            self._process = subprocess.Popen(  # noqa: S603 (it is this Python, with this package)
                [sys.executable, "-P", "-m", "app.worker", str(sock.fileno())],
                pass_fds=[sock.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
                stdin=subprocess.DEVNULL,
                # What a terminal sends to all is for the service alone; a worker that starts would end by it.
                start_new_session=True,
            )
        _running.add(self._process)

    def end(self) -> None:
        """Wait until it has ended, and end it if that takes too long."""
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("ending a worker that is still busy")
            self._process.kill()
            self._process.wait()
        else:
            if status != 0:
                _log.error("a worker ended with status %d", status)
        _running.discard(self._process)


class WorkerThread:
    """A worker as a thread of this process: slower under load, since Python runs one thread at a time.

    Parameters
    ----------
    sock
        Its end of the socket; it is closed once the worker has ended.
    load
        How a model is loaded and warmed up, if not as always.
    """

    def __init__(self, sock: socket.socket, load: "Load | None" = None) -> None:
        self._thread = threading.Thread(target=self._work, args=(sock, load), name="worker")
        self._thread.start()

    def _work(self, sock: socket.socket, load: "Load | None") -> None:
        with sock:
            try:
                from app.loading import load_model  # noqa: PLC0415
                from app.worker import work  # noqa: PLC0415

                work(sock, load or load_model)
            except Exception:  # noqa: BLE001 (whatever it was, it is the end of this worker)
                # As a process it would have said so on its standard error.
                _log.exception("a worker failed")

    def end(self) -> None:
        """Wait until it has ended, but not for long: a thread can't be ended."""
        self._thread.join(PATIENCE_SECONDS)


STARTER = WorkerProcess if os.name == "posix" else WorkerThread
"""Processes, where they can be given a socket."""
