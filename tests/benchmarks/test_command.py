"""The command line: whatever becomes of a run, what it has measured is written."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command_line
from benchmarks import rounds
from benchmarks.__main__ import main
from benchmarks.images import Images
from benchmarks.results import Results
from tests.benchmarks.made_up import limit, row


def test_a_machine_without_wrk_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    done = CliRunner().invoke(main, ["run", "limit"])
    assert done.exit_code == 2
    assert "apt install wrk" in done.output


def test_the_command_line_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "benchmarks", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "open-loop" in done.stdout
    assert "--quick" in done.stdout


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where the results of runs go that send no real galaxies, and need no wrk."""
    monkeypatch.setattr(command_line, "require_wrk", lambda: "wrk")
    monkeypatch.setattr(command_line, "galaxies", lambda _: Images((b"image",), "none"))
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "whole")
    monkeypatch.setattr(command_line, "PARTIAL_RESULTS", tmp_path / "part")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "complete", "folder", "status"),
    [
        (None, True, "whole", 0),
        (None, False, "part", 0),
        (KeyboardInterrupt, True, "part", 0),
        (ZeroDivisionError, True, "part", 1),
    ],
)
def test_what_was_measured_is_written_however_the_run_ends(
    error: type[BaseException] | None,
    complete: bool,  # noqa: FBT001
    folder: str,
    status: int,
    quick: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(_asked: object, _settings: object, _images: object, found: Results) -> None:
        found.rows.append(row(50))
        found.complete = complete
        if error is not None:
            raise error

    monkeypatch.setattr(command_line, "_measure", measure)
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == status, done.output
    (file,) = quick.glob("*/*.json")
    assert file.parent.name == folder
    written = Results.model_validate_json(file.read_bytes())
    assert written.rows == [row(50)]
    assert written.whole is (folder == "whole")
    assert ("not to be published" in file.with_suffix(".md").read_text("utf-8")) is not written.whole


def test_a_run_measures_what_it_is_asked_for(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "measure_limit", lambda *_: limit(80).limit)
    monkeypatch.setattr(rounds, "_BUSY_SECONDS", 0.0)
    done = CliRunner().invoke(main, ["run", "limit", "--precision", "fp32", "--quick"])
    assert done.exit_code == 0, done.output
    (file,) = quick.glob("part/*.json")
    written = Results.model_validate_json(file.read_bytes())
    assert [each.limit.images_per_second for each in written.limits] == [80]
    assert not written.whole
