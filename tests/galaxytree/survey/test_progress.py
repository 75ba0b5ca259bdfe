"""How far it is: a bar on a terminal, lines where there is none."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from galaxytree.survey_progress import Bar, Lines, progress_to
from tests.galaxytree.survey.calls import parts_of, score, scoring
from tests.galaxytree.survey.stand_in import StandIn
from tests.servers import PATIENCE_SECONDS, wait_for

CHUNKS = ("--chunk-rows", "5", "--concurrency", "2")


def test_lines_where_there_is_no_terminal(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.holds = 4
    stand_in.failing = {"g0001"}
    with scoring(catalogue, out, *CHUNKS, "--progress-seconds", "0.05", server=stand_in.url) as process:
        assert process.stderr is not None
        seen = []
        while not seen or not re.fullmatch(
            r"20 of 100 rows \(20\.0%\), 1 failed, \S+ rows/s, \d:\d\d:\d\d left\n", seen[-1]
        ):
            seen.append(process.stderr.readline())
            assert seen[-1], seen
        stand_in.gate.set()
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    # On a busy machine the service may first be said to be late.
    assert next(line for line in seen if "has not answered yet" not in line) == "0 of 100 rows (0.0%), 0 failed\n"
    assert "100 of 100 rows (100.0%), 1 failed\n" in rest
    assert "\r" not in rest


@pytest.mark.parametrize("columns", [0, 100])
def test_a_bar_on_a_terminal(stand_in: StandIn, catalogue: Path, tmp_path: Path, columns: int) -> None:
    out = tmp_path / "out.parquet"
    stand_in.holds = 4
    stand_in.failing = {"g0001"}
    ours, theirs = terminal_of(columns)
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url, stderr=theirs) as process:
        os.close(theirs)
        wait_for(lambda: len(parts_of(out)) == 4, "parts")
        shown = read_until(ours, "failed=1")
        stand_in.gate.set()
        shown += read_until(ours, "--retry-failed")
        assert process.wait(PATIENCE_SECONDS) == 1
    os.close(ours)
    assert re.search(r"\r +\d+%\|.*\| \d+/100 \[\d\d:\d\d<", shown)
    assert re.search(r"rows/s, failed=1\]", shown)
    assert "100%|" in shown


def terminal_of(columns: int) -> tuple[int, int]:
    """Open a terminal: our side and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    return ours, theirs


def read_until(descriptor: int, text: str) -> str:
    shown, ends = "", time.monotonic() + PATIENCE_SECONDS
    while text not in shown:
        assert time.monotonic() < ends, shown
        if select.select([descriptor], [], [], 0.1)[0]:
            # A terminal whose other side is gone says so with an error.
            with suppress(OSError):
                shown += os.read(descriptor, 10_000).decode()
    return shown


def test_a_bar_is_told_all(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = terminal_of(80)
    with os.fdopen(theirs, "w") as terminal:
        bar = progress_to(terminal)
        assert isinstance(bar, Bar)
        bar.advance(1, 0)
        bar.tick()
        bar.begin(10, 5, 2)
        bar.say("something else")
        bar.advance(5, -1)
        bar.tick()
        bar.end()
        bar.end()
        shown = read_until(ours, "10/10")
    os.close(ours)
    assert "something else" in shown
    assert "failed=1" in shown
    assert capfd.readouterr() == ("", "")


def test_lines_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        lines = progress_to(stream, seconds=3)
        assert isinstance(lines, Lines)
        assert lines.seconds == 3
        lines.begin(0, 0, 0)
        lines.tick()
        lines.end()
    assert path.read_text().splitlines() == [
        "0 of 0 rows (100.0%), 0 failed",
        "0 of 0 rows (100.0%), 0 failed, 0.0 rows/s",
        "0 of 0 rows (100.0%), 0 failed",
    ]


def test_where_it_goes_on_from_is_said(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0001", "g0050"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    stand_in.failing = {"g0050"}
    ended = score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url)
    assert "98 of 100 rows (98.0%), 2 failed\n100 of 100 rows (100.0%), 1 failed\n" in ended.stderr
