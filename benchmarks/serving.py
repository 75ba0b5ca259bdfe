"""A system as a process: started, waited for, checked to be right, ended."""

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.failures import NotServedError, reason
from benchmarks.processes import Started, started
from benchmarks.scoring import ROOT
from benchmarks.systems import System

_PATIENCE_SECONDS = 90.0
_ANSWER_SECONDS = 60.0
_PROBE_SECONDS = 0.02
_TOLERANCE = 1e-3


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


@contextlib.contextmanager
def serving(system: System, image: bytes, port: int | None = None) -> Iterator[Server]:
    """Start a system, wait until it answers an image, and end it and all that it started.

    Parameters
    ----------
    system
    image
        Is posted where the system has no path that says when it is ready.
    port
        Where it is to listen; on any free port if not given.

    Raises
    ------
    NotServedError
        If it ends, or does not come up in time.
    """
    port = port or free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GALAXYTREE_")}
    variables = {name: value.format(port=port) for name, value in system.variables.items()}
    command = [each.format(port=port) for each in system.command]
    environment = {**plain, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    with started(command, environment, ROOT) as process:
        server = Server(system, process, port)
        _wait(server, image)
        yield server


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
    ready = server.system.ready
    return _post(server, image) if ready is None else _ask(server.port, "GET", ready)


def _post(server: Server, image: bytes) -> tuple[int, bytes]:
    system = server.system
    return _ask(server.port, "POST", system.path, system.body(image), {"Content-Type": system.content_type})


def _ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_answer(server: Server, image: bytes, expected: Mapping[str, float]) -> None:
    """Hold a system's answer against the network's own; NotServedError if there is none, or it differs."""
    label = server.system.label
    try:
        status, answer = _post(server, image)
        said = json.loads(answer) if status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        msg = f"{label} comes up but does not answer with scores: {reason(error)}"
        raise NotServedError(msg) from error
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    scores = said.get("scores", said) if isinstance(said, dict) else None
    if not isinstance(scores, dict) or any(_far(scores.get(name), value) for name, value in expected.items()):
        msg = f"{label} answers {status} and not what the network does: {answer[:200]!r}"
        raise NotServedError(msg)


def _far(said: object, expected: float) -> bool:
    return not isinstance(said, int | float) or not abs(said - expected) <= _TOLERANCE


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
