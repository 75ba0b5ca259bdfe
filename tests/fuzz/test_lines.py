"""Batches as lines and as documents that are nearly right."""

import asyncio
from collections.abc import Sequence

import orjson
from hypothesis import strategies as st

from app.admission import Admission
from app.batch.items import Item
from app.batch.lines import LINE_BYTES, Lines
from app.batch.listed import Listed
from app.errors import InvalidRequestError, PayloadTooLargeError, RequestError
from galaxytree.schemas import MOST_ID_LETTERS
from tests.fuzz.mutations import cut, fuzz, has_words, nearly
from tests.fuzz.test_forms import receiving

URL = "http://images.example/1.jpg"
LINES = [
    b'{"url": "%b"}\n{"id": "a", "url": "%b"}\n' % (URL.encode(), URL.encode()),
    b'\r\n \n{"url": "%b", "id": null}\n\n{"url": "x"}' % URL.encode(),
    b'{"url": "%b"}\n' % (b"u" * LINE_BYTES) + b'{"url": "%b"}\n' % URL.encode(),
    b'{"id": "%b", "url": ""}\n[1, 2]\nnull\n"url"\n' % (b"i" * (MOST_ID_LETTERS + 1)),
]
DOCUMENTS = [
    orjson.dumps({"urls": [URL, URL]}),
    orjson.dumps({"items": [{"id": "a", "url": URL}, {"url": URL}]}),
    orjson.dumps({"items": [{"id": None, "url": URL}], "urls": []}),
    orjson.dumps({"urls": [URL] * 40}),
]
TOKENS = [
    b"\n", b"\r\n", b"\x00", b'"url":', b'"id":', b"{", b"}", b"[" * 60, b"]", b'"', b"\\u0000", b"\\ud800",
    b"\xed\xa0\x80",
    b"null", b"1e999", b"-0", b"NaN", b"\xef\xbb\xbf", b'"items":', b'"urls":', b"9" * 400, b"\xe2\x80\xa8", b"x" * 700,
]  # fmt: skip
MOST_ITEMS = 30


def is_item_or_error(item: Item) -> None:
    if item.error is None:
        assert isinstance(item.url, str)
    else:
        assert isinstance(item.error, RequestError)
        has_words(item.error)
    assert item.id is None or len(item.id) <= MOST_ID_LETTERS


async def items_of(pieces: Sequence[bytes]) -> list[tuple[int, str | None, str, str | None]]:
    lines, found = Lines(asyncio.get_running_loop().time, None), []

    def take() -> None:
        while (item := lines.next()) is not None:
            is_item_or_error(item)
            found.append((item.index, item.id, item.url, item.error.detail if item.error else None))

    await lines.read(receiving(pieces), take)
    assert lines.closed
    return found


def are_read_however_they_are_cut(given: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = given
    outcomes = []
    for each in ([whole], pieces):
        try:
            outcomes.append(asyncio.run(items_of(each)))
        except InvalidRequestError as error:
            assert not whole.strip()
            outcomes.append([(0, None, error.detail, None)])
    assert outcomes[0] == outcomes[1]
    assert [each[0] for each in outcomes[0]] == [*range(len(outcomes[0]))]


def test_lines() -> None:
    inputs = nearly(LINES, TOKENS).flatmap(lambda data: st.tuples(st.just(data), cut(data)))
    fuzz("lines of batches", inputs, are_read_however_they_are_cut)


async def listed(pieces: Sequence[bytes]) -> None:
    admission = Admission(max_images=100, max_bytes=10_000_000, retry_after_seconds=1)
    document = Listed(asyncio.get_running_loop().time, MOST_ITEMS, admission)
    try:
        await document.read(receiving(pieces), lambda: None)
        assert 0 < document.ready <= MOST_ITEMS
        while (item := document.next()) is not None:
            is_item_or_error(item)
    finally:
        document.close()
        assert admission.bytes == 0


def is_read_or_refused(pieces: list[bytes]) -> None:
    try:
        asyncio.run(listed(pieces))
    except (InvalidRequestError, PayloadTooLargeError) as error:
        has_words(error)


def test_documents() -> None:
    fuzz("documents of batches", nearly(DOCUMENTS, TOKENS).flatmap(cut), is_read_or_refused)
