"""The counts of fuzzers: of all processes, and honest."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import fuzzing
from benchmarks.failures import NotMeasuredError
from benchmarks.fuzzing import SCHEMATHESIS, FuzzResults, FuzzSettings, run_fuzz


def fuzzed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *counts: dict[str, int], status: int = 0
) -> tuple[Path, FuzzResults]:
    """Run, with tests that count as they are told to."""

    def tests(_: object, env: dict[str, str], **_others: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        assert env["FUZZ_INPUTS"] == "28572"
        for number, each in enumerate(counts):
            Path(env["FUZZ_COUNTS"], f"{number}.json").write_text(json.dumps(each), "utf-8")
        return subprocess.CompletedProcess([], status, "much\n1 failed\n" if status else "13 passed\n")

    monkeypatch.setattr(fuzzing, "subprocess", SimpleNamespace(run=tests, PIPE=None, STDOUT=None))
    monkeypatch.setattr(fuzzing, "RESULTS", folder / "whole")
    monkeypatch.setattr(fuzzing, "PARTIAL_RESULTS", folder / "part")
    page = run_fuzz(FuzzSettings(), "bench", lambda _: None)
    return page, FuzzResults.model_validate_json(page.with_suffix(".json").read_bytes())


def test_what_all_processes_tried_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = ({"JPEGs": 150_000, SCHEMATHESIS: 2_000}, {"JPEGs": 30_000, "lines": 30_000, SCHEMATHESIS: 3_500})
    page, results = fuzzed(tmp_path, monkeypatch, *counts)
    assert (results.cases, results.inputs, results.passed) == (5_500, 210_000, True)
    text = page.read_text("utf-8")
    assert text.count("| met |") == 2
    assert "| JPEGs | 180,000 |" in text
    assert page.is_relative_to(tmp_path / "whole")


def test_fewer_than_asked_for_are_not_met_and_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, _ = fuzzed(tmp_path, monkeypatch, {"JPEGs": 199_999, SCHEMATHESIS: 5_000})
    assert page.read_text("utf-8").count("| **not met** |") == 1
    assert page.is_relative_to(tmp_path / "part")


def test_what_was_found_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = fuzzed(tmp_path, monkeypatch, {"JPEGs": 200_000, SCHEMATHESIS: 5_000}, status=1)
    assert not results.passed
    assert page.read_text("utf-8").count("| **1 failed** | **not met** |") == 2


def test_fuzzing_needs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NotMeasuredError, match=r"\[dev\]"):
        run_fuzz(FuzzSettings(), "bench", lambda _: None)
