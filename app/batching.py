"""Many requests -> one batch. One owner runs the network; whenever it is free it takes at once what is waiting.

Nobody waits for a batch to fill: alone, an image is scored at once; under load, batches grow by themselves to what
came in during the last run. An entry whose waiter has gone, or has run out of time, is dropped before it costs a run.
The views of one image are one entry, and always in one run. If a run's answers are of no use, its entries are run again
one by one, so that who sent the image to blame is the only one to lose by it.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from app.errors import InternalError
from app.ports import UnusableScoresError
from galaxytree.predictions import Prediction, Predictions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """What one image got, and what it took.

    Attributes
    ----------
    prediction
        Averaged over the image's views.
    queue_seconds, infer_seconds
        How long the image waited for its run, and how long the run took.
    """

    prediction: Prediction
    queue_seconds: float
    infer_seconds: float


@dataclass(frozen=True)
class _Entry:
    # The views of one image.
    pixels: NDArray[np.uint8]
    future: asyncio.Future[Scored]
    since: float = field(default_factory=perf_counter)
    # Of the request, whose id a line of the log is to carry.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class Batcher:
    """Owns the network's thread and the images that wait for it. It belongs to the event loop's thread.

    Parameters
    ----------
    predict : callable
        Scores uint8 [N, size, size, 3], one finite row a view, or raises; called in one thread, never twice at a time.
    max_batch : int
        Views in one run, at most.
    """

    def __init__(self, predict: Callable[[NDArray[np.uint8]], Predictions], max_batch: int) -> None:
        self._predict = predict
        self._max_batch = max_batch
        self._waiting: deque[_Entry] = deque()
        self._thread = ThreadPoolExecutor(1, "inference")
        self._runner: asyncio.Task[None] | None = None

    async def score(self, pixels: NDArray[np.uint8]) -> Scored:
        """Score one image; cancelling this drops it from the queue.

        Parameters
        ----------
        pixels : array of uint8, shape [views, size, size, 3]

        Raises
        ------
        ValueError
            If these are more views than there may be in a run, so that they would wait for ever.
        InternalError
            If the run failed that the image was part of.
        """
        if len(pixels) > self._max_batch:
            msg = f"{len(pixels)} views don't fit into a run of {self._max_batch}"
            raise ValueError(msg)
        entry = _Entry(pixels, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await entry.future

    def close(self) -> None:
        """Stop the thread once its run is over; what waits is not scored."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        while batch := self._take():
            started = perf_counter()
            try:
                outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, batch)
            except Exception as error:  # noqa: BLE001 (whatever a run fails with, it fails its own entries and no others)
                _fail(batch, error)
                continue
            took = perf_counter() - started
            for entry, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, UnusableScoresError):
                    _fail([entry], outcome)
                elif not entry.future.done():
                    entry.future.set_result(Scored(outcome, started - entry.since, took))

    def _score(self, batch: list[_Entry]) -> list[Prediction | UnusableScoresError]:
        try:
            predictions = self._predict(np.concatenate([entry.pixels for entry in batch]))
        except UnusableScoresError as error:
            if len(batch) == 1:
                return [error]
            # Nobody waits any more for some of them.
            return [error if entry.future.done() else self._score([entry])[0] for entry in batch]
        ends = list(accumulate((len(entry.pixels) for entry in batch), initial=0))
        return [predictions.over_views(slice(*edges)) for edges in pairwise(ends)]

    def _take(self) -> list[_Entry]:
        batch: list[_Entry] = []
        room = self._max_batch
        while self._waiting:
            entry = self._waiting[0]
            if not entry.future.done():
                if len(entry.pixels) > room:
                    # Nobody overtakes: with few views one would always fit, and those with many would wait for ever.
                    break
                room -= len(entry.pixels)
                batch.append(entry)
            self._waiting.popleft()
        return batch


def _fail(batch: list[_Entry], error: Exception) -> None:
    """Fail every entry of a run, each with a line of its own in the log, under the id of its request."""
    traceback: Exception | None = error
    for entry in batch:
        entry.context.run(
            _log.error, "a run of %d images failed: %s: %s", len(batch), type(error).__name__, error, exc_info=traceback
        )
        # One is enough for all of them.
        traceback = None
        if not entry.future.done():
            entry.future.set_exception(InternalError())
