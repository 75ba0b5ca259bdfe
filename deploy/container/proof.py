"""What a container must show while it runs, from before its start to after its end."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from deploy.container.problems import ContainerError
from deploy.container.running import PATIENCE_SECONDS, Container

# How long an engine waits between SIGTERM and SIGKILL, as docker-compose.yml has it.
GRACE_SECONDS = 75.0
# CPUs differ in what precision they are given, and in the last digits.
_TOLERANCE = 0.02
_READ_ONLY = "Read-only file system"
_WRITES = "import sys; open(sys.argv[1], 'w').close()"


class Proof:
    """Tries a running container, one claim at a time.

    Every method returns what it saw, in words, and raises `ContainerError` if that isn't as it should be.

    Parameters
    ----------
    container
        What is tried.
    health_check
        The image's own command for it.
    picture
        A galaxy.
    expected
        The scores that it should get.
    """

    def __init__(
        self, container: Container, health_check: list[str], picture: bytes, expected: dict[str, float]
    ) -> None:
        self._container = container
        self._health_check = health_check
        self._picture = picture
        self._expected = expected
        self._url = f"http://127.0.0.1:{container.environment['GALAXYTREE_PORT']}"

    def becomes_ready(self) -> str:
        """See it live, then ready, with no network but its own."""
        began = time.monotonic()
        seconds = {}
        for what in ("live", "ready"):
            self._wait_until(partial(self._answers, f"/health/{what}", 200), f"be {what}")
            seconds[what] = time.monotonic() - began
        return f"live after {seconds['live']:.1f} s, ready after {seconds['ready']:.1f} s"

    def says_that_it_is_well(self) -> str:
        """Run the image's health check; it must fail if nobody listens."""
        well = self._container.enter(*self._health_check)
        if well.returncode:
            msg = f"the health check fails: {well.stderr}"
            raise ContainerError(msg)
        nobody = self._container.enter("env", "GALAXYTREE_PORT=1", *self._health_check)
        if nobody.returncode != 1:
            msg = f"the health check ends with {nobody.returncode} where nobody listens"
            raise ContainerError(msg)
        return "status 0; 1 where nobody listens"

    def scores_a_galaxy(self) -> str:
        """Have it score the galaxy, as it is scored without a container."""
        answer = self._classify()
        far = max(abs(answer["scores"][name] - score) for name, score in self._expected.items())
        if far > _TOLERANCE:
            msg = f"a score differs by {far:.2g} from the one in docs/figures/answer.json"
            raise ContainerError(msg)
        return f"{len(self._expected)} scores, at most {far:.1g} from those in docs/figures/answer.json"

    def has_no_rights(self) -> str:
        """Look at all its processes: their user is not root, and they have no capability and no way to one."""
        processes = self._container.processes()
        for pid in processes:
            self._no_rights(pid)
        return f"{len(processes)} processes, each uid {self._container.user}, no capabilities, no new privileges"

    def cannot_write(self) -> str:
        """Try to write, as its user and as root: only under ``/tmp`` is it possible."""
        for path in ("/opt/galaxytree/new", "/etc/new", "/new"):
            for as_root, refusals in ((False, (_READ_ONLY, "Permission denied")), (True, (_READ_ONLY,))):
                tried = self._container.enter("python3", "-c", _WRITES, path, as_root=as_root)
                if tried.returncode != 1 or not any(each in tried.stderr for each in refusals):
                    msg = f"writing {path} as {'root' if as_root else 'its user'}: {tried.stderr or 'done'}"
                    raise ContainerError(msg)
        written = self._container.enter("python3", "-c", _WRITES, "/tmp/new")  # noqa: S108 - the container's own
        if written.returncode:
            msg = f"nothing can be written under /tmp: {written.stderr}"
            raise ContainerError(msg)
        return "EROFS for root; /tmp can be written"

    def ends_well(self) -> str:
        """Send SIGTERM: it serves on while it drains, and ends with status 0 within the grace of an engine."""
        processes = self._container.processes()
        began = time.monotonic()
        self._container.signal(signal.SIGTERM)
        self._wait_until(partial(self._answers, "/health/ready", 503), "be not ready")
        served = 0
        while time.monotonic() - began < 1 or not served:
            self._classify()
            served += 1
        status = self._container.wait(GRACE_SECONDS)
        seconds = time.monotonic() - began
        left = [pid for pid in processes if Path(f"/proc/{pid}").exists()]
        if status or left:
            msg = f"exit status {status}, {len(left)} processes left:\n{self._container.log}"
            raise ContainerError(msg)
        return f"{served} galaxies scored while draining, exit status 0 after {seconds:.1f} s, no process left"

    def _no_rights(self, pid: int) -> None:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
        said = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        wanted = {
            "Uid": [str(self._container.user)] * 4,
            "Gid": [str(self._container.group)] * 4,
            "Groups": [],
            "NoNewPrivs": ["1"],
            **{f"Cap{which}": ["0" * 16] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
        }
        for name, value in wanted.items():
            if said[name].split() != value:
                msg = f"process {pid} ({said['Name']}): {name} is {said[name]}"
                raise ContainerError(msg)
        if self._container.user == 0:
            msg = "it runs as root"
            raise ContainerError(msg)

    def _classify(self) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - an address of the container's
            f"{self._url}/classify", self._picture, {"Content-Type": "image/jpeg"}
        )
        with self._container.network(), urllib.request.urlopen(request, timeout=GRACE_SECONDS) as answer:  # noqa: S310
            return json.load(answer)

    def _answers(self, path: str, status: int) -> bool:
        """Whether an answer comes, with a status."""
        with suppress(OSError), self._container.network():
            try:
                with urllib.request.urlopen(self._url + path, timeout=10) as answer:  # noqa: S310 - likewise
                    return int(answer.status) == status
            except urllib.error.HTTPError as error:
                return error.code == status
        return False

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self._container.has_ended or time.monotonic() > ends:
                msg = f"waited in vain for it to {what}:\n{self._container.log}"
                raise ContainerError(msg)
            time.sleep(0.05)
