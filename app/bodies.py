"""One image from a request: the raw body, or the part ``file`` of ``multipart/form-data``; within bytes and time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from app.errors import BodyTimeoutError, InvalidRequestError, image_too_large
from app.settings import MULTIPART_OVERHEAD_BYTES

PART = "file"
_MAX_OTHER_FIELDS = 16
MOST_TYPE_BYTES = 2048
"""A longer Content-Type isn't taken apart, which may take its sender no time and the service much."""

_BROKEN = "The multipart body can't be read: "


@dataclass(frozen=True)
class BodyLimits:
    """What a body may take.

    Attributes
    ----------
    image_bytes
        Bytes of the image, at most.
    seconds
        Time from the first look at the body to its last byte, at most.
    """

    image_bytes: int
    seconds: float


async def read_image(scope: Scope, receive: Receive, limits: BodyLimits, hold: Callable[[int], None]) -> bytes:
    """Read the one image that a request carries.

    Parameters
    ----------
    scope, receive
        The request's, of ASGI.
    limits : BodyLimits
    hold : callable
        Is told of each piece's bytes as it arrives, and may raise to refuse it.

    Raises
    ------
    PayloadTooLargeError
        If the image has more bytes than it may, as declared (nothing is read then) or as it comes in.
    BodyTimeoutError
        If the body isn't there in time.
    InvalidRequestError
        If a multipart body is malformed, or has no part ``file`` or several.
    starlette.requests.ClientDisconnect
        If the client goes before the end.
    """
    multipart = is_form(scope)
    most = limits.image_bytes + (MULTIPART_OVERHEAD_BYTES if multipart else 0)
    if int(header_of(scope, b"content-length") or 0) > most:
        raise image_too_large(limits.image_bytes)
    try:
        async with asyncio.timeout(limits.seconds), aclosing(_bounded(receive, most, limits, hold)) as stream:
            if multipart:
                return await _read_part(header_of(scope, b"content-type"), stream, limits)
            return await _read_raw(stream)
    except TimeoutError as error:
        msg = f"The body was not complete after {limits.seconds:g} s."
        raise BodyTimeoutError(msg) from error


def is_form(scope: Scope) -> bool:
    """Whether a request's body is ``multipart/form-data``."""
    kind = header_of(scope, b"content-type")
    # Most bodies are plain, and the parser is slow: so much so that what is too long is refused as the form it may be.
    if kind[:9].lower() != b"multipart":
        return False
    return len(kind) > MOST_TYPE_BYTES or parse_options_header(kind)[0] == b"multipart/form-data"


def header_of(scope: Scope, name: bytes) -> bytes:
    """Return a request's header; nothing if it has none."""
    return next((value for each, value in scope["headers"] if each == name), b"")


async def _bounded(
    receive: Receive, most: int, limits: BodyLimits, hold: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    seen, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        seen += len(chunk)
        if seen > most:
            raise image_too_large(limits.image_bytes)
        hold(len(chunk))
        yield chunk


async def _read_raw(stream: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in stream])


class _InMemoryParser(MultiPartParser):
    # The body is bounded by the limits above; spooling it to a disk would cost a thread and a file an image.
    spool_max_size = 2**62

    def close(self) -> None:
        """Close all files, also one whose part was cut off, which is in no form."""
        for file in self._files_to_close_on_error:
            file.close()


def _form_type(content_type: bytes) -> Headers:
    """Return the header that the parser is to see: with the boundary, without a charset.

    The parser would look for a codec of Python's by whatever name the client gives, some of which take seconds for a
    form, or raise; and Python remembers for ever each name of which there is none. No codec is needed: only names in
    ASCII are looked for (and RFC 7578 knows no charset here).
    """
    boundary = b""
    if len(content_type) <= MOST_TYPE_BYTES:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        msg = f"{_BROKEN}Content-Type has no boundary within {MOST_TYPE_BYTES} bytes."
        raise InvalidRequestError(msg)
    quoted = boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return Headers(raw=[(b"content-type", b'multipart/form-data; boundary="%b"' % quoted)])


async def _read_part(content_type: bytes, stream: AsyncGenerator[bytes, None], limits: BodyLimits) -> bytes:
    headers = _form_type(content_type)
    parser = _InMemoryParser(
        headers, stream, max_files=1, max_fields=_MAX_OTHER_FIELDS, max_part_size=MULTIPART_OVERHEAD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        msg = f"{_BROKEN}{error.message}"
        raise InvalidRequestError(msg) from error
    try:
        part = form.get(PART)
        if not isinstance(part, UploadFile):
            msg = f"The multipart body has no complete part `{PART}` with a file name; send the image under this name."
            raise InvalidRequestError(msg)
        data = await part.read()
    finally:
        parser.close()
    if len(data) > limits.image_bytes:
        raise image_too_large(limits.image_bytes)
    return data
