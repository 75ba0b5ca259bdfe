"""What tests share: a small model, and the service that runs it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import Process, serving
from tests.tiny_model import write_model

MAX_IMAGE_BYTES = 200_000
BODY_TIMEOUT_SECONDS = 1.5


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GALAXYTREE_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Have Ctrl-C end this process and those it starts: whoever started the tests in the background had it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small real ONNX model with its card."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def service(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """``galaxytree serve`` as a process of its own, with tight limits."""
    with serving(
        tmp_path_factory.mktemp("service") / "log",
        model=str(model_folder),
        max_image_bytes=str(MAX_IMAGE_BYTES),
        body_timeout_seconds=str(BODY_TIMEOUT_SECONDS),
    ) as process:
        yield process


@pytest.fixture
def http(service: Process) -> Iterator[httpx.Client]:
    """Connect a client to the service."""
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client
