"""A batch as a form, ``multipart/form-data``: an image in each part ``files``, worked on as soon as it is whole."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from app.admission import Admission
from app.batch.items import Intake, Item, body_of, too_many
from app.errors import InvalidRequestError, image_too_large

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARTS = "files"

_BROKEN = "The multipart body can't be read: "


class Form(Intake):
    """Items that come as parts of a form.

    Parameters
    ----------
    clock
        The loop's.
    most
        How many there may be.
    admission
        Where the images' bytes are held. Before a byte of the form is read there is to be room for the largest image
        that it can hold, so that each that has begun can be taken to its end. Where others wait for room it is given
        back from one image to the next.
    content_type
        The header, with the boundary.
    most_bytes, body_bytes
        How many an image may have; how many the whole body has, None if that isn't said.
    ahead
        How many images may be read ahead of the work.

    Raises
    ------
    InvalidRequestError
        If there is no boundary.
    """

    def __init__(  # noqa: PLR0913 (all of it is of the request, or its bounds)
        self,
        clock: Callable[[], float],
        most: int,
        admission: Admission,
        content_type: bytes,
        *,
        most_bytes: int,
        body_bytes: int | None,
        ahead: int,
    ) -> None:
        super().__init__(clock)
        self._most = most
        self._admission = admission
        self._most_bytes = most_bytes
        self._needed = most_bytes if body_bytes is None else min(most_bytes, body_bytes)
        self._reserved = 0
        self._ahead = ahead
        self._room = asyncio.Event()
        self._items: deque[Item] = deque()
        self._count = 0
        self._whole = False
        # Since when a part is waited for.
        self._since = clock()
        self._begin_part()
        self._parser = self._parser_of(content_type)

    def _parser_of(self, content_type: bytes) -> MultipartParser:
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_header_field": self._take_header_name,
            "on_header_value": self._take_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": self._end_form,
        }
        try:
            return MultipartParser(parse_options_header(content_type)[1][b"boundary"], callbacks)
        except KeyError:
            msg = f"{_BROKEN}Content-Type has no boundary."
            raise InvalidRequestError(msg) from None
        except FormParserError as error:
            msg = f"{_BROKEN}{error}."
            raise InvalidRequestError(msg) from error

    @property
    def ready(self) -> int:
        """How many images are there to be taken."""
        return len(self._items)

    def next(self) -> Item | None:
        """Take the next image, and the bytes that are held for it."""
        if not self._items:
            return None
        self._room.set()
        return self._items.popleft()

    async def read(self, receive: Receive, arrived: Callable[[], object]) -> None:
        """Read the form, while there is room for what it holds."""
        more = True
        await self._reserve()
        while more:
            self.hungry_since = self._since
            message = await body_of(receive)
            self.hungry_since = None
            more = message.get("more_body", False)
            try:
                self._parser.write(message.get("body", b""))
            except FormParserError as error:
                msg = f"{_BROKEN}{error}."
                raise InvalidRequestError(msg) from error
            arrived()
            if more:
                await self._make_room(len(message.get("body", b"")))
        if not self._whole:
            msg = f"{_BROKEN}its end is missing."
            raise InvalidRequestError(msg)
        if not self._count:
            msg = f"The multipart body has no part `{PARTS}`; send each image under this name."
            raise InvalidRequestError(msg)
        self.closed = True
        arrived()

    async def _reserve(self) -> None:
        await self._admission.hold_in_turn(self._needed)
        self._reserved = self._needed
        self._since = self._clock()

    async def _make_room(self, last: int) -> None:
        """Wait while too many images are here already; the last piece of the form had so many bytes."""
        # What is here of an image must stay counted: many forms would pile up far more than there is room for, each
        # with a part of one. But what came with the last piece is no more than any connection holds.
        if self._admission.crowded and self._bytes <= last:
            self._give_back_reserve()
            await self._reserve()
        while len(self._items) >= self._ahead:
            self._room.clear()
            await self._room.wait()
            self._since = self._clock()

    def _give_back_reserve(self) -> None:
        self._admission.give_back(images=0, count=self._reserved)
        self._reserved = 0

    def close(self) -> None:
        """Forget the images that nobody took."""
        super().close()
        held = sum(len(item.data or b"") for item in self._items)
        self._items.clear()
        self._admission.give_back(images=0, count=held)
        self._give_back_reserve()

    # What the parser finds.

    def _begin_part(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._disposition = b""
        self._name: str | None = None
        self._wanted = False
        self._begin_header()

    def _begin_header(self) -> None:
        self._header_name = self._header_value = b""

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._begin_header()

    def _end_headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        self._wanted = options.get(b"name") == PARTS.encode()
        name = options.get(b"filename")
        self._name = None if name is None else _text(name)
        if self._wanted and self._count == self._most:
            raise too_many(self._most)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            return
        self._bytes += end - start
        if self._bytes <= self._most_bytes:
            self._pieces.append(data[start:end])
        else:
            self._pieces.clear()

    def _end_part(self) -> None:
        if self._wanted:
            item = Item(self._count, self._name)
            if self._bytes <= self._most_bytes:
                item.data = b"".join(self._pieces)
                self._admission.hold_anyway(self._bytes)
            else:
                item.error = image_too_large(self._most_bytes)
            self._count += 1
            self._items.append(item)
        self._pieces = []
        self._wanted = False
        self._since = self._clock()

    def _end_form(self) -> None:
        self._whole = True


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")
