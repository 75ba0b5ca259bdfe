"""Forms that are nearly right, of one image and of batches."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from starlette.types import Message, Scope

from app.admission import Admission
from app.batch.form import Form
from app.bodies import BodyLimits, is_form, read_image
from app.errors import InvalidRequestError, PayloadTooLargeError
from tests.fuzz.mutations import cut, fuzz, has_words, nearly

BOUNDARY = b"galaxy-boundary"
CONTENT_TYPE = b"multipart/form-data; boundary=" + BOUNDARY
MOST_BYTES = 4_000
MOST_ITEMS = 9


def part(name: bytes, data: bytes, headers: bytes = b"") -> bytes:
    disposition = b'Content-Disposition: form-data; name="%b"; filename="galaxy.jpg"\r\n' % name
    return b"--%b\r\n%b%b\r\n%b\r\n" % (BOUNDARY, disposition, headers, data)


NOTE = b'--%b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n' % BOUNDARY
END = b"--%b--\r\n" % BOUNDARY
IMAGE = b"\xff\xd8\xff" + bytes(range(200))
FORMS = [
    part(b"file", IMAGE, b"Content-Type: image/jpeg\r\n") + END,
    part(b"file", IMAGE) + NOTE + END,
    NOTE + part(b"file", IMAGE, b"Content-Transfer-Encoding: binary\r\n") + END,
    b"a preamble\r\n" + part(b"file", b"") + END + b"an epilogue",
    part(b"file", bytes(MOST_BYTES)) + END,
]
BATCHES = [
    part(b"files", IMAGE, b"Content-Type: image/jpeg\r\n") * 3 + END,
    part(b"files", IMAGE) + NOTE + part(b"files", b"") + END,
    part(b"files", bytes(MOST_BYTES + 1)) + part(b"files", IMAGE) + END,
    part(b"files", IMAGE) * MOST_ITEMS + END,
]
TOKENS = [
    *(b"\r\n", b"--", b"\r\n--" + BOUNDARY, b"\r\n--" + BOUNDARY + b"--", BOUNDARY, b'\\"', b"\xe2\x80\xae"),
    *(b'filename="', b"filename*=UTF-8''%ff", b'name="file"', b'name="files"', b"; charset=undefined"),
    *(b"; charset=a\x00", b"; charset=punycode"),
    *(b"Content-Disposition:", b"Content-Type:", b"Content-Transfer-Encoding: base64\r\n"),
]
KINDS = [
    CONTENT_TYPE,
    b'multipart/form-data; boundary="%b"; charset=utf-16' % BOUNDARY,
    b"multipart/form-data; boundary=%b; charset=idna" % BOUNDARY,
    b"multipart/form-data; boundary=%b; charset=utf\x00-8" % BOUNDARY,
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=%b" % (b"x" * 300),
    b"multipart/form-data; boundary=\xff",
]
kinds = st.one_of(st.just(CONTENT_TYPE), st.sampled_from(KINDS), nearly(KINDS, TOKENS))

Sent = tuple[list[bytes], bytes]


def sent(corpus: Sequence[bytes]) -> st.SearchStrategy[Sent]:
    return st.tuples(nearly(corpus, TOKENS).flatmap(cut), kinds)


def receiving(pieces: Sequence[bytes]) -> Any:  # noqa: ANN401 (ASGI's)
    coming: Iterator[tuple[int, bytes]] = iter(enumerate(pieces, 1))

    async def receive() -> Message:
        number, piece = next(coming)
        return {"type": "http.request", "body": piece, "more_body": number < len(pieces)}

    return receive


async def image_of(pieces: Sequence[bytes], kind: bytes) -> bytes:
    scope: Scope = {"type": "http", "headers": [(b"content-type", kind)]}
    held: list[int] = []
    data = await read_image(scope, receiving(pieces), BodyLimits(MOST_BYTES, 30), held.append)
    assert sum(held) == sum(map(len, pieces))
    return data


def one_is_read_or_refused(given: Sent) -> None:
    pieces, kind = given
    try:
        data = asyncio.run(image_of(pieces, kind))
    except (InvalidRequestError, PayloadTooLargeError) as error:
        has_words(error)
    else:
        body = b"".join(pieces)
        assert len(data) <= MOST_BYTES
        # What comes out is what went in, and nothing that a parser made up.
        assert data in body
        if not is_form({"type": "http", "headers": [(b"content-type", kind)]}):
            assert data == body


async def images_of(pieces: Sequence[bytes], kind: bytes) -> list[bytes | None]:
    admission = Admission(max_images=100, max_bytes=1_000_000, retry_after_seconds=1)
    clock = asyncio.get_running_loop().time
    form = Form(clock, MOST_ITEMS, admission, kind, most_bytes=MOST_BYTES, body_bytes=None, ahead=MOST_ITEMS + 1)
    found: list[bytes | None] = []
    try:
        await form.read(receiving(pieces), lambda: None)
        while (item := form.next()) is not None:
            found.append(item.data)
            admission.give_back(images=0, count=len(item.data or b""))
            assert item.data is not None or isinstance(item.error, PayloadTooLargeError)
    finally:
        form.close()
        assert (admission.bytes, admission.images) == (0, 0)
    return found


def all_are_read_or_refused(given: Sent) -> None:
    pieces, kind = given
    try:
        found = asyncio.run(images_of(pieces, kind))
    except InvalidRequestError as error:
        has_words(error)
    else:
        assert 0 < len(found) <= MOST_ITEMS
        assert all(len(each) <= MOST_BYTES and each in b"".join(pieces) for each in found if each is not None)


def test_forms_of_one_image() -> None:
    fuzz("forms of an image", sent(FORMS), one_is_read_or_refused)


def test_forms_of_batches() -> None:
    fuzz("forms of batches", sent(BATCHES), all_are_read_or_refused)


def test_whole_forms_are_read_however_they_are_cut() -> None:
    whole = st.sampled_from(FORMS[:3]).flatmap(cut)

    def is_read(pieces: list[bytes]) -> None:
        assert asyncio.run(image_of(pieces, CONTENT_TYPE)) == IMAGE

    fuzz("whole forms, cut", whole, is_read, 0.25)
