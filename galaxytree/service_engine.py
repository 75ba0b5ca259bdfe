"""Scores the images of a survey through a service, or several."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from galaxytree.batch_calls import BatchCaller, UrlItem
from galaxytree.client_errors import GalaxytreeError
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, ModelFacts, Scored
from galaxytree.uploads import score_images

DEFAULT_CONCURRENCY = 4
"""So many chunks' worth of images are unanswered: enough for a service to have some at hand while others come."""

SAID_AFTER_SECONDS = 3.0
"""After so long it is said that no service has answered yet."""

STRAGGLING = 8
"""So many times as many chunks may be in flight: an image whose host stalls holds up its chunk, and not the survey."""


class ServiceEngine:
    """Has images scored by services, over HTTP.

    Parameters
    ----------
    caller : BatchCaller
        Who calls them; it is closed with the engine.
    concurrency : int
        How many chunks' worth of images are unanswered at most.
    waiting : callable
        Is told after `SAID_AFTER_SECONDS` if no service has answered yet, and what the trouble is, if that is known.
    """

    def __init__(
        self,
        caller: BatchCaller,
        concurrency: int = DEFAULT_CONCURRENCY,
        waiting: Callable[[GalaxytreeError | None], object] = lambda _: None,
    ) -> None:
        self._caller = caller
        self._concurrency = concurrency
        self._waiting = waiting
        self._network = ""

    async def model(self) -> ModelFacts:
        """Return which network answers."""
        telling = asyncio.create_task(self._tell())
        try:
            facts = ModelFacts.of(await self._caller.model())
        finally:
            telling.cancel()
        self._network = facts.network
        return facts

    async def _tell(self) -> None:
        # It may be starting; but an address may also be mistyped, and nobody is to wait for that unknowingly.
        await asyncio.sleep(SAID_AFTER_SECONDS)
        self._waiting(self._caller.calls.trouble)

    async def score(self, chunks: Iterator[Chunk], asking: Asking) -> AsyncGenerator[Scored, None]:
        """Score chunks; see `Engine`."""
        loop = asyncio.get_running_loop()
        flight = _Flight(self._concurrency)
        more = True
        # One thread, since a generator has one place at which it is.
        with ThreadPoolExecutor(1, "catalogue") as reader:
            try:
                while True:
                    while more and flight.has_room:
                        chunk = await loop.run_in_executor(reader, next, chunks, None)
                        if chunk is None:
                            more = False
                        else:
                            flight.add(chunk, partial(self._scored, chunk, asking))
                    if flight.is_empty:
                        return
                    # What is yielded is kept before this goes on: no more than what is in flight is ever at risk.
                    for scored in await flight.news():
                        yield scored
            finally:
                await flight.abandon()

    async def _scored(self, chunk: Chunk, asking: Asking, heard: Callable[[int], object]) -> Scored:
        if asking.files:
            rows, networks = await score_images(
                self._caller, map(Path, chunk.images), detail=asking.detail, views=asking.views, heard=heard
            )
        else:
            urls = [UrlItem(url) for url in chunk.images]
            answer = await self._caller.score(urls, detail=asking.detail, views=asking.views, heard=heard)
            rows, networks = answer.rows, {answer.network}
        # If any is another one, that is what is to be known.
        network = next((one for one in networks if one != self._network), self._network)
        return Scored(chunk.first, score_rows(rows, asking.schema), network)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._caller.aclose()


class _Flight:
    """The chunks that are in flight, and how much of them is unanswered.

    Parameters
    ----------
    concurrency
        How many chunks' worth of images may be unanswered.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._largest = 0
        self._left: dict[asyncio.Task[Scored], int] = {}
        self._news = asyncio.Event()
        self._failed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in flight."""
        return not self._left

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be begun."""
        unanswered = sum(self._left.values())
        return (
            not self._failed
            and unanswered <= (self._concurrency - 1) * self._largest
            and len(self._left) < STRAGGLING * self._concurrency
        )

    def add(self, chunk: Chunk, begin: Callable[[Callable[[int], object]], Coroutine[Any, Any, Scored]]) -> None:
        """Begin with a chunk: `begin` is given what is to be told of answers as they come."""
        self._largest = max(self._largest, len(chunk.images))

        def heard(answers: int) -> None:
            # What is asked for again is heard of again.
            self._left[task] = max(0, self._left[task] - answers)
            self._news.set()

        task = asyncio.create_task(begin(heard))
        self._left[task] = len(chunk.images)
        task.add_done_callback(lambda _: self._news.set())

    async def news(self) -> list[Scored]:
        """Wait until some images are answered; return the chunks that are done.

        What is done at the moment at which another chunk fails is returned first, and the error raised the next time.
        """
        await self._news.wait()
        self._news.clear()
        done = [task for task in self._left if task.done()]
        well = [task for task in done if task.exception() is None]
        if len(well) < len(done):
            self._failed = True
            self._news.set()
        for task in well or done:
            del self._left[task]
        return [task.result() for task in well or done]

    async def abandon(self) -> None:
        """Cancel what is in flight."""
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)
