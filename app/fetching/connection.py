"""One HTTP/1.1 connection to a host, over which one image after the other is asked for.

The parser is httptools'. What it does not bound is bounded here: the bytes of heads, of trailers, of what chunks say
beside their bytes, and of bodies. Nothing is ever decompressed.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from app.errors import FetchTimeoutError, PayloadTooLargeError, ServiceError
from app.fetching.answers import Answer, Limits, late
from app.fetching.mishaps import Mishap

OVERHEAD_BYTES = 64 * 1024
OVERHEAD_PER_BYTE = 8
"""What an answer may have beside its body, and beside each byte of it: heads, chunks' sizes, trailers."""

PIECE_BYTES = 1024
"""Pieces of a body that are smaller are put together as they come: each by itself would take far more than it holds."""

UNREAD_BYTES = 64 * 1024
"""Of the body of an answer that is no image so much is read past, to keep the connection."""

_PLAIN_CODINGS = frozenset({b"", b"identity"})
_PLAIN_TRANSFERS = frozenset({b"chunked", b"identity"})
_FIRST_FINAL = 200


class Connection(asyncio.Protocol):
    """One connection.

    Parameters
    ----------
    key
        Of the origin that it leads to.
    limits
    public
        Whether it leads to a public address.
    lost
        Is told when it is gone.

    Attributes
    ----------
    idle_until
        When it is closed if nobody uses it, on the loop's clock.
    """

    def __init__(self, key: str, limits: Limits, public: bool, lost: Callable[["Connection"], None]) -> None:  # noqa: FBT001
        self.key = key
        self.public = public
        self.idle_until = 0.0
        self._limits = limits
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._used = self._spoilt = False
        self._begin()

    def _begin(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self._head_complete = False
        self._status = 0
        self._received = self._body_bytes = 0
        self._length: int | None = None
        self._chunked = False
        self._refused: ServiceError | Mishap | None = None
        self._location: bytes | None = None
        self._retry_after: bytes | None = None

    @property
    def reusable(self) -> bool:
        """Whether another answer may be asked for."""
        return not self._spoilt and self._waiter is None

    async def ask(self, head: bytes, first_byte_until: float, until: float) -> Answer:
        """Send a request and return what is answered. Nobody else may be asking.

        Parameters
        ----------
        head
            The request.
        first_byte_until, until
            When the answer must have begun, and be complete, on the loop's clock.

        Raises
        ------
        Mishap
            If nothing of use is answered.
        PayloadTooLargeError
            If the body is too large.
        FetchTimeoutError
            If it takes too long.
        """
        self._begin()
        self._first_byte_until, self._until = first_byte_until, until
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        if self._spoilt or self._transport is None:
            self._fail(_broken_off())
        else:
            self._transport.write(head)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiter = None
            self.abort()
            raise
        finally:
            self._used = True

    def abort(self) -> None:
        """Close the connection at once."""
        self._spoilt = True
        if self._transport is not None:
            self._transport.abort()

    def look(self, now: float) -> None:
        """Look at the clock."""
        if self._waiter is None:
            if now > self.idle_until:
                self.abort()
        elif now > self._until:
            self._expire(late(self._limits))
        elif not self._received and now > self._first_byte_until:
            self._expire(f"No answer began within {self._limits.first_byte_seconds:g} s.")

    def _expire(self, said: str) -> None:
        self._fail(FetchTimeoutError(said))
        self.abort()

    def _fail(self, error: ServiceError | Mishap) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self._head_complete and self._status != HTTPStatus.OK:
            # It says enough, also if the rest never comes.
            self._answer(waiter)
            return
        if isinstance(error, Mishap):
            error.stale = self._used and not self._head_complete
            error.hidden = not self.public
        waiter.set_exception(error)

    def _finish(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            self._answer(waiter)

    def _answer(self, waiter: asyncio.Future[Answer]) -> None:
        pieces, self._pieces = self._pieces, []
        # Of one piece that is bytes this is that piece.
        body = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        waiter.set_result(Answer(self._status, body, self._location, self._retry_after))

    # What asyncio says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        if self._waiter is None:
            # Nobody asked.
            self.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Mishap("The host's answer is no valid HTTP/1.1."))
            self.abort()
            return
        if self._refused is not None:
            self._fail(self._refused)
            self.abort()
        elif self._waiter is not None and self._received > OVERHEAD_PER_BYTE * self._body_bytes + OVERHEAD_BYTES:
            self._fail(Mishap("The host's answer has far more around its body than a body."))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone: the end of a body that says no length, or nothing good."""
        self._spoilt = True
        self._transport = None
        if self._waiter is not None:
            if exc is None and self._head_complete and self._length is None and not self._chunked:
                self._finish()
            else:
                self._fail(_broken_off())
        self._lost(self)

    # What the parser says.

    def on_message_begin(self) -> None:
        """Note that an answer begins; one that nobody asked for makes the connection useless."""
        if self._waiter is None:
            self._spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a chunked body is dropped."""
        if self._head_complete:
            return
        name = name.lower()
        if name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._chunked = True
            if value.strip().lower() not in _PLAIN_TRANSFERS:
                self._refused = _encoded()
        elif name == b"content-encoding":
            if value.strip().lower() not in _PLAIN_CODINGS:
                self._refused = _encoded()
        elif name == b"location":
            self._location = value
        elif name == b"retry-after":
            self._retry_after = value

    def on_headers_complete(self) -> None:
        """Judge the head."""
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            return
        self._status, self._head_complete = status, True
        if status != HTTPStatus.OK:
            self._refused = None
            if (self._length or 0) > UNREAD_BYTES:
                self._finish_unread()
        elif self._refused is None and (self._length or 0) > self._limits.body_bytes:
            self._refused = _too_large(self._limits.body_bytes)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, within the limit."""
        if self._waiter is None or self._refused is not None:
            return
        self._body_bytes += len(body)
        if self._status != HTTPStatus.OK:
            if self._body_bytes > UNREAD_BYTES:
                self._finish_unread()
        elif self._body_bytes > self._limits.body_bytes:
            self._pieces.clear()
            self._refused = _too_large(self._limits.body_bytes)
        elif len(body) >= PIECE_BYTES:
            self._pieces.append(body)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += body
        else:
            self._pieces.append(bytearray(body))

    def on_message_complete(self) -> None:
        """Hand the answer over, if it is none before the real one."""
        if not self._head_complete:
            # 100 to 199. What came of headers was not meant for what follows.
            received = self._received
            self._begin()
            self._received = received
            return
        if not self._parser.should_keep_alive():
            self._spoilt = True
        if self._refused is None:
            self._finish()

    def _finish_unread(self) -> None:
        self._finish()
        self.abort()


def _broken_off() -> Mishap:
    return Mishap("The host dropped the connection before its answer was complete.", transient=True)


def _encoded() -> Mishap:
    return Mishap("The host's answer is compressed, which was not asked for.")


def _too_large(most: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The URL leads to more than {most} bytes.")
