"""What whoever fetches notices: kept connections, tries, turns and times."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

import app.fetching.pool
from app.errors import FetchFailedError, FetchTimeoutError
from app.fetching.fetcher import Fetcher
from app.fetching.mishaps import UNUSABLE
from app.fetching.pauses import seconds_of
from app.settings import Settings
from tests.hostile.hosts import (
    IMAGE,
    Answer,
    Visit,
    fetching,
    head,
    host,
    one_after_the_other,
    outcome,
    redirecting,
    run,
    saying,
    until,
    whole,
    with_image,
    with_status,
)


async def dropping(visit: Visit) -> None:
    visit.drop()


async def dropping_in_the_middle(visit: Visit) -> None:
    await visit.say(whole(IMAGE)[:5000])
    visit.writer.close()


def test_a_connection_serves_one_image_after_the_other() -> None:
    async def test() -> None:
        chunked = head(200, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(IMAGE), IMAGE)
        answers = one_after_the_other(
            with_image(), saying(chunked), with_status(404), saying(head(103, "X: y") + whole(IMAGE)), with_image()
        )
        async with host(answers) as one, fetching(one.entry) as fetcher:
            got = [await outcome(fetcher, one.url()) for _ in range(5)]
            assert [each == IMAGE for each in got] == [True, True, False, True, True]
            assert one.connections == 1

    run(test())


def test_it_runs_in_the_loop_of_the_standard_library_too() -> None:
    async def test() -> None:
        answers = one_after_the_other(with_image(), dropping, with_image())
        async with host(answers) as one, fetching(one.entry) as fetcher:
            assert [await outcome(fetcher, one.url()) for _ in range(2)] == [IMAGE, IMAGE]

    asyncio.run(test())


@pytest.mark.parametrize(
    "answer",
    [
        with_image("Connection: close"),
        saying(whole(IMAGE).replace(b"HTTP/1.1", b"HTTP/1.0")),
    ],
)
def test_a_connection_that_the_host_means_to_close_is_not_kept(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry) as fetcher:
            assert [await outcome(fetcher, one.url()) for _ in range(2)] == [IMAGE, IMAGE]
            assert one.connections == 2

    run(test())


def test_a_body_that_ends_with_its_connection() -> None:
    async def answer(visit: Visit) -> None:
        await visit.say(head(200) + IMAGE)
        visit.writer.close()

    async def test() -> None:
        async with host(answer) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE

    run(test())


def test_an_empty_body_is_no_bytes() -> None:
    async def test() -> None:
        async with host(saying(whole(b""))) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == b""

    run(test())


@pytest.mark.parametrize("spoils", [dropping, saying(b"HTTP/1.1 408"), saying(b"nonsense")])
def test_a_kept_connection_that_is_of_no_use_any_more_is_no_try(spoils: Answer) -> None:
    async def answer(visit: Visit) -> None:
        if visit.number % 2:
            await spoils(visit)
            visit.writer.close()
        else:
            await visit.say(whole(IMAGE))

    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_tries=1) as fetcher:
            assert [await outcome(fetcher, one.url()) for _ in range(3)] == [IMAGE] * 3
            assert [visit.connection for visit in one.visits] == [1, 1, 2, 2, 3]

    run(test())


def test_an_answer_that_breaks_off_on_a_kept_connection_is_a_try() -> None:
    async def test() -> None:
        answers = one_after_the_other(with_image(), dropping_in_the_middle, with_image())
        async with host(answers) as one, fetching(one.entry, fetch_tries=1) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)
            assert len(one.visits) == 2

    run(test())


def test_a_host_that_closes_idle_connections() -> None:
    async def answer(visit: Visit) -> None:
        await visit.say(whole(IMAGE))
        visit.writer.close()

    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_tries=1) as fetcher:
            for _ in range(3):
                assert await outcome(fetcher, one.url()) == IMAGE
                await until(lambda: not fetcher._pool._all)
            assert fetcher._pool._idle == {}

    run(test())


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_host_that_is_busy_is_asked_again(status: int) -> None:
    async def test() -> None:
        answers = one_after_the_other(with_status(status), with_image())
        async with host(answers) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE
            assert len(one.visits) == 2

    run(test())


@pytest.mark.parametrize("answer", [dropping, dropping_in_the_middle, with_status(503), with_status(429)])
def test_tries_come_to_an_end(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_tries=2) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchFailedError)
            assert error.detail == UNUSABLE
            assert len(one.visits) == 2

    run(test())


@pytest.mark.parametrize("answer", [dropping, dropping_in_the_middle])
def test_a_connection_that_is_dropped_is_made_again(answer: Answer) -> None:
    async def test() -> None:
        async with host(one_after_the_other(answer, with_image())) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE

    run(test())


def test_a_host_that_is_not_there_yet_is_tried_again() -> None:
    async def test() -> None:
        async with host(with_image()) as one:
            port, entry, url = one.port, one.entry, one.url()
        async with fetching(entry, fetch_tries=100) as fetcher:
            fetch = asyncio.create_task(outcome(fetcher, url))
            await asyncio.sleep(0.1)
            assert not fetch.done()
            async with host(with_image(), port=port):
                assert await fetch == IMAGE

    run(test())


def test_a_host_that_asks_for_time_gets_it() -> None:
    async def test() -> None:
        answers = one_after_the_other(with_status(503, "Retry-After: 1"), with_image())
        async with host(answers) as one, fetching(one.entry) as fetcher:
            began = time.monotonic()
            assert await outcome(fetcher, one.url()) == IMAGE
            assert time.monotonic() - began >= 1

    run(test())


def test_a_host_that_asks_for_more_time_than_there_is_is_not_waited_for() -> None:
    async def test() -> None:
        async with host(with_status(429, "Retry-After: 31")) as one, fetching(one.entry) as fetcher:
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)
            assert len(one.visits) == 1

    run(test())


def test_how_long_to_wait_is_a_number_or_a_date() -> None:
    now = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
    date = format_datetime(now, usegmt=True).encode()
    assert seconds_of(b"12") == 12.0
    assert seconds_of(date, lambda: now.timestamp() - 5) == 5.0
    assert seconds_of(date, lambda: now.timestamp() + 5) == 0.0
    assert seconds_of(b"9" * 5000) > 1e8
    for nothing in (None, b"", b"soon", b"-1", b"1.5", b"\xb2", b"Sat, 99 Nov 9999999 99:99:99 GMT"):
        assert seconds_of(nothing) == 0.0


def test_who_waits_to_try_again_holds_no_place() -> None:
    async def test() -> None:
        busy = one_after_the_other(with_status(503, "Retry-After: 1"), with_image())
        async with (
            host(busy) as first,
            host(with_image(), "127.0.0.4") as second,
            fetching(f"{first.entry} {second.entry}", fetch_concurrency=1) as fetcher,
        ):
            waits = asyncio.create_task(outcome(fetcher, first.url()))
            await until(lambda: len(first.visits) == 1)
            assert await outcome(fetcher, second.url()) == IMAGE
            assert len(first.visits) == 1
            assert await waits == IMAGE

    run(test())


class Gate:
    """Answers once it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        await self.open.wait()
        await visit.say(whole(IMAGE))


