"""The service as tests need it: a process as a user starts it, or one in a thread whose state a test can hold."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from app.admission import Admission
from app.devices import Device
from app.lifecycle import Lifecycle
from app.listening import listen, listening, url_of
from app.loading import load_model
from app.main import create_app
from app.model import Model, Precision
from app.model_folder import ModelFolder
from app.processes import WorkerThread
from app.server import Server, server_of
from app.settings import Settings
from app.starting import Start
from app.worker import Load
from galaxytree.predictions import Predictions

PATIENCE_SECONDS = 120.0


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


def refusal(**settings: str) -> str:
    """Start the service, which is to end with one sentence; return that."""
    ended = galaxytree("serve", **{"port": "0", "device": "cpu", **settings})
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last


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

    @property
    def said(self) -> str:
        """What is on its standard output: the access log."""
        return output_beside(self.log_file).read_text()

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.popen.send_signal(sig)
        return self.popen.wait(PATIENCE_SECONDS)


def output_beside(log_file: Path) -> Path:
    """Return where the standard output of a process goes whose log goes there."""
    return log_file.with_name(f"{log_file.name}.output")


@contextmanager
def serving(log_file: Path, until: str = "ready: ", output: Path | None = None, **settings: str) -> Iterator[Process]:
    """Start ``galaxytree serve`` on a free port and wait until it is ready, or says something else in its log."""
    with log_file.open("wb") as log, (output or output_beside(log_file)).open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "galaxytree", "serve", "--port", "0"],
            env=environment(**{"drain_seconds": "0", "device": "cpu", **settings}),
            stdout=out,
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


def children(pid: int) -> list[int]:
    """Return the processes that a process started, and that are still there."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(each) for each in tasks.read_text().split()]
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "XZ"


class HeldModel(Model):
    """A real model whose runs wait for a gate, or fail when they are told to."""

    def __init__(self, folder: ModelFolder, device: Device, threads: int = 1, precision: Precision = "auto") -> None:
        super().__init__(folder, device, threads, precision)
        self.gate = threading.Event()
        self.gate.set()
        self.failing = False
        self.batches: list[int] = []
        self.alone: list[bool] = []
        self.entered = threading.Event()

    def predict(self, images: NDArray[np.uint8], *, alone: bool = False, explain: bool = False) -> Predictions:
        self.batches.append(len(images))
        self.alone.append(alone)
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        if self.failing:
            msg = "out of luck at /secret/place"
            raise RuntimeError(msg)
        return super().predict(images, alone=alone, explain=explain)


class Held:
    """Loads models whose runs can be held, and remembers them: one for each worker."""

    def __init__(self) -> None:
        self.models: list[HeldModel] = []

    def __call__(self, folder: ModelFolder, device: Device, start: Start) -> Model:
        model = HeldModel(folder, device, start.cores, start.precision)
        model.warm_up(start.views, start.batch_on(device.provider))
        for noted in (model.batches, model.alone, model.entered):
            noted.clear()
        self.models.append(model)
        return model


@dataclass
class Threaded:
    """A service in a thread of this process, whose workers are threads too."""

    app: FastAPI
    server: Server
    url: str
    port: int
    load: Load

    @property
    def lifecycle(self) -> Lifecycle:
        found: Lifecycle = self.app.state.service.lifecycle
        return found

    @property
    def admission(self) -> Admission:
        found: Admission = self.app.state.service.admission
        return found

    @property
    def model(self) -> HeldModel:
        """The model of the only worker."""
        assert isinstance(self.load, Held)
        (model,) = self.load.models
        return model


@contextmanager
def threaded(settings: Settings, load: Load = load_model, *, ready: bool = True) -> Iterator[Threaded]:
    """Serve in a thread, over a real socket."""
    app = create_app(settings, starter=partial(WorkerThread, load=load))
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
            yield Threaded(app, server, url, port, load)
        finally:
            if isinstance(load, Held):
                for model in load.models:
                    model.gate.set()
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
