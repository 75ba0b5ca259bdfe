"""What a form's header says: the boundary is taken as it is, and a charset never reaches what reads the body."""

import asyncio
import encodings

import pytest
from starlette.types import Message

from app.batch.accept import kind_of
from app.bodies import MOST_TYPE_BYTES, BodyLimits, read_image
from app.errors import InvalidRequestError, UnsupportedMediaTypeError

IMAGE = b"\xff\xd8\xff and what follows"


async def read(kind: bytes, *pieces: bytes) -> bytes:
    """Read a form that comes in pieces; one that is asked for and not there is a failure."""
    coming = enumerate(pieces, 1)

    async def receive() -> Message:
        number, piece = next(coming)
        return {"type": "http.request", "body": piece, "more_body": number < len(pieces)}

    scope = {"type": "http", "headers": [(b"content-type", kind)]}
    return await read_image(scope, receive, BodyLimits(1_000_000, 30), lambda _count: None)


# The server refuses a header with NUL before it is here; another one might not.
@pytest.mark.parametrize("charset", [b"utf\0-8", b"\0", b"undefined", b"utf-16", b"punycode", b'"utf-7\0"', b"n" * 900])
def test_a_charset_is_not_looked_at_nor_remembered(charset: bytes) -> None:
    head = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    before = len(encodings._cache)  # type: ignore[attr-defined]  # what Python remembers
    kind = b"multipart/form-data; boundary=b; charset=" + charset
    assert asyncio.run(read(kind, b"--b\r\n%b%b\r\n--b--\r\n" % (head, IMAGE))) == IMAGE
    assert len(encodings._cache) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("many", [b";", b"; charset=a", b"x"])
def test_a_type_that_is_too_long_is_refused_before_it_is_taken_apart(many: bytes) -> None:
    kind = b"multipart/form-data; boundary=b"
    longest = kind + b";" * (MOST_TYPE_BYTES - len(kind))
    head = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    assert asyncio.run(read(longest, b"--b\r\n%b%b\r\n--b--\r\n" % (head, IMAGE))) == IMAGE
    for too_long in (longest + b";", kind + many * 60_000):
        with pytest.raises(InvalidRequestError, match="no boundary within"):
            asyncio.run(read(too_long))
        with pytest.raises(UnsupportedMediaTypeError):
            kind_of({"headers": [(b"content-type", too_long)]})


def test_a_form_without_a_boundary_is_refused_before_the_body_comes() -> None:
    for kind in (b"multipart/form-data", b"multipart/form-data; boundary", b"multipart/form-data; charset=utf-8"):
        with pytest.raises(InvalidRequestError, match="can't be read"):
            asyncio.run(read(kind, b"data"))


@pytest.mark.parametrize(
    ("said", "boundary"),
    [
        (b"plain", b"plain"),
        (b'"with space"', b"with space"),
        (b'"semi;colon"', b"semi;colon"),
        (b"'()+_,-./:=?", b"'()+_,-./:=?"),
        (rb'"quo\"te"', b'quo"te'),
        (rb"back\slash", rb"back\slash"),
        (rb"both\"", rb"both\""),
        (b"\xff\xe9", b"\xff\xe9"),
    ],
)
@pytest.mark.parametrize("charset", [b"", b"; charset=utf-8", b"; charset=idna"])
def test_a_boundary_is_what_the_header_says(said: bytes, boundary: bytes, charset: bytes) -> None:
    head = b'Content-Disposition: form-data; name="file"; filename="\xff"\r\n\r\n'
    body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (boundary, head, IMAGE, boundary)
    assert asyncio.run(read(b"multipart/form-data; boundary=" + said + charset, body)) == IMAGE
