"""Scores the images of a survey through a service, or several."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from galaxytree.batch_calls import BatchAnswer, BatchCaller, ImageItem, UrlItem
from galaxytree.groups import CALL_BYTES
from galaxytree.image_files import Unread, read_image
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, ModelFacts, Scored

DEFAULT_CONCURRENCY = 4
"""How many chunks are in flight: enough for a service to have images at hand while others are on their way."""


class ServiceEngine:
    """Has images scored by services, over HTTP.

    Parameters
    ----------
    caller : BatchCaller
        Who calls them; it is closed with the engine.
    concurrency : int
        How many chunks are in flight at most.
    """

    def __init__(self, caller: BatchCaller, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self._caller = caller
        self._concurrency = concurrency
        self._network = ""

    async def model(self) -> ModelFacts:
        """Return which network answers."""
        facts = ModelFacts.of(await self._caller.model())
        self._network = facts.network
        return facts

    async def score(self, chunks: Iterator[Chunk], asking: Asking) -> AsyncGenerator[Scored, None]:
        """Score chunks; see `Engine`."""
        loop = asyncio.get_running_loop()
        in_flight: set[asyncio.Task[Scored]] = set()
        more = True
        # One thread, since a generator has one place at which it is.
        with ThreadPoolExecutor(1, "catalogue") as reader:
            try:
                while True:
                    while more and len(in_flight) < self._concurrency:
                        chunk = await loop.run_in_executor(reader, next, chunks, None)
                        if chunk is None:
                            more = False
                        else:
                            in_flight.add(asyncio.create_task(self._scored(chunk, asking)))
                    if not in_flight:
                        return
                    done, _ = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
                    one = done.pop()
                    in_flight.remove(one)
                    # What is yielded is kept before this goes on: no more than `concurrency` chunks are ever at risk.
                    yield one.result()
            finally:
                for task in in_flight:
                    task.cancel()
                await asyncio.gather(*in_flight, return_exceptions=True)

    async def _scored(self, chunk: Chunk, asking: Asking) -> Scored:
        if asking.files:
            rows, network = await self._upload(chunk, asking)
        else:
            answer = await self._ask([UrlItem(url) for url in chunk.images], asking)
            rows, network = answer.rows, answer.network
        return Scored(chunk.first, score_rows(rows, asking.schema), network)

    async def _upload(self, chunk: Chunk, asking: Asking) -> tuple[list[dict[str, Any]], str]:
        """Send the files of a chunk, some at a time."""
        rows: list[dict[str, Any]] = []
        network = self._network
        files = _groups(chunk.images)
        while group := await asyncio.to_thread(next, files, None):
            images = [one for one in group if isinstance(one, ImageItem)]
            if images:
                answer = await self._ask(images, asking)
                answered = iter(answer.rows)
                if answer.network != self._network:
                    network = answer.network
            rows += [next(answered) if isinstance(one, ImageItem) else one.row for one in group]
        return rows, network

    async def _ask(self, items: list[UrlItem] | list[ImageItem], asking: Asking) -> BatchAnswer:
        return await self._caller.score(items, detail=asking.detail, views=asking.views)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._caller.aclose()


def _groups(paths: Sequence[str]) -> Iterator[list[ImageItem | Unread]]:
    """Read files, and yield as many as are sent together."""
    group: list[ImageItem | Unread] = []
    size = 0
    for path in map(Path, paths):
        read = read_image(path)
        group.append(read if isinstance(read, Unread) else ImageItem(read, path.name))
        size += 0 if isinstance(read, Unread) else len(read)
        if size >= CALL_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
