"""Scores the images of a survey through a service, or several."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from galaxytree.batch_calls import BatchAnswer, BatchCaller, ImageItem, UrlItem
from galaxytree.score_table import ERROR, score_rows
from galaxytree.survey_engine import Asking, Chunk, ModelFacts, Scored

DEFAULT_CONCURRENCY = 4
"""So many chunks' worth of images are unanswered: enough for a service to have some at hand while others come."""

STRAGGLING = 8
"""So many times as many chunks may be in flight: an image whose host stalls holds up its chunk, and not the survey."""

UPLOAD_BYTES = 4 << 20
"""About how many bytes of files are sent in one call."""

MAX_FILE_BYTES = 64 << 20
"""Larger files are no images that any service takes; they are not read."""


class ServiceEngine:
    """Has images scored by services, over HTTP.

    Parameters
    ----------
    caller : BatchCaller
        Who calls them; it is closed with the engine.
    concurrency : int
        How many chunks' worth of images are unanswered at most.
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
            rows, network = await self._upload(chunk, asking, heard)
        else:
            answer = await self._ask([UrlItem(url) for url in chunk.images], asking, heard)
            rows, network = answer.rows, answer.network
        return Scored(chunk.first, score_rows(rows, asking.schema), network)

    async def _upload(
        self, chunk: Chunk, asking: Asking, heard: Callable[[int], object]
    ) -> tuple[list[dict[str, Any]], str]:
        """Send the files of a chunk, some at a time."""
        rows: list[dict[str, Any]] = []
        network = self._network
        files = _groups(chunk.images)
        while group := await asyncio.to_thread(next, files, None):
            images = [one for one in group if isinstance(one, ImageItem)]
            if images:
                answer = await self._ask(images, asking, heard)
                answered = iter(answer.rows)
                if answer.network != self._network:
                    network = answer.network
            rows += [
                next(answered) if isinstance(one, ImageItem) else {"status": ERROR, "error": vars(one)} for one in group
            ]
        return rows, network

    async def _ask(
        self, items: list[UrlItem] | list[ImageItem], asking: Asking, heard: Callable[[int], object]
    ) -> BatchAnswer:
        return await self._caller.score(items, detail=asking.detail, views=asking.views, heard=heard)

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

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in flight."""
        return not self._left

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be begun."""
        unanswered = sum(self._left.values())
        return (
            unanswered <= (self._concurrency - 1) * self._largest and len(self._left) < STRAGGLING * self._concurrency
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
        """Wait until some images are answered; return the chunks that are done."""
        await self._news.wait()
        self._news.clear()
        done = [task for task in self._left if task.done()]
        for task in done:
            del self._left[task]
        return [task.result() for task in done]

    async def abandon(self) -> None:
        """Cancel what is in flight."""
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)


@dataclass(frozen=True)
class _Unread:
    """Why a file is no image that could be sent."""

    code: str
    detail: str


def _groups(paths: Sequence[str]) -> Iterator[list[ImageItem | _Unread]]:
    """Read files, and yield as many as are sent together."""
    group: list[ImageItem | _Unread] = []
    size = 0
    for path in paths:
        one = _read(Path(path))
        group.append(one)
        size += len(one.data) if isinstance(one, ImageItem) else 0
        if size >= UPLOAD_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read(path: Path) -> ImageItem | _Unread:
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A pipe or a device could keep us waiting for ever; what a folder is, opening it says.
        return _Unread("unreadable_file", "It is no regular file.")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: a name that no file can have.
        return _Unread("unreadable_file", f"{getattr(error, 'strerror', None) or error}")
    if len(data) > MAX_FILE_BYTES:
        return _Unread("payload_too_large", f"The file has more than {MAX_FILE_BYTES:,} bytes.")
    return ImageItem(data, path.name)
