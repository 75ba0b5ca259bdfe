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
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from app.devices import Device
from app.lifecycle import Lifecycle, Server
from app.main import create_app
from app.model import Model
from app.model_folder import ModelFolder
from app.service import Load, load_model
from app.settings import Settings

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


@contextmanager
def serving(log_file: Path, **settings: str) -> Iterator[Process]:
    """Start ``galaxytree serve`` on a free port and wait until it is ready."""
    with log_file.open("wb") as log:
        popen = subprocess.Popen(
            [sys.executable, "-m", "galaxytree", "serve", "--port", "0"],
            env=environment(**{"drain_seconds": "0", "device": "cpu", **settings}),
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: popen.poll() is not None or "ready: " in log_file.read_text(), "the service to get ready")
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", log_file.read_text())
        assert found, log_file.read_text()
        yield Process(popen, log_file, int(found[1]))
    finally:
        if popen.poll() is None:
            popen.terminate()
            popen.wait(PATIENCE_SECONDS)


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

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
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
    model.warm_up(settings.max_batch)
    return model


@contextmanager
def threaded(settings: Settings, load: Load = load_model, *, ready: bool = True) -> Iterator[Threaded]:
    """Serve in a thread, over a real socket."""
    app = create_app(settings, load=load)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http="httptools", log_config=None, server_header=False)
    server = Server(config, app.state.service.lifecycle, settings.drain_seconds)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server to listen")
        # A server whose start fails may have let its socket go again by now.
        port = next((listener.getsockname()[1] for listener in server.servers[0].sockets), 0)
        url = f"http://127.0.0.1:{port}"
        if ready:
            wait_for(lambda: httpx.get(f"{url}/health/ready").is_success, "the service to get ready")
        yield Threaded(app, server, url, port)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
