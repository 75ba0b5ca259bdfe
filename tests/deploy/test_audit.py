"""What `make audit` says of weaknesses where they can be asked for, and where they can't: a fake pip-audit answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy import audit

CLEAN = {"name": "one", "version": "1", "vulns": []}
WEAK = {"name": "two", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
UNKNOWN = {"name": "three", "skip_reason": "Dependency not found on PyPI"}
OWN = {"name": "galaxytree", "skip_reason": "Dependency not found on PyPI"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the audit, all but its pip-audit being as it should be; return its exit status and what it printed."""

    def install(environment: Path, _extra: str) -> None:
        (environment / "lib" / "python3" / "site-packages").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "FOLDER", tmp_path / "audit")
    monkeypatch.setattr(audit, "install", install)
    monkeypatch.setattr(audit, "write_materials", lambda *_: 3)
    # Programs are looked for beside the interpreter.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    def run(words: str, *, out: str = "", err: str = "", status: int = 0) -> tuple[int, str, str]:
        for name, text in (("out", out), ("err", err)):
            (tmp_path / name).write_text(text)
        program = tmp_path / "pip-audit"
        program.write_text(f'#!/bin/sh\ncat "{tmp_path}/out"\ncat "{tmp_path}/err" >&2\nexit {status}\n')
        program.chmod(0o755)
        ended = audit.main(words.split())
        printed = capsys.readouterr()
        return ended, printed.out, printed.err

    return run


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": [OWN, *packages], "fixes": []})


NO_WAY = "ERROR:pip_audit._service.pypi: Failed to resolve 'pypi.org'"
COULD_NOT_ASK = {
    "no way": ({"err": f"Traceback\n{NO_WAY}\n", "status": 1}, f"could not ask its advisory service: {NO_WAY}"),
    "not a word": ({"status": 2}, "could not ask its advisory service: nothing said"),
    "a page of a proxy": ({"out": "<html>log in</html>"}, "could not ask its advisory service: nothing said"),
    "a mirror": ({"out": answer(UNKNOWN, UNKNOWN)}, "knows none of 2 packages"),
}


@pytest.mark.parametrize(("said", "why"), COULD_NOT_ASK.values(), ids=COULD_NOT_ASK)
def test_what_could_not_be_asked_is_the_last_that_is_said_and_fails_where_it_is_to(
    run: Run, said: dict[str, Any], why: str
) -> None:
    for words, status in (("", 0), ("--strict", 1)):
        ended, out, err = run(words, **said)
        (last,) = err.splitlines()
        assert last.startswith("weaknesses: skipped, ")
        assert last.endswith(why)
        assert "weaknesses: 0" not in out
        assert ended == status


def test_one_that_is_not_known_is_named_and_fails_where_it_is_to(run: Run) -> None:
    for words, status in (("", 0), ("--strict", 1)):
        ended, out, err = run(words, out=answer(CLEAN, UNKNOWN))
        assert "weaknesses: 0 in 1 packages\n" in out
        assert err == "weaknesses: skipped for what is not known: three\n"
        assert ended == status


@pytest.mark.parametrize("words", ["", "--strict"])
def test_where_all_could_be_asked_only_weaknesses_fail(run: Run, words: str) -> None:
    ended, out, err = run(words, out=answer(CLEAN))
    assert (ended, err) == (0, "")
    assert "weaknesses: 0 in 1 packages\n" in out
    ended, out, err = run(words, out=answer(CLEAN, WEAK), err="Found 1 known vulnerability\n", status=1)
    assert (ended, err) == (1, "")
    assert "weaknesses: 1 in 2 packages\n" in out
    assert "two 1: PYSEC-1, mended in 2\n" in out
