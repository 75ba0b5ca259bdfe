"""The parts of a batch by themselves: lines, forms, and waiting for room in turn."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from app.admission import Admission
from app.batch.form import Form
from app.batch.lines import LINE_BYTES, Splitter, item_of
from galaxytree.schemas import MOST_ID_LETTERS

CONTENT_TYPE = b"multipart/form-data; boundary=galaxy"
FILE = b'--galaxy\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n%b\r\n'
END = b"--galaxy--\r\n"


@given(st.lists(st.binary(max_size=40).map(lambda each: each.replace(b"\n", b"")), max_size=9), st.integers(1, 50))
def test_lines_are_the_same_however_they_come(wanted: list[bytes], size: int) -> None:
    body, splitter = b"\n".join(wanted), Splitter()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    found = [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()
    assert found == [line for line in wanted if line.strip()]


@pytest.mark.parametrize("size", [1000, LINE_BYTES, 10 * LINE_BYTES])
def test_a_line_that_is_too_long_is_skipped_and_not_kept(size: int) -> None:
    wanted = [b"a", b"b" * LINE_BYTES, b"c" * (LINE_BYTES + 1), b"d", b"e" * 5 * LINE_BYTES, b"", b"f"]
    body, splitter, found = b"\n".join(wanted), Splitter(), []
    for start in range(0, len(body), size):
        found += splitter.feed(body[start : start + size])
        assert len(splitter._rest) <= LINE_BYTES
    assert [*found, *splitter.end()] == [b"a", wanted[1], None, b"d", None, b"f"]


def test_an_id_may_be_so_long() -> None:
    for count in (MOST_ID_LETTERS, MOST_ID_LETTERS + 1):
        item = item_of(0, b'{"id": "%b", "url": "x"}' % ("é" * count).encode())
        assert (item.error is None) == (count == MOST_ID_LETTERS)


async def turned() -> None:
    """Let everyone who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_waits_for_room_gets_it_in_turn() -> None:
    async def go() -> list[str]:
        admission = Admission(max_images=16, max_bytes=1000, retry_after_seconds=1, bulk_share=0.5)
        order: list[str] = []

        async def enter(name: str, images: int) -> None:
            await admission.enter_in_turn(images)
            order.append(name)

        await admission.enter_in_turn(8)
        waiting = [
            asyncio.create_task(enter(name, images)) for name, images in (("large", 8), ("small", 1), ("gone", 1))
        ]
        await turned()
        assert admission.images == 8
        admission.give_back(images=4, count=0)
        await turned()
        # There would be room for the small one, but it isn't its turn.
        assert order == []
        waiting[2].cancel()
        admission.give_back(images=4, count=0)
        await turned()
        assert (order, admission.images) == (["large"], 8)
        admission.give_back(images=8, count=0)
        await asyncio.gather(*waiting, return_exceptions=True)
        assert admission.images == 1
        return order

    assert asyncio.run(go()) == ["large", "small"]


def test_who_goes_in_the_moment_of_getting_room_gives_it_to_the_next() -> None:
    async def go() -> None:
        admission = Admission(max_images=1, max_bytes=1000, retry_after_seconds=1)
        await admission.enter_in_turn(1)
        first, second = (asyncio.create_task(admission.enter_in_turn(1)) for _ in range(2))
        await turned()
        admission.give_back(images=1, count=0)
        first.cancel()
        await second
        assert (admission.images, first.cancelled()) == (1, True)

    asyncio.run(go())


def test_who_is_first_and_goes_lets_the_next_one_in() -> None:
    async def go() -> None:
        admission = Admission(max_images=8, max_bytes=1000, retry_after_seconds=1)
        await admission.enter_in_turn(1)
        large, small = asyncio.create_task(admission.enter_in_turn(8)), asyncio.create_task(admission.enter_in_turn(1))
        await turned()
        large.cancel()
        await small
        assert admission.images == 2

    asyncio.run(go())


