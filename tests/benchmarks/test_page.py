"""The page that is measured: what came of it is told as it is, and a real run gets to its end."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.browser.page import PageResults, publish
from tests.benchmarks.made_up import results as made_up

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None and shutil.which("chromium-browser") is None,
    reason="needs Chromium (on Debian: apt install chromium)",
)


def results(**changed: object) -> PageResults:
    of_loads = made_up()
    return PageResults.model_validate(
        {
            **of_loads.model_dump(include={"command", "finished", "machine", "commit", "model", "images"}),
            "browser": "1.2.3",
            "busy": 0.04,
            "paints": [200.0, 300.0, 900.0],
            "first": [150.0, 250.0, 299.0],
            "others": [100.0, 120.0, 301.0],
            "whole": True,
            **changed,
        }
    )


def test_the_slowest_decides(tmp_path: Path) -> None:
    told = publish(results(), tmp_path).read_text("utf-8")
    paint, first, others = [line for line in told.splitlines() if "under 1 s" in line or "within 300 ms" in line]
    assert paint.endswith("| 3 | 300 ms | 900 ms | met |")
    assert first.endswith("| 3 | 250 ms | 299 ms | met |")
    assert others.endswith("| 3 | 120 ms | 301 ms | **not met** |")
    assert "not to be published" not in told


def test_a_shortened_run_says_so(tmp_path: Path) -> None:
    assert "not to be published" in publish(results(whole=False), tmp_path).read_text("utf-8")


def test_the_table_is_written_anew_from_the_figures(tmp_path: Path) -> None:
    table = publish(results(), tmp_path)
    told = table.read_text("utf-8")
    table.unlink()
    done = CliRunner().invoke(main, ["table", str(table.with_suffix(".json"))])
    assert done.exit_code == 0, done.output
    assert table.read_text("utf-8") == told


@needs_chromium
def test_a_run(tmp_path: Path) -> None:
    words = ["page", "--rounds", "1", "--drops", "2", "--data", str(tmp_path), "--output", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    (figures,) = tmp_path.glob("page/*.json")
    measured = PageResults.model_validate_json(figures.read_bytes())
    assert not measured.whole
    for times in (measured.paints, measured.first, measured.others):
        assert len(times) == 1
        assert 0 < times[0] < 60_000


def test_without_a_browser_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(main, ["page", "--data", str(tmp_path), "--output", str(tmp_path)])
    assert done.exit_code == 2
    assert "there is no Chromium" in done.output
