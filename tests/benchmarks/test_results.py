"""Figures are gathered over rounds, and pages are written of them alone."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.percentiles import Percentiles
from benchmarks.provenance import commit, model
from benchmarks.results import find
from benchmarks.table import write_table
from tests.benchmarks.made_up import a_crowd, limit, results, row, tail, whole_scenarios


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was twice as fast in the second round, for all alike.
    found = results(row(90), row(180, in_round=2), limits=(limit(100), limit(200, in_round=2)))
    (series,) = found.series()
    assert series.ratio == pytest.approx(0.9)
    assert series.median == 135
    other = results(row(60, "mosec"), row(120, "mosec", in_round=2)).series()[0]
    assert series.over(other) == pytest.approx(1.5)


def test_a_peer_counts_at_its_best() -> None:
    series = results(row(50, "mosec", "each"), row(70, "mosec", "batches"), row(60, "service")).series()
    found = find(series, "fp32", 32, "mosec")
    assert found is not None
    assert found.variant == "batches"
    assert find(series, "int8", 32, "mosec") is None


def test_one_lucky_round_makes_no_best() -> None:
    often = [row(50, "mosec", "often", in_round=each) for each in (1, 2)]
    found = find(results(*often, row(70, "mosec", "once")).series(), "fp32", 32, "mosec")
    assert found is not None
    assert found.variant == "often"


def test_a_way_that_failed_in_one_round_still_counts() -> None:
    every = [row(50, "mosec", "b4", in_round=each) for each in (1, 2, 3)]
    twice = [row(70, "mosec", "each", in_round=each) for each in (1, 2)]
    found = find(results(*every, *twice).series(), "fp32", 32, "mosec")
    assert found is not None
    assert found.variant == "each"


def test_the_table_has_every_system_and_what_was_skipped() -> None:
    of = results(row(50), row(60, "mosec", "each"), limits=(limit(100),), scenarios=(whole_scenarios(limit=110),))
    of.limits[0].busy = 0.5
    of.tails = [tail(3.5)]
    of.skipped["litserve"] = "does not install: no matching distribution"
    table = write_table(of, "plot.png")
    for part in (
        "| **service** | 50 (one round) | 0.500 |",
        "| mosec (each) | 60",
        "100 (threads)",
        "**Limit** just before: 110 images a second; in the rounds: 100",
        "plot.png",
        "- litserve: does not install",
        "2,000 connections",
        "used 0% of the processor just before each system was started (median; at most 50%)",
        "commit 0123456789ab; tiny 1, fp32 sha256 abab",
        "mosec 0.9",
        "p99 3.5 ms; 9 x 200",
        "**Memory** after",
        "5 x 422",
    ):
        assert part in table
    assert "not to be published" not in table
    of.whole = False
    assert "not to be published" in write_table(of)


def test_the_table_is_written_anew_from_the_figures_alone(tmp_path: Path) -> None:
    nothing = Percentiles.of([])
    of = results(row(50), limits=(limit(100),), scenarios=(
        whole_scenarios(patient_crowd=a_crowd().model_copy(update={"accepted": nothing})),
    ))  # fmt: skip
    file = tmp_path / f"{of.machine.name}.json"
    file.write_text(of.model_dump_json(), "utf-8")
    done = CliRunner().invoke(main, ["table", str(file)])
    assert done.exit_code == 0, done.output
    assert file.name == "some-cpu-r-2-cores.json"
    assert file.with_suffix(".md").read_text("utf-8") == write_table(of, file.with_suffix(".png").name)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_model_and_the_commit_are_known() -> None:
    known = model()
    assert known.version
    assert known.rmse_rise is not None
    assert set(known.sha256) == {"fp32", "int8"}
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", commit())


def test_a_checkout_without_git_is_of_an_unknown_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit() == "unknown"
