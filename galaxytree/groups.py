"""Many images, some at a time, and what is sent of each such group: URLs in one call, images in calls of some MiB."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from galaxytree.batch_calls import ImageItem, UrlItem
from galaxytree.client_errors import GalaxytreeError, UnreadableFileError, UnusableImageError
from galaxytree.given import Given, item_of

CALL_BYTES = 4 << 20
"""About how many bytes of images are sent in one call."""

PAUSE_SECONDS = 0.05
"""Who gives images as they come, and pauses for longer than that, is not waited for until a group is full."""

_END = object()


@dataclass
class Call:
    """What is asked in one call: the images, with their places, and what is sent of them; or why nothing can be."""

    given: list[tuple[int, Given]] = field(default_factory=list)
    items: list[UrlItem] | list[ImageItem] = field(default_factory=list)
    error: GalaxytreeError | None = None


@dataclass(frozen=True)
class Group:
    """Images that are asked about together.

    Attributes
    ----------
    given
        The place of each among all images, from 0, and the image.
    """

    given: list[tuple[int, Given]]

    def calls(self) -> list[Call]:
        """Read what is to be sent."""
        urls: list[UrlItem] = []
        fetched = Call(items=urls)
        calls: list[Call] = []
        images: list[ImageItem] = []
        size = CALL_BYTES
        for index, image in self.given:
            try:
                item = item_of(image)
            except (OSError, TypeError, ValueError) as error:
                calls.append(Call([(index, image)], error=_unusable(error)))
                continue
            if isinstance(item, UrlItem):
                urls.append(item)
                fetched.given.append((index, image))
                continue
            if size >= CALL_BYTES:
                images, size = [], 0
                calls.append(Call(items=images))
                sent = calls[-1]
            images.append(item)
            sent.given.append((index, image))
            size += len(item.data)
        return [*calls, fetched] if urls else calls


def grouped(images: Iterable[Given], size: int) -> Iterator[Group]:
    """Yield so many images at a time, and read no further."""
    given: list[tuple[int, Given]] = []
    for one in enumerate(images):
        given.append(one)
        if len(given) == size:
            yield Group(given)
            given = []
    if given:
        yield Group(given)


async def grouped_as_they_come(
    images: Iterable[Given] | AsyncIterable[Given], size: int
) -> AsyncGenerator[Group, None]:
    """Yield at most so many images at a time of an iterable of either kind: fewer if an asynchronous one pauses."""
    if not isinstance(images, AsyncIterable):
        for group in grouped(images, size):
            yield group
        return
    source, index = aiter(images), 0
    given: list[tuple[int, Given]] = []
    coming: asyncio.Task[Any] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(source))
            if given and not (await asyncio.wait([coming], timeout=PAUSE_SECONDS))[0]:
                yield Group(given)
                given = []
            image = await coming
            coming = None
            if image is _END:
                break
            given.append((index, image))
            index += 1
            if len(given) == size:
                yield Group(given)
                given = []
        if given:
            yield Group(given)
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _next(source: AsyncIterator[Given]) -> object:
    return await anext(source, _END)


def _unusable(error: OSError | TypeError | ValueError) -> GalaxytreeError:
    kind = UnreadableFileError if isinstance(error, OSError) else UnusableImageError
    why, name = getattr(error, "strerror", None) or error, getattr(error, "filename", None)
    found = kind(f"{name}: {why}" if name else str(why))
    found.__cause__ = error
    return found
