"""The service as tests need it: a process as a user starts it, or one in a thread whose state a test can hold."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from app.devices import Device
from app.lifecycle import Lifecycle
from app.listening import listen, listening, url_of
from app.loading import load_model
from app.main import create_app
from app.model import Model
from app.model_folder import ModelFolder
from app.server import Server, server_of
from app.service import Load
from app.settings import Settings
from galaxytree.predictions import Predictions

PATIENCE_SECONDS = 60.0


def environment(**settings: str) -> dict[str, str]:
    """Return this environment with no setting of galaxytree but these."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GALAXYTREE_")}
    return {**plain, **{f"GALAXYTREE_{name.upper()}": value for name, value in settings.items()}}


def galaxytree(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "galaxytree", *words],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@dataclass
class Process:
    """A running ``galaxytree serve``."""

    popen: subprocess.Popen[bytes]
    log_file: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.popen.send_signal(sig)
        return self.popen.wait(PATIENCE_SECONDS)


MODULE = ("-m", "galaxytree")


@contextmanager
def serving(
    log_file: Path, program: tuple[str, ...] = MODULE, until: str = "ready: ", **settings: str
) -> Iterator[Process]:
    """Start ``galaxytree serve`` on a free port and wait until it is ready, or says something else in its log.

    `program` is what Python is to run; a script may change the service before it calls the command line.
    """
    with log_file.open("wb") as log:
        popen = subprocess.Popen(
            [sys.executable, *program, "serve", "--port", "0"],
            env=environment(**{"drain_seconds": "0", "device": "cpu", **settings}),
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: popen.poll() is not None or until in log_file.read_text(), f"the service to say {until!r}")
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", log_file.read_text())
        assert found, log_file.read_text()
        yield Process(popen, log_file, int(found[1]))
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
                raise


def wait_for(condition: object, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a callable says true."""
    assert callable(condition)
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.01)


class HeldModel(Model):
    """A real model whose runs wait for a gate, or fail when they are told to."""

    def __init__(self, folder: ModelFolder, device: Device, threads: int = 1) -> None:
        super().__init__(folder, device, threads)
        self.gate = threading.Event()
        self.gate.set()
        self.failing = False
        self.batches: list[int] = []
        self.entered = threading.Event()

    def predict(self, images: NDArray[np.uint8]) -> Predictions:
        self.batches.append(len(images))
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        if self.failing:
            msg = "out of luck at /secret/place"
            raise RuntimeError(msg)
        return super().predict(images)


@dataclass
class Threaded:
    """A service in a thread of this process."""

    app: FastAPI
    server: Server
    url: str
    port: int

    @property
    def lifecycle(self) -> Lifecycle:
        found: Lifecycle = self.app.state.service.lifecycle
        return found

    @property
    def model(self) -> HeldModel:
        found = self.app.state.service.classifier.model
        assert isinstance(found, HeldModel)
        return found


def load_held(folder: ModelFolder, device: Device, settings: Settings) -> Model:
    """Load a model whose runs can be held."""
    model = HeldModel(folder, device)
    model.warm_up(settings.views, settings.max_batch)
    return model


@contextmanager
def threaded(settings: Settings, load: Load = load_model, *, ready: bool = True) -> Iterator[Threaded]:
    """Serve in a thread, over a real socket."""
    app = create_app(settings, load=load)
    server = server_of(app)
    with listening("127.0.0.1", 0) as sockets:
        url, port = url_of(sockets[0]), sockets[0].getsockname()[1]
        listen(sockets)
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive(), "the server to listen")
            if ready:
                wait_for(lambda: httpx.get(f"{url}/health/ready").is_success, "the service to get ready")
            yield Threaded(app, server, url, port)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