def test_so_many_at_a_time_in_all_and_from_one_host() -> None:
    async def test() -> None:
        gate = Gate()
        async with (
            host(gate) as first,
            host(gate, "127.0.0.4") as second,
            fetching(f"{first.entry} {second.entry}", fetch_concurrency=3, fetch_per_host=2) as fetcher,
        ):
            fetches = [asyncio.create_task(outcome(fetcher, first.url())) for _ in range(5)]
            await until(lambda: len(first.visits) == 2)
            fetches += [asyncio.create_task(outcome(fetcher, second.url())) for _ in range(5)]
            await until(lambda: len(second.visits) == 1)
            await asyncio.sleep(0.05)
            assert (len(first.visits), len(second.visits)) == (2, 1)
            gate.open.set()
            assert await asyncio.gather(*fetches) == [IMAGE] * 10
            assert (first.connections, len(first.visits)) == (2, 5)
            assert second.connections <= 2
            assert fetcher._turns.free == 3

    run(test())


def test_waiting_in_turn_takes_no_time_of_a_fetch() -> None:
    async def slow(visit: Visit) -> None:
        await asyncio.sleep(0.3)
        await visit.say(whole(IMAGE))

    async def test() -> None:
        async with (
            host(slow) as one,
            fetching(one.entry, fetch_concurrency=1, fetch_timeout_seconds=1.0) as fetcher,
        ):
            fetches = [outcome(fetcher, one.url()) for _ in range(5)]
            assert await asyncio.gather(*fetches) == [IMAGE] * 5

    run(test())


