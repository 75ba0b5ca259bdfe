"""Closed-loop load by wrk: so many connections, each sending again as soon as it is answered.

wrk is one C program with one epoll loop: what it costs itself is measured each time.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from benchmarks.failures import WrkError

SCRIPT = Path(__file__).with_name("post.lua")
_RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)
_TIMEOUT_SECONDS = 30


class Load(BaseModel):
    """What came of a load.

    Attributes
    ----------
    requests
        Answered, with whatever status.
    p50_ms, p95_ms, p99_ms, most_ms
        Percentiles of the time from a request to its answer.
    errors
        How many failed, by kind: connect, read, write, timeout; status: answers over 399.
    client_seconds
        Processor time that the client took.
    """

    connections: int
    seconds: float
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    most_ms: float
    errors: dict[str, int]
    client_seconds: float

    @property
    def good_per_second(self) -> float:
        """Answers under 400 in a second."""
        return (self.requests - self.errors.get("status", 0)) / self.seconds

    @property
    def failed(self) -> int:
        """How many requests were not answered 200."""
        return sum(self.errors.values())

    @property
    def client_per_thousand(self) -> float:
        """Seconds of processor time that the client took for 1,000 requests."""
        return 1000 * self.client_seconds / max(self.requests, 1)


def require_wrk() -> str:
    """Return where wrk is; WrkError if it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        msg = "wrk, which sends the requests, is not installed: apt install wrk"
        raise WrkError(msg)
    return found


def write_bodies(bodies: Sequence[bytes], folder: Path) -> Path:
    """Write what is to be sent where the script looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:05d}" for index in range(len(bodies))]
    for name, body in zip(names, bodies, strict=True):
        (folder / name).write_bytes(body)
    (folder / "list").write_text("".join(f"{name}\n" for name in names), "utf-8")
    return folder


def run_wrk(url: str, path: str, bodies: Path, content_type: str, connections: int, seconds: float) -> Load:
    """Load a server.

    Parameters
    ----------
    url : str
        Scheme, host and port.
    path : str
        Path and query that is posted to.
    bodies : Path
        A folder of `write_bodies`.
    content_type : str
    connections : int
    seconds : float
        Rounded up to whole ones.

    Raises
    ------
    WrkError
        If wrk fails or says nothing of its results.
    """
    whole = max(1, int(-(-seconds // 1)))
    command = [require_wrk(), "-t1", f"-c{connections}", f"-d{whole}s", f"--timeout={_TIMEOUT_SECONDS}s"]
    variables = {"BENCH_BODIES": str(bodies), "BENCH_PATH": path, "BENCH_CONTENT_TYPE": content_type}
    process = subprocess.Popen(
        [*command, "-s", str(SCRIPT), url],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output = process.stdout.read() if process.stdout else ""
        # `wait4` tells what this very process has used.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
    return parse(output, connections, used.ru_utime + used.ru_stime)


def parse(output: str, connections: int, client_seconds: float) -> Load:
    """Read what the script printed; WrkError if it didn't."""
    found = _RESULT.search(output)
    if found is None:
        msg = f"wrk printed no result: {output.strip()[-500:]}"
        raise WrkError(msg)
    said = json.loads(found[1])
    return Load(
        connections=connections,
        seconds=said["microseconds"] / 1e6,
        requests=said["requests"],
        p50_ms=said["p50"] / 1000,
        p95_ms=said["p95"] / 1000,
        p99_ms=said["p99"] / 1000,
        most_ms=said["most"] / 1000,
        errors={kind: said[kind] for kind in ("connect", "read", "write", "status", "timeout")},
        client_seconds=client_seconds,
    )
