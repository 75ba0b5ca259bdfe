"""Entries -> frames: what becomes of each of some images that are decoded and scored together.

An image that can't be decoded fails alone. The views of one image are one entry, and always in one run. If a run's
answers are of no use, its entries are run again one by one, so that who sent the image to blame is the only one to lose
by it.
"""

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

import orjson

from app.engine import Engine
from app.errors import RequestError
from app.frames import Frame, Kind
from app.images import FramedImage
from app.jobs import Job
from app.ports import UnusableScoresError


@dataclass(eq=False)
class Entry:
    """One image on its way through a worker.

    Attributes
    ----------
    number
        The job's, for those who wait for it.
    job
    alone
        Whether nobody else needed the cores when it came.
    cancelled
        Whether nobody waits for it any more.
    image
        Once it is decoded.
    decode_seconds
        What that took.
    run_failed
        Whether its run failed, and not by what the network answered.
    """

    number: int
    job: Job
    alone: bool = False
    cancelled: bool = False
    image: FramedImage | None = None
    decode_seconds: float = 0.0
    run_failed: bool = False


def decode(engine: Engine, entries: Sequence[Entry]) -> list[Frame]:
    """Decode images; return what those are told whose image can't be."""
    told = []
    for entry in entries:
        started = perf_counter()
        try:
            entry.image = engine.read(entry.job)
        except RequestError as error:
            body = orjson.dumps({"code": error.code, "detail": error.detail})
            told.append(Frame(Kind.PROBLEM, entry.number, body=body))
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not end the worker)
            told += _failures([entry], error)
        entry.decode_seconds = perf_counter() - started
    return told


def score(engine: Engine, entries: Sequence[Entry], *, alone: bool = False) -> list[Frame]:
    """Run the network on entries that have been decoded; return what each is told. Cancelled ones are left out."""
    here: list[Entry] = []
    gone: list[Entry] = []
    for entry in entries:
        if entry.image is not None:
            # Looked at once: another thread may cancel it meanwhile.
            (gone if entry.cancelled else here).append(entry)
    if not here:
        return drop(gone)
    before = engine.without_memory
    first, *others = _run(engine, here, alone=alone)
    return [*drop(gone), first._replace(without_memory=engine.without_memory - before), *others]


def drop(entries: Iterable[Entry]) -> list[Frame]:
    """Let go of entries that were cancelled; return what is told of them."""
    return [Frame(Kind.DROPPED, entry.number) for entry in entries]


def _run(engine: Engine, entries: Sequence[Entry], *, alone: bool) -> list[Frame]:
    started = perf_counter()
    images = [entry.image for entry in entries if entry.image is not None]
    try:
        bodies = engine.answer([entry.job for entry in entries], images, alone=alone)
    except UnusableScoresError as error:
        if len(entries) == 1:
            return _failures(entries, error)
        return [frame for entry in entries for frame in _run_if_wanted(engine, entry)]
    except Exception as error:  # noqa: BLE001 (whatever a run fails with, it fails its own entries and no others)
        for entry in entries:
            entry.run_failed = True
        return _failures(entries, error)
    took = perf_counter() - started
    # Said once, so that runs can be counted, and not images.
    sizes = [sum(entry.job.views for entry in entries), *[0] * (len(entries) - 1)]
    return [
        Frame(
            Kind.ANSWER,
            entry.number,
            decode_seconds=entry.decode_seconds,
            infer_seconds=took,
            run_views=views,
            body=body,
        )
        for entry, views, body in zip(entries, sizes, bodies, strict=True)
    ]


def _run_if_wanted(engine: Engine, entry: Entry) -> list[Frame]:
    return drop([entry]) if entry.cancelled else _run(engine, [entry], alone=False)


def _failures(entries: Sequence[Entry], error: Exception) -> list[Frame]:
    """Tell every entry of a run that it failed, and the log why; the traceback once is enough for all of them."""
    line = f"a run of {len(entries)} images failed: {type(error).__name__}: {error}"
    whole = f"{line}\n{''.join(traceback.format_exception(error)).rstrip()}"
    return [
        Frame(Kind.FAILURE, entry.number, body=(line if place else whole).encode())
        for place, entry in enumerate(entries)
    ]
