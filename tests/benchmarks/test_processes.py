"""Processes are ended, and what they hold is read; of those that have ended nothing is."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import machine
from benchmarks.failures import NotServedError
from benchmarks.machine import busy, this_machine
from benchmarks.processes import descendants, memory_of, started


def test_this_machine_has_a_name_for_a_file() -> None:
    assert set(this_machine().name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_machine_that_works_for_others_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of four cores, one was busy: in a second three seconds were idle.
    idle = iter([100.0, 103.0])
    clock = iter([50.0, 51.0])
    monkeypatch.setattr(machine, "_idle_seconds", lambda: next(idle))
    monkeypatch.setattr(machine, "time", SimpleNamespace(perf_counter=lambda: next(clock), sleep=lambda _: None))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert busy(1.0) == pytest.approx(0.25)


def test_idle_time_is_read_of_this_machine() -> None:
    first = machine._idle_seconds()
    time.sleep(0.05)
    assert 0 < first <= machine._idle_seconds()


def test_nothing_is_left_of_a_system_not_even_what_left_its_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {note}; exec sleep 60' & sleep 60"
    with started(["sh", "-c", script], dict(os.environ), tmp_path) as process:
        until(lambda: note.exists() and bool(note.read_text("ascii").strip()))
        daemon = int(note.read_text("ascii"))
        assert daemon in descendants(process.popen.pid)
        assert process.alive
        assert process.memory().peak >= memory_of([daemon]).rss > 0
        process.forget_peak()
    assert not Path(f"/proc/{daemon}").exists()
    assert not Path(f"/proc/{process.popen.pid}").exists()


def test_a_system_that_fails_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with started(["sh", "-c", "echo Traceback; echo 'OSError: no port'; echo"], dict(os.environ), tmp_path) as process:
        until(lambda: not process.alive)
        assert process.last_words == "OSError: no port"


def test_what_has_ended_holds_not_nothing_but_is_an_error(tmp_path: Path) -> None:
    with started(["sh", "-c", "echo Killed"], dict(os.environ), tmp_path) as process:
        until(lambda: not process.alive)
        with pytest.raises(NotServedError, match="has ended: Killed"):
            process.memory()


def test_memory_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes._kilobytes", lambda _: {"Rss": 5})
    with started(["sleep", "60"], dict(os.environ), tmp_path) as process, pytest.raises(NotServedError, match="/proc"):
        process.memory()


def until(true: Callable[[], bool]) -> None:
    """Wait for something, ten seconds at most."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come true")
