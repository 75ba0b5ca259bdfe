"""What is measured over HTTP: the service and its peers, each as a process that is started, and checked to be right."""

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.providers import cores
from benchmarks.environments import python_of
from benchmarks.images import BOUNDARY, as_form
from benchmarks.processes import Started, started
from benchmarks.scoring import (
    BATCH_VARIABLE,
    DEVICE_VARIABLE,
    MODEL_FOLDER,
    MODEL_VARIABLE,
    PORT_VARIABLE,
    ROOT,
    THREADS_VARIABLE,
    WORKERS_VARIABLE,
)
from galaxytree.card import INT8_FILE, MODEL_FILE

Precision = Literal["fp32", "int8"]
MODEL_FILES: dict[Precision, Path] = {"fp32": MODEL_FOLDER / MODEL_FILE, "int8": MODEL_FOLDER / INT8_FILE}
SERVICE = "service"
FASTAPI = "fastapi"
ONE_PROCESS = "one process, a session of as many threads as cores"
_PATIENCE_SECONDS = 90.0
_PROBE_SECONDS = 0.02
_TOLERANCE = 1e-3
_EACH = "one image at a time"


class NotServedError(RuntimeError):
    """A system that did not come up, or answers something else than the network does."""


@dataclass(frozen=True)
class System:
    """A way to serve the network.

    Attributes
    ----------
    name
        ``service``, or a peer's.
    variant
        How it is set up, where there is more than one way.
    command
        What starts it; ``{port}`` stands for its port.
    variables
        Its environment, on top of what every system gets.
    path
        What images are posted to.
    form
        Whether it takes forms and not plain bytes.
    ready
        A path that says 200 when it is ready; without one, an image does.
    """

    name: str
    variant: str
    precision: Precision
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = "/classify"
    form: bool = False
    ready: str | None = None

    @property
    def label(self) -> str:
        """Name and variant."""
        return f"{self.name} ({self.variant})" if self.variant else self.name


@dataclass(frozen=True)
class Server:
    """A system that runs."""

    system: System
    process: Started
    port: int

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"


def missing(precision: Precision) -> str | None:
    """Say why a precision cannot be measured, or None where it can."""
    if not MODEL_FILES[precision].is_file():
        return f"there is no {MODEL_FILES[precision].relative_to(ROOT)}"
    return None


def service(precision: Precision, device: str, detail: str = "scores") -> System:
    """Return galaxytree's own service: nothing set but what is measured."""
    options = ("--port", "{port}", "--device", device, "--precision", precision)
    command = (sys.executable, "-m", "galaxytree", "serve", *options)
    quiet = ("--log-level", "warning", "--drain-seconds", "0")
    path = "/classify?detail=scores" if detail == "scores" else "/classify"
    variant = "" if detail == "scores" else "full detail"
    return System(SERVICE, variant, precision, command + quiet, path=path, ready="/health/ready")


def peers(names: tuple[str, ...], precision: Precision, device: str) -> list[System]:
    """Return every way in which peers are tried."""
    shared = {
        MODEL_VARIABLE: str(MODEL_FILES[precision]),
        DEVICE_VARIABLE: device,
        PORT_VARIABLE: "{port}",
        WORKERS_VARIABLE: str(cores()),
        THREADS_VARIABLE: "1",
    }
    return [
        System(
            name,
            way.variant,
            precision,
            (str(python_of(name)), *way.command),
            {**shared, **way.variables},
            form=way.form,
        )
        for name in names
        for way in _WAYS[name]
    ]


@dataclass(frozen=True)
class _Way:
    variant: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    form: bool = False


def _own(name: str, variables: Mapping[str, str], *batches: int) -> tuple[_Way, ...]:
    """Return ways of a peer whose module is its own program, by the size of its batches."""
    command = ("-m", f"benchmarks.peers.{name}.server")
    return tuple(
        _Way(f"batches of up to {batch}" if batch > 1 else _EACH, command, {**variables, BATCH_VARIABLE: str(batch)})
        for batch in batches
    )


