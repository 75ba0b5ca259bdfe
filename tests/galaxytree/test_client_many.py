"""One image or many, through services that misbehave: what comes out, in which order, and how little is read ahead."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from galaxytree.client import (
    AsyncClient,
    Client,
    NotFetchedError,
    Result,
    TryLaterError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
    UnreadableFileError,
    to_table,
)
from tests.galaxies import draw_galaxy, encode, jpeg
from tests.galaxytree.odd_services import OddService, odd_service, url
from tests.servers import PATIENCE_SECONDS, Process, environment, serving, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def odd() -> Iterator[OddService]:
    with odd_service() as server:
        yield server


def numbers(results: list[Result]) -> list[int]:
    """Return which images were answered, and hold that each is where it should be."""
    assert [result.index for result in results] == list(range(len(results)))
    return [result.unwrap().image.width for result in results]


def test_every_kind_of_image_at_once(service: Process, tmp_path: Path) -> None:
    pixels = draw_galaxy(1, 96)
    grey = pixels[..., 0]
    path = tmp_path / "galaxy.png"
    path.write_bytes(encode(pixels, "PNG"))
    same = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), Image.fromarray(pixels), pixels]
    greys = [encode(grey, "PNG"), grey, Image.fromarray(grey), grey.astype(np.uint16) * 257]
    with Client(service.url) as client:
        results = list(client.classify_many([*same, *greys, jpeg()], concurrency=4))
        one = client.classify(path, detail="scores")
    found = [result.unwrap().scores for result in results]
    assert found[: len(same)] == [one.scores] * len(same)
    assert found[len(same) : -1] == [found[len(same)]] * len(greys)
    assert found[-1] not in found[:-1]
    assert results[0].unwrap().summary is None


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{list(image.shape)}",
)
def test_arrays_that_are_no_image(odd: OddService, image: np.ndarray) -> None:
    with Client(odd.address) as client:
        with pytest.raises(ValueError, match=r"uint8 of \[height, width, 3\]"):
            client.classify(image)
        with pytest.raises(ValueError, match="uint8"):
            list(client.classify_many([url(1), image]))
        with pytest.raises(TypeError, match="not int"):
            client.classify(7)  # type: ignore[arg-type]
    assert odd.calls <= 1


def test_an_image_that_fails_is_a_result(odd: OddService, tmp_path: Path) -> None:
    given = [url(0), tmp_path / "nowhere.png", "http://images.example/missing", url(3)]
    with Client(odd.address) as client:
        results = list(client.classify_many(given))
        with pytest.raises(NotFetchedError, match="no missing"):
            client.classify("http://images.example/missing")
    assert [result.ok for result in results] == [True, False, False, True]
    assert [result.item for result in results] == given
    assert [result.error.code for result in results if result.error] == ["unreadable_file", "fetch_failed"]
    with pytest.raises(UnreadableFileError):
        results[1].unwrap()
    table = to_table(results)
    assert table["index"].to_pylist() == [0, 1, 2, 3]
    assert table["image"].to_pylist() == [str(each) for each in given]
    assert table["Class1.1"].to_pylist() == [0.5, None, None, 0.5]
    assert table["error_code"].to_pylist() == [None, "unreadable_file", "fetch_failed", None]


def test_a_table_of_nothing_but_failures(odd: OddService) -> None:
    with Client(odd.address) as client:
        table = to_table(client.classify_many(["nowhere.png"]))
    assert table["Class11.6"].to_pylist() == [None]
    assert to_table([]).num_rows == 0


@pytest.mark.parametrize("concurrency", [1, 3, 64])
def test_no_more_is_read_than_is_in_flight(odd: OddService, concurrency: int) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for read in count(1):
            yield url(read - 1)

    with Client(odd.address) as client:
        results = client.classify_many(endless(), concurrency=concurrency)
        assert read == 0
        for number, result in enumerate(islice(results, 200), 1):
            assert result.unwrap().image.width == number - 1
            assert read < number + concurrency
        results.close()  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="concurrency"):
            next(client.classify_many([], concurrency=0))


def test_asynchronous_iterables(odd: OddService) -> None:
    async def images() -> AsyncIterator[str]:
        for number in range(50):
            await asyncio.sleep(0)
            yield url(number)

    async def ask() -> tuple[list[Result], list[Result]]:
        async with AsyncClient(odd.address) as client:
            every = [result async for result in client.classify_many(images(), concurrency=12)]
            some = []
            async for result in client.classify_many(map(url, count()), concurrency=12):
                some.append(result)
                if len(some) == 50:
                    break
            return every, some

    every, some = asyncio.run(ask())
    assert numbers(every) == numbers(some) == list(range(50))


def test_a_loop_that_is_left_drops_what_is_under_way(odd: OddService) -> None:
    odd.held = {url(20)}
    with Client(odd.address) as client:
        results = client.classify_many(map(url, count()), concurrency=8)
        assert numbers(list(islice(results, 18))) == list(range(18))
        wait_for(lambda: odd.asked[url(20)], "the call that is held")
        results.close()  # type: ignore[attr-defined]
        assert client.classify(url(5)).image.width == 5
        results = client.classify_many([url(20)])
        waiting = threading.Thread(target=_expect_cancellation, args=(results,))
        waiting.start()
        wait_for(lambda: odd.asked[url(20)] == 2, "the call that is held")
    # Closing waited for no answer, and neither does who waits for one: the gate was never opened.
    waiting.join(PATIENCE_SECONDS)
    assert not waiting.is_alive()


def _expect_cancellation(results: Iterator[Result]) -> None:
    with pytest.raises(CancelledError):
        next(results)


def test_ctrl_c_in_the_loop(odd: OddService) -> None:
    def interrupted() -> Iterator[str]:
        yield from map(url, range(20))
        raise KeyboardInterrupt

    with Client(odd.address) as client:
        with pytest.raises(KeyboardInterrupt):
            list(client.classify_many(interrupted(), concurrency=4))
        assert client.classify(url(1)).image.width == 1


def test_ctrl_c_while_waiting_ends_the_program(odd: OddService) -> None:
    odd.held = {url(1)}
    code = f"""
