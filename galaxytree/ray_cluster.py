"""A Ray cluster: reached or started, quietly; what its nodes are set to, and what they say of their model."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from galaxytree.client_errors import EngineError, GalaxytreeError
from galaxytree.survey_engine import ModelFacts

CONNECT_SECONDS = 10.0
"""How long the cluster's address may take to take a connection."""

OWN = "local"
"""The address at which Ray starts a cluster of this machine; without any it would join one that others run here."""

_OWN = ("GALAXYTREE_SCORE_", "GALAXYTREE_SERVER", "GALAXYTREE_API_KEY")
"""Variables that are none of the nodes' business."""

_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0"}
"""What Ray is set to as it starts, if nobody sets it otherwise: nothing but what the survey says is to be read."""


def connect(address: str) -> None:
    """Connect to a cluster, or start one; EngineError if there is none at the address."""
    try:
        _check(address)
        with _undisturbed():
            own: dict[str, Any] = {"include_dashboard": False} if address == OWN else {}
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or (str(error) or repr(error)).splitlines()[0]
        msg = f"there is no Ray cluster at {address}: {why}"
        raise EngineError(msg) from error
    # Ray tells of nodes that die on standard output, which is the survey's. There is no other way to have it quiet,
    # nor to keep a survey that was stopped from connecting again by itself.
    ray._private.worker._worker_logs_enabled = False  # noqa: SLF001
    ray._private.auto_init_hook.enable_auto_connect = False  # noqa: SLF001


def _check(address: str) -> None:
    """Raise OSError or ValueError if nothing can be at an address: Ray itself tries for minutes, and says so."""
    if address in {"auto", OWN}:
        return
    host, _, port = address.rpartition(":")
    if "://" in host or not host or not port.isdecimal():
        msg = "an address is HOST:PORT, as `ray start --head` shows it; run the survey on a machine of the cluster"
        raise ValueError(msg)
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have Ray start quietly, and leave signals to those who handle them."""
    unset = [name for name in _QUIET if name not in os.environ]
    os.environ.update({name: _QUIET[name] for name in unset})
    before = signal.getsignal(signal.SIGTERM)
    # Ray says on standard error, past all of Python's, that it was set to say nothing.
    errors, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(errors, 2)
        os.close(errors)
        os.close(nowhere)
        for name in unset:
            del os.environ[name]
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def settings() -> dict[str, str]:
    """Return the settings of this process that decide what is fetched and scored: they are the nodes' too."""
    names = sorted(name for name in os.environ if name.startswith("GALAXYTREE_") and not name.startswith(_OWN))
    found = {name: os.environ[name] for name in names}
    model = found.get("GALAXYTREE_MODEL")
    if model and Path(model).exists():
        # The nodes' processes are in folders of their own.
        found["GALAXYTREE_MODEL"] = str(Path(model).resolve())
    return found


def kind_of(resources: Mapping[str, float]) -> str:
    """Return what the network runs on, one actor each: GPUs where there are any and they are wanted, or cores."""
    wanted = os.environ.get("GALAXYTREE_DEVICE", "").lower() != "cpu"
    return "GPU" if wanted and resources.get("GPU", 0) >= 1 else "CPU"


def same(told: Mapping[str, ModelFacts]) -> ModelFacts:
    """Return what all nodes say of their model; EngineError if they differ."""
    (name, facts), *others = told.items()
    for other, its in others:
        if its != facts:
            msg = (
                f"the nodes of the cluster have different models: {name} has {_in_words(facts)}, {other} has "
                f"{_in_words(its)}. Set GALAXYTREE_MODEL to a folder that is the same on all of them"
            )
            raise EngineError(msg)
    return facts


def _in_words(facts: ModelFacts) -> str:
    return f"{facts.name} {facts.version} (network {facts.network[:12]}, {facts.default_views} views)"


def name_of(node: Mapping[str, Any]) -> str:
    """Return what a node is called in messages."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"


def reason(error: BaseException) -> str:
    """Return why something failed on the cluster, in a line: what galaxytree says there, if it does."""
    last = error
    while (cause := getattr(last, "cause", None) or last.__cause__) is not None:
        last = cause
        if isinstance(last, GalaxytreeError):
            return str(last)
    lines = str(last).strip().splitlines() or [""]
    if isinstance(last, ImportError) or "failed to import" in str(last):
        return f"{lines[0]} (it needs pip install 'galaxytree[ray]')"
    return f"{type(last).__name__}: {lines[0]}"
