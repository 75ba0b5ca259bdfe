"""A soak: what grows is seen to grow, and what only moves is not."""

import math
import os
from pathlib import Path

import pytest

from benchmarks.failures import LimitError
from benchmarks.faults.accounts import Accounts
from benchmarks.images import Images, made
from benchmarks.proof import proof
from benchmarks.soak import performing
from benchmarks.soak.holding import Sample, last_half, sample, slope
from benchmarks.soak.page import SoakResults, publish
from benchmarks.soak.performing import SoakSettings, run_soak
from tests.benchmarks.made_up import limit
from tests.benchmarks.made_up import results as made_up


def held(minutes: float, mib: float = 100, *, processes: int = 3, files: int = 50, threads: int = 8) -> Sample:
    return Sample(
        minutes=minutes, processes=processes, service_mib=40, workers_mib=mib - 40, files=files, threads=threads
    )


def soak(*samples: Sample, **of: object) -> SoakResults:
    like = made_up()
    results = SoakResults(
        command="python -m benchmarks soak",
        machine=like.machine,
        commit=like.commit,
        model=like.model,
        limit=100,
        accounts=Accounts(answered=1000),
        samples=list(samples),
        whole=True,
    )
    return results.model_copy(update=of)


FLAT = [held(each / 10, 100 + each % 3) for each in range(100)]


def test_a_slope_is_that_of_most_samples() -> None:
    growing = [held(each / 10, 100 + 2 * each / 10) for each in range(1000)]
    assert slope(growing, lambda each: each.mib) == pytest.approx(2)
    peak = [*growing[:500], held(50, 900), *growing[501:]]
    assert slope(peak, lambda each: each.mib) == pytest.approx(2, abs=0.1)
    assert abs(slope(FLAT, lambda each: each.mib)) < 0.2
    assert math.isnan(slope([], lambda each: each.mib))


def test_the_last_half_leaves_out_times_in_which_a_worker_was_missing() -> None:
    samples = [*FLAT, held(9.95, 60, processes=2)]
    later = last_half(samples)
    assert len(later) == 50
    assert {each.processes for each in later} == {3}
    assert last_half([]) == []


def test_a_process_is_looked_at() -> None:
    found = sample(1.5, os.getpid(), [os.getppid(), 2**22 + 1])
    assert found.processes == 3
    assert found.service_mib > 10
    assert found.files > 3
    assert found.threads > 1


@pytest.mark.parametrize(
    ("results", "met", "missed"),
    [
        (soak(*FLAT), 3, 0),
        (soak(*(held(each / 10, 100 + each / 5) for each in range(100))), 2, 1),
        (soak(*(held(each / 10, files=50 + each) for each in range(100))), 2, 1),
        (soak(*(held(each / 10, threads=8 + each) for each in range(100))), 2, 1),
        (soak(*FLAT, accounts=Accounts(answered=9, lost={"500": 1})), 2, 1),
        (soak(*FLAT, beside=Accounts(lost={"500": 1})), 2, 1),
        (soak(*FLAT, missed=["the process has ended"]), 2, 1),
        (soak(), 1, 1),
    ],
)
def test_what_was_reached_is_said(results: SoakResults, met: int, missed: int, tmp_path: Path) -> None:
    page = publish(results, tmp_path)
    text = page.read_text("utf-8")
    assert (text.count("| met |"), text.count("| **not met** |")) == (met, missed)
    assert page.with_suffix(".png").is_file() == bool(results.samples)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few images, and a limit that every machine reaches."""
    monkeypatch.setattr(performing, "galaxies", lambda *_: Images(tuple(made(seed) for seed in range(4)), "made up"))
    monkeypatch.setattr(performing, "measure_limit", lambda *_: limit(10).limit)


@pytest.mark.usefixtures("little")
def test_a_soak_in_little(tmp_path: Path) -> None:
    page = run_soak(SoakSettings(minutes=0.1, output=tmp_path), "bench", lambda _: None)
    text = page.read_text("utf-8")
    assert "not to be published" in text
    results = SoakResults.model_validate_json(page.with_suffix(".json").read_bytes())
    assert results.missed == []
    assert results.accounts.lost == results.beside.lost == {}
    assert results.accounts.answered > 5
    assert results.beside.answered > 0
    assert {"uploads broken off", "batches of bad URLs", "silent connections"} <= results.happened.keys()
    assert {each.processes for each in results.samples} > {0} or len(results.samples) > 1


@pytest.mark.usefixtures("little")
def test_without_a_limit_there_is_no_soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        msg = "no cores left"
        raise LimitError(msg)

    monkeypatch.setattr(performing, "measure_limit", fail)
    said: list[str] = []
    page = run_soak(SoakSettings(output=tmp_path), "bench", said.append)
    assert said == ["stopped: no cores left"]
    assert "no cores left" in page.read_text("utf-8")


def test_the_docs_show_figures_where_there_are_some(tmp_path: Path) -> None:
    assert proof(tmp_path).count("Not measured yet") == 3
    publish(soak(*FLAT), tmp_path)
    text = proof(tmp_path)
    assert text.count("Not measured yet") == 2
    assert "By `python -m benchmarks soak`" in text
    assert "results/soak/some-cpu-r-2-cores.md" in text
