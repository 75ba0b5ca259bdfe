"""Processes that are measured: started in a group of their own, and surely ended; and what they hold."""

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from benchmarks.failures import NotServedError

MIB = 2**20
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 2.0
_KILLED_SECONDS = 10.0
_WORDS = 300


class Memory(BaseModel):
    """What a tree of processes holds, in MiB.

    Attributes
    ----------
    rss
        Resident pages; those that several processes share count in each.
    pss
        The same, shared pages divided among who shares them.
    uss
        Pages that nobody else has.
    peak
        The sum of the most that each process had resident since it started, or since `Started.forget_peak`.
    """

    rss: float
    pss: float
    uss: float
    peak: float

    @property
    def peak_once(self) -> float:
        """The peak, with pages that several processes share counted once: as many as they share now."""
        return self.peak - (self.rss - self.pss)


@dataclass(frozen=True)
class Started:
    """A process that runs, and whose output goes to a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    @property
    def last_words(self) -> str:
        """The last line that it said."""
        lines = self.log.read_text("utf-8", "replace").split("\n")
        return next((line.strip()[-_WORDS:] for line in reversed(lines) if line.strip()), "it said nothing")

    def memory(self) -> Memory:
        """Return what it and its descendants hold now; NotServedError if it has ended, or that cannot be read."""
        # What has ended holds nothing, which would be the best of all figures.
        if not self.alive:
            msg = f"the process has ended: {self.last_words}"
            raise NotServedError(msg)
        own = memory_of([self.popen.pid])
        if not own.rss or not own.peak:
            why = "what the process holds cannot be read in /proc"
            # It may have ended just now.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(_GRACE_SECONDS)
                why = f"the process has ended: {self.last_words}"
            raise NotServedError(why)
        return memory_of([self.popen.pid, *descendants(self.popen.pid)])

    def forget_peak(self) -> None:
        """Let the most that was resident count anew from here; where the kernel refuses that, it counts from before."""
        for pid in [self.popen.pid, *descendants(self.popen.pid)]:
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


@contextlib.contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[Started]:
    """Run a command in a group of its own, with a temporary folder as its home; at the end nothing of it is left.

    Some systems start daemons that leave their parent's group. They become children of this process, which takes over
    orphans, and are ended by their ids.
    """
    _adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="gb") as temporary, tempfile.NamedTemporaryFile(suffix=".log") as log:
        before = set(descendants(os.getpid()))
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TMPDIR": temporary, "HOME": temporary},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Started(popen, Path(log.name))
        finally:
            _end(popen, before)


def _end(popen: subprocess.Popen[bytes], before: set[int]) -> None:
    with contextlib.suppress(ProcessLookupError):
        popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(_GRACE_SECONDS)
    # What is measured has been; a system that doesn't go when it is told to needn't go in good order.
    deadline = time.monotonic() + _GRACE_SECONDS
    while (rest := _rest(before)) and time.monotonic() < deadline:
        for pid in rest:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(rest, popen)
        time.sleep(0.02)
    popen.wait(_KILLED_SECONDS)


def _rest(before: set[int]) -> list[int]:
    return [pid for pid in descendants(os.getpid()) if pid not in before]


def _reap(rest: Sequence[int], popen: subprocess.Popen[bytes]) -> None:
    """Take note of the end of the process, and of the orphans that came from it."""
    popen.poll()
    for pid in rest:
        if pid != popen.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _adopt_orphans() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below one, zombies among them."""
    children: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            fields = _stat(int(each.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(each.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def memory_of(pids: Sequence[int]) -> Memory:
    """Add up what processes hold; those that have ended hold nothing."""
    rss = pss = uss = peak = 0
    for pid in pids:
        rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
        rss += rollup.get("Rss", 0)
        pss += rollup.get("Pss", 0)
        uss += rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0)
        peak += _kilobytes(Path(f"/proc/{pid}/status")).get("VmHWM", 0)
    return Memory(rss=rss / 1024, pss=pss / 1024, uss=uss / 1024, peak=peak / 1024)


def _kilobytes(file: Path) -> dict[str, int]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return {}
    fields = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) for name, _, value in fields if value.rstrip().endswith("kB")}


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; the first is the state, the second the parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return []
