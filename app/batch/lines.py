"""A batch as lines, NDJSON, of any length: read as they come, ahead of the work by so many bytes and no more."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.types import Receive

from app.batch.items import Intake, Item, body_of, no_items, too_many
from app.errors import InvalidRequestError
from galaxytree.schemas import MOST_ID_LETTERS, BatchItem

AHEAD_BYTES = 256 * 1024
"""So much of a body is taken in that nobody works on yet: all of one that is no longer, even if its sender reads
nothing of the answer before it has sent all."""

LINE_BYTES = 16 * 1024
"""A line that is longer is an error, and is not kept."""

_SHOWN = 200


class Splitter:
    """Cuts pieces of a body into lines; blank ones are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the lines that are complete with this piece; None for each that is too long."""
        pieces = piece.split(b"\n")
        if self._skipping:
            if len(pieces) == 1:
                return []
            del pieces[0]
            self._skipping = False
        else:
            pieces[0] = self._rest + pieces[0]
        self._rest = pieces.pop()
        lines = [line if len(line) <= LINE_BYTES else None for line in pieces if line and not line.isspace()]
        if len(self._rest) > LINE_BYTES:
            lines.append(None)
            self._rest, self._skipping = b"", True
        return lines

    def end(self) -> list[bytes | None]:
        """Return the last line, if it has no end of its own."""
        rest, self._rest = self._rest, b""
        return [rest] if rest and not rest.isspace() else []


class Lines(Intake):
    """Items that come one a line.

    Parameters
    ----------
    clock
        The loop's.
    most
        How many there may be; None for any number.
    """

    def __init__(self, clock: Callable[[], float], most: int | None) -> None:
        super().__init__(clock)
        self.bounded = most is not None
        self._most = most
        self._lines: deque[bytes | None] = deque()
        self._ahead = 0
        self._seen = self._taken = 0
        self._room = asyncio.Event()

    @property
    def ready(self) -> int:
        """How many lines are there to be taken."""
        return len(self._lines)

    def next(self) -> Item | None:
        """Take the next line."""
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._ahead -= 1 if line is None else len(line)
        # Reading is stopped and begun anew for many lines at a time.
        if self._ahead <= AHEAD_BYTES // 2:
            self._room.set()
        index = self._taken
        self._taken += 1
        return item_of(index, line)

    async def read(self, receive: Receive, arrived: Callable[[], object]) -> None:
        """Read lines, as fast as they are taken."""
        splitter, more = Splitter(), True
        while more:
            self.hungry_since = self._clock()
            message = await body_of(receive)
            self.hungry_since = None
            more = message.get("more_body", False)
            self._put(splitter.feed(message.get("body", b"")))
            if more:
                arrived()
                while self._ahead > AHEAD_BYTES:
                    self._room.clear()
                    await self._room.wait()
        self._put(splitter.end())
        if not self._seen:
            raise no_items()
        self.closed = True
        arrived()

    def _put(self, lines: list[bytes | None]) -> None:
        self._seen += len(lines)
        if self._most is not None and self._seen > self._most:
            raise too_many(self._most)
        self._ahead += sum([1 if line is None else len(line) for line in lines])
        self._lines += lines

    def close(self) -> None:
        """Forget the lines that nobody took."""
        super().close()
        self._lines.clear()


def item_of(index: int, line: bytes | None) -> Item:
    """Read a line; one that is wrong becomes an item with the error."""
    if line is None:
        return Item(index, None, error=InvalidRequestError(f"The line has more than {LINE_BYTES} bytes."))
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Item(index, None, error=InvalidRequestError(f"The line is no JSON: {error}."))
    # All but a few are right; what is wrong with those is for pydantic to say.
    if type(given) is dict:
        url, name = given.get("url"), given.get("id")
        named = "id" in given
        if type(url) is str and len(given) == 1 + named and (name is None or _is_id(name)):
            return Item(index, name, url)
    return _wrong(index, given)


def _is_id(given: object) -> bool:
    return type(given) is str and len(given) <= MOST_ID_LETTERS


def _wrong(index: int, given: Any) -> Item:  # noqa: ANN401 (whatever JSON can hold)
    name = given.get("id") if isinstance(given, dict) else None
    try:
        BatchItem.model_validate(given, strict=True)
    except ValidationError as error:
        detail = "; ".join(
            f"{'.'.join(str(part)[:_SHOWN] for part in one['loc']) or 'the line'}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False, include_context=False)[:3]
        )
    else:  # pragma: no cover (the two agree, which a test holds)
        detail = "The line is no item."
    return Item(index, name if _is_id(name) else None, error=InvalidRequestError(detail))