def test_bytes_are_waited_for_in_turn_and_one_image_always_fits() -> None:
    async def go() -> None:
        admission = Admission(max_images=1, max_bytes=1000, retry_after_seconds=1, bulk_share=0.5)
        await admission.hold_in_turn(900)
        waiting = asyncio.create_task(admission.hold_in_turn(100))
        await turned()
        assert (admission.bytes, admission.crowded) == (900, True)
        waiting.cancel()
        await turned()
        waiting = asyncio.create_task(admission.hold_in_turn(100))
        await turned()
        admission.give_back(images=0, count=900)
        waiting.cancel()
        await turned()
        assert (admission.bytes, admission.crowded) == (0, False)

    asyncio.run(go())


def pieces(*bodies: bytes) -> Iterator[Message]:
    for body in bodies:
        yield {"type": "http.request", "body": body, "more_body": True}
    yield {"type": "http.request", "body": b""}


def form_of(admission: Admission, *, body_bytes: int | None = None, ahead: int = 9) -> Form:
    clock = asyncio.get_running_loop().time
    return Form(clock, 9, admission, CONTENT_TYPE, most_bytes=400, body_bytes=body_bytes, ahead=ahead)


def test_a_form_is_read_as_there_is_room_for_its_bytes() -> None:
    async def go() -> None:
        admission = Admission(max_images=8, max_bytes=1000, retry_after_seconds=1)
        await admission.hold_in_turn(700)
        form, said = form_of(admission), pieces(FILE % bytes(300), FILE % bytes(300), FILE % bytes(9), END)

        async def receive() -> Message:
            return next(said)

        reading = asyncio.create_task(form.read(receive, lambda: None))
        await turned()
        # The largest image may come first, for which there is no room.
        assert (form.ready, form.hungry_since, admission.bytes) == (0, None, 700)
        admission.give_back(images=0, count=600)
        await turned()
        # Two came, of 300 each, and beside them there is no room for another large one.
        assert (form.ready, form.hungry_since, admission.bytes) == (2, None, 700)
        while not reading.done():
            item = form.next()
            if item is not None:
                admission.give_back(images=0, count=len(item.data or b""))
            await turned()
        assert form.closed
        form.close()
        assert admission.bytes == 100

    asyncio.run(go())


def test_forms_with_parts_of_images_hold_no_more_bytes_than_there_is_room_for() -> None:
    async def go() -> None:
        admission = Admission(max_images=8, max_bytes=1000, retry_after_seconds=1)
        begun, end = FILE.partition(b"%b")[0], b"\r\n" + END
        taken = [0] * 9
        going_on = asyncio.Event()

        async def read(number: int) -> int:
            form, said = form_of(admission), pieces(begun, *[bytes(50)] * 7, end)

            async def receive() -> Message:
                await (going_on.wait() if taken[number] == 6 else asyncio.sleep(0))
                taken[number] += 1
                return next(said)

            try:
                await form.read(receive, lambda: None)
                item = form.next()
                assert item is not None
                assert item.data is not None
                admission.give_back(images=0, count=len(item.data))
                return len(item.data)
            finally:
                form.close()

        reading = [asyncio.create_task(read(number)) for number in range(len(taken))]
        for _ in range(20):
            await turned()
        # With room for two, two are read on; of the others no image has more than its beginning here.
        assert sorted(taken) == [2] * 7 + [6] * 2
        assert admission.bytes <= 1000
        going_on.set()
        assert await asyncio.gather(*reading) == [350] * len(reading)
        assert (admission.bytes, admission.crowded) == (0, False)

    asyncio.run(go())


def test_a_form_is_read_so_far_ahead() -> None:
    async def go() -> None:
        admission = Admission(max_images=8, max_bytes=10_000, retry_after_seconds=1)
        form, said = form_of(admission, body_bytes=300, ahead=2), pieces(*[FILE % b"x"] * 5, END)

        async def receive() -> Message:
            return next(said)

        reading = asyncio.create_task(form.read(receive, lambda: None))
        await turned()
        # A file is known to be whole when something follows it.
        assert (form.ready, admission.bytes) == (2, 302)
        for _ in range(5):
            assert form.next() is not None
            await turned()
        await reading
        form.close()
        assert admission.bytes == 5

    asyncio.run(go())
