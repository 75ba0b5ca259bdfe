"""The limit is the best that this machine does, and what fails on the way to it ends nothing."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import limit as limit_module
from benchmarks.failures import LimitError
from benchmarks.images import made
from benchmarks.limit import Workers, best, measure_limit, threads
from benchmarks.scoring import Scorer
from benchmarks.systems import MODEL_FILES


def test_the_limit_is_the_better_of_the_most_promising_ways() -> None:
    short = {("threads", 1): 100.0, ("threads", 8): 200.0, ("processes", 8): 210.0}
    # What looked best for a moment need not be.
    full = {("threads", 8): 205.0, ("processes", 8): 190.0}
    spans: list[float] = []

    def rate(way: tuple[str, int], seconds: float) -> float:
        spans.append(seconds)
        return full[way] if seconds == 5 else short[way]

    found = best(rate, list(short), seconds=5)
    assert (found.images_per_second, found.configuration) == (205.0, "threads, batches of 8")
    assert spans.count(5) == 2
    assert found.tried["threads, batches of 1"] == 100.0


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a program of this test's measure the limit."""

    def put(program: str) -> None:
        real = subprocess.run

        def replaced(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
            assert command[1:3] == ["-m", "benchmarks.limit"]
            done: subprocess.CompletedProcess[str] = real([sys.executable, "-c", program], **options)  # type: ignore[call-overload]
            return done

        monkeypatch.setattr(subprocess, "run", replaced)
        monkeypatch.setattr(limit_module, "_PATIENCE_SECONDS", 2.0)

    return put


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import time; time.sleep(60)", "not measured within 2 s"),
        ("raise SystemExit('no such model')", "no such model"),
        ("print('Hello!')", "printed 'Hello!"),
        ("pass", "printed ''"),
        ('print(\'{"images_per_second": 0, "configuration": "none", "tried": {}}\')', "printed"),
    ],
)
def test_a_limit_that_cannot_be_measured_is_an_error_that_says_why(
    slow: Callable[[str], None], program: str, said: str
) -> None:
    slow(program)
    with pytest.raises(LimitError, match=re.escape(said)):
        measure_limit(Path("model.onnx"), Path(), 1)


class Sleeper(Scorer):
    """A network that takes a second for a batch in its first loop, and a tenth in the other."""

    def __init__(self) -> None:
        self._loops: dict[int, float] = {}

    def read(self, data: bytes) -> Any:  # noqa: ANN401
        return data

    def run(self, images: Any) -> Any:  # noqa: ANN401
        time.sleep(self._loops.setdefault(threading.get_ident(), 0.4 if not self._loops else 0.05))
        return images


def test_a_loop_that_ends_late_takes_nothing_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_module, "cores", lambda: 2)
    # 10 in 0.4 s and 10 in 0.05 s; by the clock of the slower one it would be 75 a second less.
    assert threads(Sleeper(), [b""] * 4, 10, 0.2) == pytest.approx(25 + 200, rel=0.15)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_ends_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_module, "cores", lambda: 1)
    with pytest.raises(LimitError, match="has ended"):
        Workers(Path("there is no such model"), [b""], "cpu")


def test_every_way_to_the_limit_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_module, "cores", lambda: 1)
    monkeypatch.setattr(limit_module, "BATCHES", {"cpu": (2,)})
    monkeypatch.setattr(limit_module, "_TRIAL_SECONDS", 0.1)
    found = limit_module._measure(MODEL_FILES["fp32"], [made(0), made(1)], 0.1, "cpu")
    ways = ("a thread a core", "a process a core", "one session of all cores")
    assert list(found.tried) == [f"{way}, batches of 2" for way in ways]
    assert found.images_per_second > 0
