"""A worker in a thread, and the service's end of the socket to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson

from app.devices import Device
from app.frames import Frame, FrameReader, Kind
from app.loading import load_model
from app.model import Model
from app.model_folder import ModelFolder
from app.starting import Start
from app.worker import Load, work
from galaxytree.views import Views
from tests.galaxies import png
from tests.servers import PATIENCE_SECONDS, Held

IMAGE = png(size=20)


def start_in(folder: Path, max_batch: int = 4, cores: int = 1) -> Start:
    """Return how a worker is to start."""
    return Start(str(folder), "cpu", "auto", 1, max_batch, 1_000_000, cores)


class Boss:
    """The service's end."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(PATIENCE_SECONDS)
        self._reader = FrameReader()
        self._heard: list[Frame] = []

    def say(self, *frames: Frame) -> None:
        """Send frames at once."""
        self.socket.sendall(b"".join(frame.encode() for frame in frames))

    def start(self, start: Start) -> Frame:
        """Have it start; return what it says to that."""
        self.say(Frame(Kind.START, body=orjson.dumps(asdict(start))))
        (said,) = self.hear(1)
        return said

    def hear(self, count: int) -> list[Frame]:
        """Wait for so many frames; fewer where it hangs up."""
        while len(self._heard) < count and (data := self.socket.recv(65536)):
            self._heard += self._reader.feed(data)
        found, self._heard = self._heard[:count], self._heard[count:]
        return found


@contextmanager
def at_work(load: Load = load_model) -> Iterator[tuple[Boss, threading.Thread]]:
    """Have a worker wait for its start; it is over in the end."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with theirs:
            work(theirs, load)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            yield Boss(ours), thread
    finally:
        if isinstance(load, Held):
            for model in load.models:
                model.gate.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def job(number: int, views: Views = 1, data: bytes = IMAGE, *, alone: bool = False) -> Frame:
    """Return a job."""
    return Frame(Kind.JOB, number, views, alone=alone, body=data)


def cancel(number: int) -> Frame:
    """Say that nobody waits for a job any more."""
    return Frame(Kind.CANCEL, number)


class HeldOn(Held):
    """Loads models that say that they run elsewhere than they do."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def __call__(self, folder: ModelFolder, device: Device, start: Start) -> Model:
        model = super().__call__(folder, device, start)
        model.device = self._device
        return model