def test_tries_and_pauses_have_one_time_in_all() -> None:
    async def test() -> None:
        async with (
            host(one_after_the_other(with_status(503), Visit.wait_for_ever)) as one,
            fetching(one.entry, fetch_timeout_seconds=1.5) as fetcher,
        ):
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchTimeoutError)
            assert error.detail == "The image was not there after 1.5 s."
            assert len(one.visits) == 2

    run(test())


def test_a_status_is_told_although_the_rest_of_its_answer_never_comes(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(visit: Visit) -> None:
        await visit.say(head(404, "Content-Length: 100") + b"not")
        await visit.wait_for_ever()

    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_timeout_seconds=0.3) as fetcher:
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)

    with caplog.at_level("DEBUG", logger="app.fetching"):
        run(test())
    # Whoever runs the service may know.
    assert "The host answered 404." in caplog.text


@pytest.mark.parametrize("answer", [Visit.wait_for_ever, with_status(503, "Retry-After: 20")])
def test_who_goes_leaves_no_connection_and_no_place_behind(answer: Answer) -> None:
    async def test() -> None:
        async with (
            host(answer) as one,
            host(with_image(), "127.0.0.4") as other,
            fetching(f"{one.entry} {other.entry}", fetch_concurrency=1) as fetcher,
        ):
            fetch = asyncio.create_task(fetcher.fetch(one.url()))
            await until(lambda: len(one.visits) == 1)
            await asyncio.sleep(0.05)
            fetch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetch
            assert fetcher._turns.free == 1
            assert await outcome(fetcher, other.url()) == IMAGE
            if answer is Visit.wait_for_ever:
                await until(lambda: len(fetcher._pool._all) == 1)

    run(test())


def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.fetching.pool, "IDLE_SECONDS", 0.1)

    async def test() -> None:
        async with host(with_image()) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE
            await until(lambda: one.open == 0)
            await until(lambda: fetcher._pool._looking is None)
            assert await outcome(fetcher, one.url()) == IMAGE

    run(test())


def test_so_many_idle_connections_are_kept() -> None:
    async def test() -> None:
        async with (
            host(with_image(), "127.0.0.2") as first,
            host(with_image(), "127.0.0.4") as second,
            host(with_image(), "127.0.0.5") as third,
            fetching(f"{first.entry} {second.entry} {third.entry}", fetch_concurrency=2) as fetcher,
        ):
            for each in (first, second, third):
                assert await outcome(fetcher, each.url()) == IMAGE
            await until(lambda: first.open == 0)
            assert (second.open, third.open) == (1, 1)

    run(test())


def test_what_is_being_fetched_at_the_end_fails() -> None:
    async def test() -> None:
        async with host(Visit.wait_for_ever) as one, fetching(one.entry) as fetcher:
            fetch = asyncio.create_task(outcome(fetcher, one.url()))
            await until(lambda: len(one.visits) == 1)
            await fetcher.close()
            assert isinstance(await fetch, FetchFailedError)
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)

    run(test())


def test_it_is_made_of_settings() -> None:
    async def test() -> None:
        fetcher = Fetcher.of(Settings())
        assert fetcher._turns.free == 64
        await fetcher.close()

    run(test())


class Place:
    """Room for an image of those for which there is room for one at a time."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self.free = free
        self.held = False

    async def hold(self) -> None:
        assert not self.held
        await self.free.acquire()
        self.held = True

    def let_go(self) -> None:
        if self.held:
            self.free.release()
        self.held = False


def test_room_is_held_by_those_only_whose_turn_it_is() -> None:
    tries: Counter[str] = Counter()

    async def answer(visit: Visit) -> None:
        # Each image is further on, then its host is busy, and the second time it is there.
        assert free.locked()
        tries[visit.path] += 1
        place, _, which = visit.path.partition("?")
        if place == "/there" and tries[visit.path] > 1:
            await with_image()(visit)
        else:
            await (with_status(503) if place == "/there" else redirecting(f"/there?{which}"))(visit)

    async def image(fetcher: Fetcher, url: str) -> bytes:
        room = Place(free)
        found = await fetcher.fetch(url, room)
        assert room.held
        room.let_go()
        return found

    free = asyncio.Semaphore(1)

    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_concurrency=2) as fetcher, asyncio.timeout(60):
            urls = [one.url(f"/away?{number}") for number in range(6)]
            assert await asyncio.gather(*(image(fetcher, url) for url in urls)) == [IMAGE] * len(urls)
        # The way there twice, and its end twice.
        assert not free.locked()
        assert tries.total() == 4 * len(urls)

    run(test())
