"""Many images, some at a time, and what is sent of each such group: URLs in one call, images in calls of some MiB."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from galaxytree.batch_calls import ImageItem, UrlItem
from galaxytree.client_errors import GalaxytreeError, UnreadableFileError
from galaxytree.given import Given, item_of

CALL_BYTES = 4 << 20
"""About how many bytes of images are sent in one call."""


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
        """Read what is to be sent; TypeError or ValueError if it is no image."""
        urls: list[UrlItem] = []
        fetched = Call(items=urls)
        calls: list[Call] = []
        images: list[ImageItem] = []
        size = CALL_BYTES
        for index, image in self.given:
            try:
                item = item_of(image)
            except OSError as error:
                calls.append(Call([(index, image)], error=UnreadableFileError(str(error.strerror or error))))
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


async def grouped_as_they_come(images: Iterable[Given] | AsyncIterable[Given], size: int) -> AsyncIterator[Group]:
    """Yield so many images at a time of an iterable of either kind."""
    if not isinstance(images, AsyncIterable):
        for group in grouped(images, size):
            yield group
        return
    given: list[tuple[int, Given]] = []
    index = 0
    async for image in images:
        given.append((index, image))
        index += 1
        if len(given) == size:
            yield Group(given)
            given = []
    if given:
        yield Group(given)
