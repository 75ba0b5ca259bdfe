"""What is measured over HTTP: the service, and every way in which peers are set up."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.providers import cores
from benchmarks.environments import python_of
from benchmarks.images import BOUNDARY, as_form
from benchmarks.scoring import (
    BATCH_VARIABLE,
    DEVICE_VARIABLE,
    MODEL_FOLDER,
    MODEL_VARIABLE,
    PORT_VARIABLE,
    ROOT,
    SPINNING_VARIABLE,
    THREADS_VARIABLE,
    WORKERS_VARIABLE,
)
from galaxytree.card import INT8_FILE, MODEL_FILE

Precision = Literal["fp32", "int8"]
MODEL_FILES: dict[Precision, Path] = {"fp32": MODEL_FOLDER / MODEL_FILE, "int8": MODEL_FOLDER / INT8_FILE}
SERVICE = "service"
FASTAPI = "fastapi"
INT8_ON_CUDA = "int8 is for CPUs"
ONE_PROCESS = "one process, a session of as many threads as cores"
_EACH = "one image at a time"


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

    @property
    def content_type(self) -> str:
        """What it is told that bodies are."""
        return f"multipart/form-data; boundary={BOUNDARY}" if self.form else "image/jpeg"

    def body(self, image: bytes) -> bytes:
        """Return what is posted of an image."""
        return as_form(image) if self.form else image


def missing(precision: Precision, device: str) -> str | None:
    """Say why a precision cannot be measured, or None where it can."""
    if precision == "int8" and device == "cuda":
        return INT8_ON_CUDA
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
        # Whoever writes this first leaves ONNX Runtime as it comes.
        _Way(ONE_PROCESS, _UVICORN, {THREADS_VARIABLE: str(cores()), SPINNING_VARIABLE: "1"}),
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
