"""The programs of a survey: the host of images, and ``galaxytree score``, whose memory is looked at as it goes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.failures import NotMeasuredError
from benchmarks.processes import Started, started
from benchmarks.scoring import ROOT

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class ImageHost:
    """A host of images that runs."""

    port: int

    def counts(self) -> bytes:
        """Return how often each row was asked for, a byte a row."""
        # The host is this program's own.
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts") as answer:
            counts: bytes = answer.read()
        return counts


@contextlib.contextmanager
def image_host(data: Path, rows: int) -> Iterator[ImageHost]:
    """Run a host of images for a catalogue of so many rows; NotMeasuredError if it doesn't come up."""
    command = [sys.executable, "-m", "benchmarks.survey.host", "--data", str(data.resolve()), "--rows", str(rows)]
    with started(command, _environment(), ROOT) as process:
        yield ImageHost(_port(process))


def _port(process: Started) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.alive:
        line, newline, _ = process.log.read_text("utf-8").partition("\n")
        if newline and line.isdecimal():
            return int(line)
        time.sleep(0.05)
    msg = f"the host of images did not come up: {process.last_words}"
    raise NotMeasuredError(msg)


def _environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GALAXYTREE_")}
    return {**plain, "PYTHONPATH": str(ROOT)}


@dataclass
class Ran:
    """One call of ``galaxytree score`` that has ended.

    Attributes
    ----------
    status
        With which it ended; the negative number of a signal that killed it.
    seconds
        From its start to its end.
    cpu_seconds
        What it took of the processor.
    resident
        MiB that it held, looked at every quarter of a second.
    said
        The last line that it said.
    """

    status: int
    seconds: float
    cpu_seconds: float
    resident: list[float] = field(default_factory=list)
    said: str = ""


def score(catalogue: Path, output: Path, server: str, meanwhile: Callable[[Started], bool] | None = None) -> Ran:
    """Run a survey to its end.

    Parameters
    ----------
    catalogue, output, server
    meanwhile
        Is called every quarter of a second; the survey is killed if it says so.
    """
    words = ["score", str(catalogue), "-o", str(output), "--url-column", "url", "--server", server]
    begun = time.perf_counter()
    with started([sys.executable, "-m", "galaxytree", *words], _environment(), ROOT) as process:
        resident: list[float] = []
        cpu_seconds = 0.0
        while process.alive:
            if time.perf_counter() - begun > _LONGEST_SECONDS:
                msg = f"the survey did not end: {process.last_words}"
                raise NotMeasuredError(msg)
            resident.append(_resident_mib(process.popen.pid))
            cpu_seconds = _cpu_seconds(process.popen.pid) or cpu_seconds
            if meanwhile is not None and meanwhile(process):
                process.popen.send_signal(signal.SIGKILL)
                process.popen.wait()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(_LOOK_SECONDS)
        seconds = time.perf_counter() - begun
        return Ran(
            process.popen.returncode, seconds, cpu_seconds, [each for each in resident if each], process.last_words
        )


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