_UVICORN = (
    *("-m", "uvicorn", "benchmarks.peers.fastapi.server:app", "--host", "127.0.0.1", "--port", "{port}"),
    *("--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
)
_BENTO = ("-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", "{port}", "--working-dir", str(ROOT))
_BENTO_QUIET = {"BENTOML_DO_NOT_TRACK": "True"}
_BENTO_BATCHES = {**_BENTO_QUIET, BATCH_VARIABLE: "16"}
_MOSEC = {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_PORT": "{port}", "MOSEC_LOG_LEVEL": "error", "MOSEC_TIMEOUT": "60000"}
_RAY = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Not the machine's address but 127.0.0.1, and nothing to watch a memory that others use too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_memory_monitor_refresh_ms": "0",
}
_WAYS: dict[str, tuple[_Way, ...]] = {
    FASTAPI: (
        _Way(ONE_PROCESS, _UVICORN, {THREADS_VARIABLE: str(cores())}),
        _Way("a process a core", (*_UVICORN, "--workers", str(cores()))),
    ),
    "litserve": _own("litserve", {}, 1, 8),
    "mosec": _own("mosec", _MOSEC, 1, 4, 8),
    "ray_serve": _own("ray_serve", _RAY, 1, 8),
    "bentoml": (
        _Way(_EACH, (*_BENTO, "benchmarks.peers.bentoml.server:Raw"), _BENTO_QUIET),
        _Way("batches of up to 16", (*_BENTO, "benchmarks.peers.bentoml.server:Batched"), _BENTO_BATCHES, form=True),
    ),
}


@contextlib.contextmanager
def serving(system: System, image: bytes) -> Iterator[Server]:
    """Start a system, wait until it answers an image, and end it and all that it started.

    Raises
    ------
    NotServedError
        If it ends, or does not come up in time.
    """
    port = free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GALAXYTREE_")}
    variables = {name: value.format(port=port) for name, value in system.variables.items()}
    command = [each.format(port=port) for each in system.command]
    environment = {**plain, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    with started(command, environment, ROOT) as process:
        server = Server(system, process, port)
        _wait(server, image)
        yield server


def _request(system: System, image: bytes) -> tuple[str, bytes, str]:
    body = as_form(image) if system.form else image
    return system.path, body, content_type(system)


def content_type(system: System) -> str:
    """Return what type a system is told that bodies have."""
    return f"multipart/form-data; boundary={BOUNDARY}" if system.form else "image/jpeg"


def _wait(server: Server, image: bytes) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    said = "nothing"
    while time.monotonic() < deadline:
        if not server.process.alive:
            msg = f"{server.system.label} ended at its start: {server.process.last_words}"
            raise NotServedError(msg)
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = _probe(server, image)
            if status == http.HTTPStatus.OK:
                return
            said = f"{status} {answer[:200]!r}"
        time.sleep(_PROBE_SECONDS)
    msg = f"{server.system.label} answered {said} for {_PATIENCE_SECONDS:.0f} s: {server.process.last_words}"
    raise NotServedError(msg)


def _probe(server: Server, image: bytes) -> tuple[int, bytes]:
    if server.system.ready is None:
        return post(server.port, *_request(server.system, image))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", server.system.ready)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post(port: int, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    """Post a body to a port of this machine; status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_answer(server: Server, image: bytes, expected: Mapping[str, float]) -> None:
    """Hold a system's answer against the network's own; NotServedError if they differ."""
    status, answer = post(server.port, *_request(server.system, image))
    said = json.loads(answer) if status == http.HTTPStatus.OK else None
    if isinstance(said, list):
        (said,) = said
    scores = said.get("scores", said) if isinstance(said, dict) else {}
    far = [name for name, value in expected.items() if abs(scores.get(name, 9.0) - value) > _TOLERANCE]
    if far:
        msg = f"{server.system.label} answers {status} and not what the network does: {answer[:200]!r}"
        raise NotServedError(msg)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
