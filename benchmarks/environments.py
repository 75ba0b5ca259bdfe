"""An environment of its own for each peer, as its ``requirements.txt`` pins it."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.failures import NotMeasuredError

PEERS_FOLDER = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".environments"
PEERS = ("fastapi", "litserve", "mosec", "ray_serve", "bentoml")
_DISTRIBUTIONS = {"ray_serve": "ray"}
_STAMP = "installed"
_PATIENCE_SECONDS = 900


class NotInstalledError(NotMeasuredError):
    """An environment could not be made; the message says why, in pip's own words."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, whether it is there or not."""
    return ENVIRONMENTS / peer / "bin" / "python"


def version_of(peer: str) -> str:
    """Return the release that a peer's environment is pinned to."""
    pinned = re.escape(_DISTRIBUTIONS.get(peer, peer))
    found = re.search(
        rf"^{pinned}(\[.*\])?==(\S+)", (PEERS_FOLDER / peer / "requirements.txt").read_text("utf-8"), re.MULTILINE
    )
    return found[2] if found else "unknown"


def install(peer: str, device: str = "cpu") -> None:
    """Make a peer's environment, unless it is there and as pinned.

    Parameters
    ----------
    peer : str
        One of `PEERS`.
    device : str
        With ``cuda`` the libraries of CUDA and cuDNN come along.

    Raises
    ------
    NotInstalledError
        If pip does not manage to.
    """
    requirements = PEERS_FOLDER / peer / "requirements.txt"
    extras = ["onnxruntime-gpu[cuda,cudnn]"] if device == "cuda" else []
    stamp = ENVIRONMENTS / peer / _STAMP
    wanted = hashlib.sha256(requirements.read_bytes() + repr((sys.version, extras)).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return
    _run(peer, [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENTS / peer)])
    _run(peer, [str(python_of(peer)), *_pip(), "--requirement", str(requirements)])
    if extras:
        _run(peer, [str(python_of(peer)), *_pip(), "--constraint", str(requirements), *extras])
    stamp.write_text(wanted, "utf-8")


def _pip() -> list[str]:
    return ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]


def _run(peer: str, command: list[str]) -> None:
    # A constraint meant for this project's own environment is none for a peer's.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{peer} was not installed within {_PATIENCE_SECONDS} s"
        raise NotInstalledError(msg) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        msg = f"{peer} does not install: {' '.join(lines[-2:]) or 'pip does not say why'}"
        raise NotInstalledError(msg)
