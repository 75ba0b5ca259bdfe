"""What wrk says is read, and percentiles are what they are called."""

import math
import shutil
from pathlib import Path

import pytest

from benchmarks.failures import WrkError
from benchmarks.percentiles import Percentiles, nearest
from benchmarks.wrk import parse, require_wrk, run_wrk, write_bodies
from tests.benchmarks.answering import answer, answering

PRINTED = """Running 1s test @ http://127.0.0.1:8000
  250 requests in 2.00s, 1.00MB read
RESULT {"requests": 250, "microseconds": 2000000, "p50": 1500.0, "p95": 2500.5, "p99": 9000.0, "most": 12000.0, \
"connect": 1, "read": 2, "write": 3, "status": 10, "timeout": 4}
"""


def test_what_wrk_measured_is_read() -> None:
    read = parse(PRINTED, connections=8, client_seconds=0.25)
    assert (read.p50_ms, read.p95_ms, read.p99_ms, read.most_ms) == (1.5, 2.5005, 9.0, 12.0)
    assert read.good_per_second == (250 - 10) / 2
    assert read.failed == 1 + 2 + 3 + 10 + 4
    assert read.client_per_thousand == 1.0


def test_a_wrk_that_says_nothing_is_an_error_with_its_words() -> None:
    with pytest.raises(WrkError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1", connections=1, client_seconds=0)


def test_percentiles_are_values_that_were_measured() -> None:
    values = [each / 1000 for each in range(1, 101)]
    read = Percentiles.of(values[::-1])
    assert (read.number, read.p50_ms, read.p95_ms, read.p99_ms, read.most_ms) == (100, 50, 95, 99, 100)
    assert nearest([3.0], 0.01) == 3.0
    assert math.isnan(Percentiles.of([]).p99_ms)
    assert str(Percentiles.of([])) == "none"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_what_was_written_and_counts_what_comes_back(tmp_path: Path) -> None:
    bodies = write_bodies([b"one", b"two"], tmp_path)
    with answering(answer(200), answer(422)) as port:
        found = run_wrk(f"http://127.0.0.1:{port}", "/classify", bodies, "image/jpeg", 2, 1)
    assert found.connections == 2
    assert found.requests > 10
    assert found.errors["status"] == pytest.approx(found.requests / 2, abs=2)
    assert found.client_seconds > 0


def test_a_machine_without_wrk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(WrkError, match="apt install wrk"):
        require_wrk()
