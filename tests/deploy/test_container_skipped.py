"""`make container-test` where it can't be done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.container import __main__ as module

ROOT = Path(__file__).parents[2]


def test_where_tools_lack_it_says_which_and_is_skipped(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.container"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("container-test: skipped, it needs ")


def test_only_root_can_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    assert str(module.lacking()).startswith("needs root")


def test_where_there_is_everything_nothing_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(module.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    assert module.lacking() is None
