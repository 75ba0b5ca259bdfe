"""What a service and its workers hold, as time goes by, and whether that grows."""

import os
import statistics
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from pydantic import BaseModel

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_MOST_PAIRS = 400


class Sample(BaseModel):
    """What was held at one time.

    Attributes
    ----------
    minutes
        Since the load began.
    processes
        The service, and its workers.
    service_mib, workers_mib
        Resident pages.
    files, threads
        Of all processes.
    """

    minutes: float
    processes: int
    service_mib: float
    workers_mib: float
    files: int
    threads: int

    @property
    def mib(self) -> float:
        """Resident pages of all."""
        return self.service_mib + self.workers_mib


def sample(minutes: float, service: int, workers: Sequence[int]) -> Sample:
    """Look at processes; one that has just ended holds nothing."""
    everyone = [service, *workers]
    return Sample(
        minutes=minutes,
        processes=len(everyone),
        service_mib=_resident(service),
        workers_mib=sum(map(_resident, workers)),
        files=sum(_number(each, "fd") for each in everyone),
        threads=sum(_number(each, "task") for each in everyone),
    )


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_MIB
    except OSError:
        return 0.0


def _number(pid: int, what: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{what}"))  # noqa: PTH208  (names alone)
    except OSError:
        return 0


def last_half(samples: Sequence[Sample]) -> list[Sample]:
    """Return the later half of the time, but for samples in which a worker was just being replaced."""
    if not samples:
        return []
    middle = (samples[0].minutes + samples[-1].minutes) / 2
    usual = statistics.mode(each.processes for each in samples)
    return [each for each in samples if each.minutes >= middle and each.processes == usual]


def slope(samples: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    """Return by how much something grows a minute: the median over pairs of samples (Theil and Sen).

    A moment in which many things are held at once moves it as little as it should. Of very many samples so many are
    taken, evenly, that the pairs are few.
    """
    step = max(1, -(-len(samples) // _MOST_PAIRS))
    points = [(each.minutes, what(each)) for each in samples[::step]]
    found = [(y - x) / (t - s) for (s, x), (t, y) in combinations(points, 2) if t > s]
    return statistics.median(found) if found else float("nan")
