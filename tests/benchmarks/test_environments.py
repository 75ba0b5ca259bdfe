"""Peers have environments of their own, with the same releases of what does the work."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.environments import PEERS, PEERS_FOLDER, NotInstalledError, install, version_of
from benchmarks.scoring import ROOT


def test_a_peer_that_does_not_install_is_named_with_pip_s_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: old\nERROR: No matching distribution for mosec==0")

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(NotInstalledError, match="mosec does not install: ERROR: No matching distribution"):
        install("mosec")


def test_an_environment_is_made_once_for_each_set_of_pins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def succeed(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (tmp_path / "mosec").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", succeed)
    install("mosec")
    before = len(commands)
    install("mosec")
    assert len(commands) == before > 0
    install("mosec", "cuda")
    assert "onnxruntime-gpu[cuda,cudnn]" in commands[-1]


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_decodes_and_scores_with_the_releases_that_the_service_has(peer: str) -> None:
    pinned = (PEERS_FOLDER / peer / "requirements.txt").read_text("utf-8").splitlines()
    constraints = {line.partition(" ;")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
    for name in ("onnxruntime-gpu", "numpy", "pillow", "simplejpeg"):
        (pin,) = [line for line in pinned if line.startswith(f"{name}==")]
        assert pin in constraints


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_s_release_is_known(peer: str) -> None:
    assert re.fullmatch(r"\d+(\.\d+)+", version_of(peer))
