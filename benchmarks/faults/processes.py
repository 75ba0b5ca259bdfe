"""Faults of processes: the end that is asked for, and workers that are killed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from time import perf_counter

from benchmarks.faults.stage import Stage
from benchmarks.systems import System

DRAIN_SECONDS = 2
_END_SECONDS = 60.0
_KILLS, _MASSACRES = 10, 3
_SETTLE_SECONDS = 3.0


@contextmanager
def draining(system: System) -> Iterator[System]:
    """Have the service drain for a while, as it does unless told otherwise."""
    yield replace(system, command=(*system.command, "--drain-seconds", str(DRAIN_SECONDS)))


async def end(stage: Stage) -> None:
    """Send SIGTERM, and wait for the end while requests go on coming."""
    stage.signal(signal.SIGTERM)
    popen = stage.server.process.popen
    await stage.until(lambda: popen.poll() is not None, "the end", _END_SECONDS)
    stage.happened["SIGTERM"] = 1
    if popen.poll() != 0:
        stage.missed.append(f"exit status {popen.poll()}")
    else:
        stage.happened["exit status 0"] = 1


async def kill_workers(stage: Stage) -> None:
    """Kill one worker after another, each time when all are there again; then all at once, some times.

    What a worker had when it died is answered by another one, once: an image that two died of is taken for the cause.
    So each time it is waited for that nothing is under way any more that the last one may have had.
    """
    everyone = stage.children()
    if not everyone:
        stage.missed.append("there are no workers that are processes")
        return
    for number in range(stage.times(_KILLS) + stage.times(_MASSACRES)):
        present = stage.children()
        alone = number < stage.times(_KILLS)
        victims = [present[number % len(present)]] if alone else present
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed = perf_counter()
        name = "single workers killed" if alone else "times that all were killed at once"
        stage.happened[name] = int(stage.happened.get(name, 0)) + 1
        again = partial(_all_there, stage, victims, len(everyone))
        if not await stage.until(again, "a worker in the place of one that was killed"):
            return
        # A worker that has a process has no network yet.
        await asyncio.sleep(_SETTLE_SECONDS)
        await stage.until(partial(stage.load.answered_since, killed), "what a worker had")


def _all_there(stage: Stage, gone: list[int], number: int) -> bool:
    """Whether as many workers are there as before, none of them among those that were killed."""
    present = stage.children()
    return len(present) == number and not set(gone) & set(present)