from galaxytree import Client
with Client({odd.address!r}) as client:
    for result in client.classify_many(["http://images.example/1"] * 100):
        print(result)
"""
    program = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: odd.calls, "the program to ask")
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=PATIENCE_SECONDS)
    assert said.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert "never" not in said
    assert program.returncode == -signal.SIGINT


@pytest.mark.parametrize("trouble", ["cut", "silent", "twice", "gzip", "busy"])
def test_all_are_answered_whatever_befalls_a_call(odd: OddService, trouble: str) -> None:
    with Client(odd.address) as client:
        assert client.classify(url(3)).image.width == 3
        odd.troubles.extend([trouble, None, trouble])  # type: ignore[list-item]
        odd.asked.clear()
        results = list(client.classify_many(map(url, range(40)), concurrency=40))
    assert numbers(results) == list(range(40))
    most = 3 if trouble in {"cut", "silent", "busy"} else 1
    assert set(odd.asked) == set(map(url, range(40)))
    assert max(odd.asked.values()) <= most


def test_what_a_broken_answer_held_is_not_asked_again(odd: OddService) -> None:
    with Client(odd.address) as client:
        odd.troubles.append("cut")
        assert numbers(list(client.classify_many(map(url, range(10)), concurrency=40))) == list(range(10))
    # Answers come last to first.
    assert [odd.asked[url(number)] for number in (0, 9)] == [2, 1]


@pytest.mark.parametrize("trouble", ["cut", "silent", "gzip", "busy"])
def test_one_image_is_answered_whatever_befalls_the_call(odd: OddService, trouble: str) -> None:
    with Client(odd.address) as client:
        client.classify(b"image")
        odd.troubles.append(trouble)  # type: ignore[arg-type]
        assert client.classify(b"image").image.width == 7
        odd.troubles.append(trouble)  # type: ignore[arg-type]
        assert client.classify(url(8)).image.width == 8


def test_nobody_is_asked_before_the_time_that_they_named(odd: OddService) -> None:
    with Client(odd.address) as client:
        odd.troubles.append("busy")
        began = time.monotonic()
        assert numbers(list(client.classify_many([url(0)]))) == [0]
        assert time.monotonic() - began >= 1


def test_patience_ends(odd: OddService) -> None:
    with Client(odd.address, patience_seconds=0.5) as client:
        odd.troubles.extend(["busy"] * 100)
        with pytest.raises(TryLaterError) as late:
            list(client.classify_many([url(0)]))
    assert late.value.code == "not_ready"
    assert odd.calls < 5


def test_what_concerns_all_images_is_raised(odd: OddService) -> None:
    with Client(odd.address) as client:
        odd.troubles.append("unauthorized")
        with pytest.raises(UnauthorizedError):
            list(client.classify_many([url(0)]))
        for trouble in ("garbage", "other network"):
            # The other network answers for the rest of a call that was cut.
            odd.troubles.extend(["cut", trouble])  # type: ignore[list-item]
            with pytest.raises(UnexpectedAnswerError):
                list(client.classify_many(map(url, range(8)), concurrency=32))
            odd.troubles.clear()
    with Client("http://127.0.0.1:1") as client, pytest.raises(UnreachableError):
        list(client.classify_many([url(0)]))


def test_several_services_share_the_work(odd: OddService) -> None:
    with odd_service() as other, Client([odd.address, other.address]) as client:
        results = list(client.classify_many(map(url, range(400)), concurrency=40))
        assert numbers(results) == list(range(400))
        assert odd.calls > 5
        assert other.calls > 5


def test_a_service_that_goes_takes_nothing_with_it(model_folder: Path, tmp_path: Path) -> None:
    settings = {"model": str(model_folder), "workers": "1"}
    image = jpeg(size=64)
    with (
        serving(tmp_path / "one", **settings) as one,
        serving(tmp_path / "other", **settings) as other,
        Client([one.url, other.url]) as client,
    ):
        results = client.classify_many([image] * 400, concurrency=32)
        found = [next(results) for _ in range(40)]
        one.stop(signal.SIGKILL)
        found += results
    assert [result.index for result in found] == list(range(400))
    assert all(result.ok for result in found)
