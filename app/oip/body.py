"""The body of a request, whole: within bytes and time, and unpacked where it came packed."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from app.bodies import header_of
from app.errors import BodyTimeoutError, InvalidRequestError, PayloadTooLargeError, UnsupportedMediaTypeError

PIECE_BYTES = 256 * 1024
"""So much is unpacked at a time; between two pieces others have their turn."""

_PLAIN = frozenset({b"", b"identity"})
_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


@dataclass(frozen=True)
class Limits:
    """What a body may take.

    Attributes
    ----------
    count
        Bytes, at most, packed and unpacked.
    seconds
        Time from the first look at the body to its last byte, at most.
    """

    count: int
    seconds: float


async def read_body(scope: Scope, receive: Receive, limits: Limits, hold: Callable[[int], None]) -> bytes:
    """Read a request's body.

    Parameters
    ----------
    scope, receive
        The request's, of ASGI.
    limits
    hold
        Is told of each piece's bytes as they are there, unpacked, and may raise to refuse them.

    Raises
    ------
    PayloadTooLargeError
        If it has more bytes than it may, as declared (nothing is read then), as it comes in, or unpacked.
    UnsupportedMediaTypeError
        If it is packed in a way that is not known here.
    InvalidRequestError
        If it can't be unpacked.
    BodyTimeoutError
        If it isn't there in time.
    starlette.requests.ClientDisconnect
        If the client goes before the end.
    """
    coding = header_of(scope, b"content-encoding").strip().lower()
    if coding not in _PLAIN and coding not in _WINDOWS:
        msg = "The body's Content-Encoding is not known here; send it as it is, or with gzip or deflate."
        raise UnsupportedMediaTypeError(msg)
    if int(header_of(scope, b"content-length") or 0) > limits.count:
        raise _too_large(limits)
    pieces, have = [], 0
    try:
        async with asyncio.timeout(limits.seconds), aclosing(_stream(receive, limits)) as packed:
            plain = packed if coding in _PLAIN else _unpacked(packed, _WINDOWS[coding])
            async with aclosing(plain) as stream:
                async for piece in stream:
                    have += len(piece)
                    if have > limits.count:
                        raise _too_large(limits)
                    hold(len(piece))
                    pieces.append(piece)
    except TimeoutError as error:
        msg = f"The body was not complete after {limits.seconds:g} s."
        raise BodyTimeoutError(msg) from error
    except zlib.error as error:
        msg = "The body is not what its Content-Encoding says, or is damaged."
        raise InvalidRequestError(msg) from error
    return b"".join(pieces)


async def _stream(receive: Receive, limits: Limits) -> AsyncGenerator[bytes, None]:
    have, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        have += len(piece)
        if have > limits.count:
            raise _too_large(limits)
        yield piece


async def _unpacked(packed: AsyncGenerator[bytes, None], window: int) -> AsyncGenerator[bytes, None]:
    unpacking = zlib.decompressobj(window)
    async for piece in packed:
        left = piece
        while True:
            out = unpacking.decompress(left, PIECE_BYTES)
            left = unpacking.unconsumed_tail
            if out:
                yield out
                await asyncio.sleep(0)
            # There may be more without another byte of what was packed.
            if unpacking.eof or (not left and len(out) < PIECE_BYTES):
                break
        if unpacking.unused_data:
            msg = "bytes behind the end"
            raise zlib.error(msg)
    if not unpacking.eof:
        msg = "cut off"
        raise zlib.error(msg)


def _too_large(limits: Limits) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body has more than {limits.count} bytes; send fewer images at a time.")
