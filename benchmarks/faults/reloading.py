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
from galaxytree.card import CARD_FILE, INT8_FILE, MODEL_FILE, ModelCard, sha256_of

TIMES = 20
_FOLDER, _LINK = "GALAXYTREE_MODEL", "current"
_KEPT = 3
_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.1


@contextmanager
def own_model(system: System) -> Iterator[System]:
    """Give the service a model of its own, by a link that can be led elsewhere: a copy of the shipped one."""
    with tempfile.TemporaryDirectory(prefix="reloaded") as place:
        lead(Path(place), release(Path(place), 0))
        yield replace(system, variables={**system.variables, _FOLDER: str(Path(place) / _LINK)})


def release(place: Path, number: int) -> str:
    """Put another release of the shipped model into a folder: the same but for its version, which is returned."""
    card = ModelCard.read(MODEL_FOLDER)
    version = f"{number:0{len(card.version)}d}"
    folder = place / version
    folder.mkdir()
    old, new = (_metadata("version", each) for each in (card.version, version))
    for name in (MODEL_FILE, INT8_FILE):
        if (MODEL_FOLDER / name).is_file():
            data = (MODEL_FOLDER / name).read_bytes()
            if data.count(old) != 1:
                msg = f"the version of {name} is not found in its metadata"
                raise NotThereError(msg)
            (folder / name).write_bytes(data.replace(old, new))
    int8 = card.int8 and card.int8.model_copy(update={"sha256": sha256_of(folder / INT8_FILE)})
    update = {"version": version, "sha256": sha256_of(folder / MODEL_FILE), "int8": int8}
    card.model_copy(update=update).write(folder)
    return version


def lead(place: Path, version: str) -> None:
    """Lead the link to a release in one step, and clear away those before the last three."""
    beside = place / "next"
    beside.symlink_to(version)
    beside.replace(place / _LINK)
    for old in sorted(each for each in place.iterdir() if each.name.isdecimal() and each.name != version)[:-_KEPT]:
        shutil.rmtree(old)


def _metadata(name: str, value: str) -> bytes:
    """Return an entry of ONNX's metadata_props, as protobuf writes it."""
    return b"\n%c%b\x12%c%b" % (len(name), name.encode(), len(value), value.encode())


def _cut(folder: Path) -> None:
    for name in (MODEL_FILE, INT8_FILE):
        os.truncate(folder / name, 100_000)


def _another(folder: Path) -> None:
    for name in (MODEL_FILE, INT8_FILE):
        with (folder / name).open("ab") as file:
            file.write(b"\0")


def _missing(folder: Path) -> None:
    for name in (MODEL_FILE, INT8_FILE):
        (folder / name).unlink()


def _no_card(folder: Path) -> None:
    (folder / CARD_FILE).write_bytes(b'{"name": "half a card')


BAD: tuple[Callable[[Path], None], ...] = (_cut, _another, _missing, _no_card)
"""Files that are cut off, files that the card is not of, none at all, and a card that is cut off."""


async def reload(stage: Stage, number: int, spoil: Callable[[Path], None] | None = None) -> str:
    """Put a release there, spoilt or not, and tell the service; return its version."""
    place = place_of(stage)
    version = await asyncio.to_thread(release, place, number)
    if spoil is not None:
        spoil(place / version)
    lead(place, version)
    stage.signal(signal.SIGHUP)
    return version


async def good(stage: Stage) -> None:
    """Exchange the model for a good one, again and again."""
    _hold_reloads(stage)
    for number in range(1, stage.times(TIMES) + 1):
        if not await _comes(stage, await reload(stage, number)):
            return
        stage.happened["good models"] = number
        await stage.calm(_PAUSE_SECONDS)
    stage.happened["versions that answered"] = len(stage.asks.versions)


async def bad(stage: Stage) -> None:
    """Exchange the model for something that is none, again and again; the service is to go on, and to say why."""
    _hold_reloads(stage)
    log, before, number = stage.server.process.log, await _version(stage), 0
    for number in range(1, stage.times(TIMES) + 1):
        said = log.stat().st_size
        await reload(stage, number, BAD[number % len(BAD)])
        if not await stage.until(partial(_longer, log, said), "words on a bad model"):
            return
        stage.happened["bad models"] = number
        await stage.calm(_PAUSE_SECONDS)
        if (now := await _version(stage)) != before:
            stage.missed.append(f"version {now} after a bad model, not {before}")
    stage.happened["versions that answered"] = len(stage.asks.versions)
    # And a good one is taken after all.
    await _comes(stage, await reload(stage, number + 1))


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


def place_of(stage: Stage) -> Path:
    """Return where the releases are."""
    return Path(stage.server.system.variables[_FOLDER]).parent


async def _version(stage: Stage) -> str | None:
    status, body, _ = await stage.get("/model")
    return str(orjson.loads(body)["version"]) if status == HTTPStatus.OK else None
