"""Models that are exchanged while requests come in: good ones, and files that are none."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.faults.stage import CHANGE_SECONDS, NotThereError, Stage
from benchmarks.scoring import MODEL_FOLDER
from benchmarks.systems import System
from galaxytree.card import CARD_FILE, MODEL_FILE, ModelCard, sha256_of

TIMES = 20
_FOLDER = "GALAXYTREE_MODEL"
_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.1


@contextmanager
def own_model(system: System) -> Iterator[System]:
    """Give the service a copy of the shipped network, in float32, that can be exchanged."""
    with tempfile.TemporaryDirectory(prefix="reloaded") as place:
        folder = Path(place)
        shutil.copy(MODEL_FOLDER / MODEL_FILE, folder)
        ModelCard.read(MODEL_FOLDER).model_copy(update={"int8": None}).write(folder)
        command, variables = (*system.command, "--precision", "fp32"), {**system.variables, _FOLDER: place}
        yield replace(system, precision="fp32", command=command, variables=variables)


def release(folder: Path, number: int) -> str:
    """Put another release of the shipped network into a folder: the same but for its version, which is returned."""
    card = ModelCard.read(MODEL_FOLDER)
    version = f"{number:0{len(card.version)}d}"
    data = (MODEL_FOLDER / MODEL_FILE).read_bytes()
    old, new = (_metadata("version", each) for each in (card.version, version))
    if data.count(old) != 1:
        msg = f"the version of {MODEL_FILE} is not found in its metadata"
        raise NotThereError(msg)
    _put(folder / MODEL_FILE, data.replace(old, new))
    update = {"version": version, "sha256": sha256_of(folder / MODEL_FILE), "int8": None}
    card.model_copy(update=update).write(folder)
    return version


def _metadata(name: str, value: str) -> bytes:
    """Return an entry of ONNX's metadata_props, as protobuf writes it."""
    return b"\n%c%b\x12%c%b" % (len(name), name.encode(), len(value), value.encode())


def _put(file: Path, data: bytes) -> None:
    """Exchange a file whole, as a release does: nobody sees a part of it."""
    beside = file.with_suffix(".new")
    beside.write_bytes(data)
    os.replace(beside, file)  # noqa: PTH105  (by its usual name)


def _cut(folder: Path) -> None:
    _put(folder / MODEL_FILE, (MODEL_FOLDER / MODEL_FILE).read_bytes()[:100_000])


def _another(folder: Path) -> None:
    _put(folder / MODEL_FILE, (MODEL_FOLDER / MODEL_FILE).read_bytes() + b"\0")


def _missing(folder: Path) -> None:
    (folder / MODEL_FILE).unlink(missing_ok=True)


def _no_card(folder: Path) -> None:
    _put(folder / CARD_FILE, b'{"name": "half a card')


BAD: tuple[Callable[[Path], None], ...] = (_cut, _another, _missing, _no_card)
"""A file that is cut off, one that the card is not of, none at all, and a card that is cut off."""


async def good(stage: Stage) -> None:
    """Exchange the model for a good one, again and again."""
    _hold_reloads(stage)
    folder = _folder_of(stage)
    for number in range(stage.times(TIMES)):
        version = release(folder, number + 1)
        stage.signal(signal.SIGHUP)
        if not await _comes(stage, version):
            return
        stage.happened["good models"] = number + 1
        await stage.calm(_PAUSE_SECONDS)
    stage.happened["versions that answered"] = len(stage.asks.versions)


async def bad(stage: Stage) -> None:
    """Exchange the model for something that is none, again and again; the service is to go on, and to say why."""
    _hold_reloads(stage)
    folder, log = _folder_of(stage), stage.server.process.log
    before = await _version(stage)
    for number in range(stage.times(TIMES)):
        release(folder, number + 1)
        BAD[number % len(BAD)](folder)
        said = log.stat().st_size
        stage.signal(signal.SIGHUP)
        if not await stage.until(partial(_longer, log, said), "words on a bad model"):
            return
        stage.happened["bad models"] = number + 1
        await stage.calm(_PAUSE_SECONDS)
        if (now := await _version(stage)) != before:
            stage.missed.append(f"version {now} after a bad model, not {before}")
    stage.happened["versions that answered"] = len(stage.asks.versions)
    # And a good one is taken after all.
    version = release(folder, TIMES + 1)
    stage.signal(signal.SIGHUP)
    await _comes(stage, version)


async def _comes(stage: Stage, version: str) -> bool:
    """Wait until a version is served."""
    ends = perf_counter() + CHANGE_SECONDS
    while (found := await _version(stage)) != version:
        if perf_counter() > ends:
            stage.missed.append(f"version {version} never came; {found} is served")
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def _longer(log: Path, size: int) -> bool:
    return log.stat().st_size > size


def _hold_reloads(stage: Stage) -> None:
    if not stage.hears(signal.SIGHUP):
        msg = "this service doesn't reload its model on SIGHUP"
        raise NotThereError(msg)


def _folder_of(stage: Stage) -> Path:
    return Path(stage.server.system.variables[_FOLDER])


async def _version(stage: Stage) -> str | None:
    status, body, _ = await stage.get("/model")
    return str(orjson.loads(body)["version"]) if status == HTTPStatus.OK else None
