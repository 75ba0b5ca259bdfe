"""Many images through a client: in order, lazily, so many at a time, and whatever goes wrong in its place."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from galaxytree.client import (
    AsyncClient,
    Client,
    GalaxytreeError,
    RequestRefusedError,
    Result,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tests.galaxies import draw_galaxy, encode, jpeg, png
from tests.hostile.services import Asked, free_port, line, misbehaving, ok, well
from tests.image_host import image_host
from tests.servers import PATIENCE_SECONDS, Process, environment, serving, wait_for

if TYPE_CHECKING:
    from galaxytree.given import Given


def code_of(result: Result) -> str:
    return "ok" if result.error is None else result.error.code


def name_of(result: Result) -> str:
    return result.unwrap().model.name


def test_all_kinds_through_a_real_service(model_folder: Path, tmp_path: Path) -> None:
    galaxy = draw_galaxy(5, 60)
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    with (
        image_host() as images,
        serving(tmp_path / "log", model=str(model_folder), fetch_hosts=images.hosts, workers="1") as one,
        Client([one.url]) as client,
    ):
        images.let_go()
        given: list[Given] = [
            path, f"{images.url}/galaxy/1", b"no image", galaxy, f"{images.url}/missing", "nowhere.jpg", galaxy / 255,
            "ftp://a", str(path), f"{images.url}/galaxy/1", jpeg(7), str(tmp_path),
        ]  # fmt: skip
        results = list(client.classify_many(given, concurrency=8))
        assert [code_of(result) for result in results] == [
            "ok", "ok", "undecodable_image", "ok", "fetch_failed", "unreadable_file", "unusable_image",
            "unusable_image", "ok", "ok", "ok", "unreadable_file",
        ]  # fmt: skip
        assert [result.index for result in results] == list(range(len(given)))
        assert all(result.item is each for result, each in zip(results, given, strict=True))
        assert str(results[5].error) == f"{given[5]}: No such file or directory"
        assert isinstance(results[5].error.__cause__, FileNotFoundError)  # type: ignore[union-attr]
        for result in results:
            if result.ok:
                alone = client.classify(result.item, detail="scores")
                assert alone.scores == pytest.approx(result.unwrap().scores, abs=1e-6)
        (full,) = client.classify_many([path], detail="full", views=8)
        assert full.unwrap().summary
        assert full.unwrap().views == 8
        assert full.unwrap().scores == client.classify(path, views=8).scores
        with pytest.raises(GalaxytreeError) as missing:
            client.classify(f"{images.url}/missing")
        assert missing.value.code == "fetch_failed"


def test_a_picture_is_the_same_in_every_form(service: Process, tmp_path: Path) -> None:
    pixels = draw_galaxy(1, 96)
    grey = pixels[..., 0]
    path = tmp_path / "galaxy.png"
    path.write_bytes(encode(pixels, "PNG"))
    same: list[Given] = [path, str(path), path.read_bytes(), Image.fromarray(pixels), pixels]
    greys: list[Given] = [encode(grey, "PNG"), grey, Image.fromarray(grey), grey.astype(np.uint16) * 257]
    with Client(service.url) as client:
        found = [result.unwrap().scores for result in client.classify_many([*same, *greys], concurrency=4)]
    assert found[:5] == [found[0]] * 5
    assert found[5:] == [found[5]] * 4
    assert found[0] != found[5]


def test_what_fits_into_no_png_is_a_builtin_error_of_one_image(service: Process) -> None:
    with Client(service.url) as client:
        for wrong, kind in ((np.zeros((2, 2)), ValueError), (None, TypeError), ("nowhere", OSError)):
            with pytest.raises(kind):
                client.classify(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("concurrency", "calls"), [(1, 1), (3, 3), (8, 4), (30, 4), (2048, 8)])
def test_only_so_many_are_read_ahead_and_in_flight(concurrency: int, calls: int) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for read in count(1):
            yield f"http://{read - 1}"

    with misbehaving() as one, Client(one.url) as client:
        results = client.classify_many(endless(), concurrency=concurrency)
        time.sleep(0.05)
        assert (read, one.heard) == (0, [])
        for taken in range(100):
            assert name_of(next(results)) == f"http://{taken}"
            assert read <= taken + concurrency
        results.close()
        assert one.most <= calls


def test_a_slow_call_holds_its_place_and_others_go_on() -> None:
    gate = threading.Event()

    def says(asked: Asked) -> None:
        if "http://0" in asked.names:
            gate.wait(PATIENCE_SECONDS)
        well(asked)

    with misbehaving(then=says) as one, Client(one.url) as client:
        results = client.classify_many((f"http://{number}" for number in range(40)), concurrency=4)
        thread = threading.Timer(0.1, lambda: (wait_for(lambda: len(one.heard) == 4, "the others"), gate.set()))
        thread.start()
        assert [name_of(result) for result in results] == [f"http://{number}" for number in range(40)]
        thread.join()


def test_who_leaves_early_leaves_nothing_behind(service: Process) -> None:
    before = threading.active_count()
    with Client(service.url) as client:
        for result in client.classify_many([jpeg()] * 1000):
            assert result.ok
            break
        assert client.classify(jpeg()).views == 1
    client.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.classify(jpeg())


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_that_is_none_is_told_at_the_call(service: Process, concurrency: int) -> None:
    with Client(service.url) as client, pytest.raises(ValueError, match="it is 1 or more"):
        client.classify_many([], concurrency=concurrency)


def test_what_is_wrong_with_all_is_raised() -> None:
    cases: list[tuple[str, int, type[Exception]]] = [
        ("unauthorized", 401, UnauthorizedError),
        ("invalid_request", 422, RequestRefusedError),
    ]
    for code, status, kind in cases:
        with (
            misbehaving(then=lambda asked, code=code, status=status: asked.refuse(status, code)) as one,  # type: ignore[misc]
            Client(one.url) as client,
            pytest.raises(kind),
        ):
            list(client.classify_many([b"x"] * 9))
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(UnreachableError):
        list(client.classify_many([b"x"]))
    odd = ok(0, "x")
    odd["classification"] = {"scores": {}}
    with (
        misbehaving(then=lambda asked: asked.stream([line(odd)])) as one,
        Client(one.url) as client,
        pytest.raises(UnexpectedAnswerError, match="that no galaxytree service would give"),
    ):
        list(client.classify_many([b"x"]))


def test_an_error_of_the_iterable_is_its_own() -> None:
    def images() -> Iterator[str]:
        yield from (f"http://{number}" for number in range(10))
        msg = "the disk is gone"
        raise OSError(msg)

    with misbehaving() as one, Client(one.url) as client:
        results = client.classify_many(images(), concurrency=4)
        with pytest.raises(OSError, match="the disk is gone"):
            list(results)


def test_the_iterable_is_read_where_the_results_are_taken() -> None:
    threads = set()

    def images() -> Iterator[bytes]:
        for _ in range(20):
            threads.add(threading.current_thread())
            yield b"x"

    with misbehaving() as one, Client(one.url) as client:
        assert len(list(client.classify_many(images(), concurrency=4))) == 20
    assert threads == {threading.current_thread()}


def test_large_files_go_in_calls_of_some_mib() -> None:
    with misbehaving() as one, Client(one.url) as client:
        results = list(client.classify_many([bytes(1 << 20)] * 12, concurrency=48))
    assert all(result.ok for result in results)
    assert [len(names) for names in one.names] == [4, 4, 4]


def test_threads_may_share_a_client() -> None:
    found: list[list[str]] = []

    def ask(client: Client, first: int) -> None:
        urls = [f"http://{number}" for number in range(first, first + 50)]
        found.append([name_of(result) for result in client.classify_many(urls, concurrency=8)])

    with misbehaving() as one, Client(one.url) as client:
        threads = [threading.Thread(target=ask, args=(client, first)) for first in (0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    wanted = [[f"http://{number}" for number in range(first, first + 50)] for first in (0, 100, 200)]
    assert sorted(found, key=lambda names: int(names[0][7:])) == wanted


def test_services_share_the_work_and_one_that_goes_is_not_noticed(model_folder: Path, tmp_path: Path) -> None:
    settings = {"model": str(model_folder), "workers": "1"}
    with serving(tmp_path / "one", **settings) as one, serving(tmp_path / "two", **settings) as two:
        images = [jpeg(seed, 64) for seed in range(4)]
        with Client([one.url, two.url], patience_seconds=60) as client:
            scores = []
            for result in client.classify_many((images[number % 4] for number in range(400)), concurrency=32):
                scores.append(result.unwrap().scores)
                if len(scores) == 100:
                    one.stop(signal.SIGKILL)
            assert client.classify(images[0]).scores == pytest.approx(scores[0], abs=1e-6)
    assert len(scores) == 400
    for number in range(4, 400):
        assert scores[number] == pytest.approx(scores[number % 4], abs=1e-6)


def test_whoever_waits_while_it_is_closed_waits_no_longer() -> None:
    gate = threading.Event()
    ended = []

    def wait(client: Client) -> None:
        with pytest.raises(CancelledError):
            list(client.classify_many([b"x"]))
        ended.append(True)

    with misbehaving(then=lambda _: gate.wait(PATIENCE_SECONDS)) as one:  # type: ignore[arg-type,return-value]
        with Client(one.url) as client:
            thread = threading.Thread(target=wait, args=(client,))
            thread.start()
            wait_for(lambda: one.heard, "the call")
        thread.join(PATIENCE_SECONDS)
        gate.set()
    assert ended


INTERRUPTED = """
import sys
from galaxytree import Client
with Client(sys.argv[1], patience_seconds=60) as client:
    print("begun", flush=True)
    for result in client.classify_many([b"x"] * 100):
        pass
"""


def test_ctrl_c_ends_it() -> None:
    gate = threading.Event()
    with misbehaving(then=lambda _: gate.wait(PATIENCE_SECONDS)) as one:  # type: ignore[arg-type,return-value]
        popen = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, one.url],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_for(lambda: one.heard, "the first call")
        os.kill(popen.pid, signal.SIGINT)
        _, told = popen.communicate(timeout=PATIENCE_SECONDS)
        gate.set()
    assert popen.returncode != 0
    assert told.rstrip().endswith(b"KeyboardInterrupt")
    assert b"never" not in told


def run(server: str, images: object, **more: int) -> list[Result]:
    async def ask() -> list[Result]:
        async with AsyncClient(server) as client:
            return [result async for result in client.classify_many(images, **more)]  # type: ignore[arg-type]

    return asyncio.run(ask())


async def slowly(urls: list[str], pause_before: int = -1, until: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Give some, and the others only when something has happened."""
    for number, url in enumerate(urls):
        if number == pause_before and until is not None:
            await until.wait()
        yield url


def test_asynchronous_iterables_and_others() -> None:
    urls = [f"http://{number}" for number in range(50)]
    with misbehaving() as one:
        for images in (urls, iter(urls), slowly(urls)):
            assert [name_of(result) for result in run(one.url, images, concurrency=8)] == urls
        assert run(one.url, slowly([])) == []


def test_who_gives_images_slowly_gets_results_meanwhile() -> None:
    async def ask(server: str) -> list[str]:
        names, three = [], asyncio.Event()
        async with AsyncClient(server) as client:
            async for result in client.classify_many(slowly([f"http://{n}" for n in range(9)], 3, three)):
                names.append(name_of(result))
                if len(names) == 3:
                    three.set()
        return names

    with misbehaving() as one:
        assert asyncio.run(ask(one.url)) == [f"http://{number}" for number in range(9)]


def test_leaving_an_asynchronous_one_early() -> None:
    closed = []

    async def endless() -> AsyncIterator[str]:
        try:
            for number in count():
                if number == 20:
                    await asyncio.sleep(PATIENCE_SECONDS)
                yield f"http://{number}"
        finally:
            closed.append(True)

    async def ask(server: str) -> None:
        async with AsyncClient(server) as client:
            results = client.classify_many(endless(), concurrency=40)
            async for result in results:
                if result.index == 15:
                    break
            await results.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert (await client.classify(b"still there")).model.name == "still there"

    with misbehaving() as one:
        asyncio.run(ask(one.url))
    assert closed


def test_an_asynchronous_iterable_that_fails() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "http://0"
        msg = "the disk is gone"
        raise OSError(msg)

    with misbehaving() as one, pytest.raises(OSError, match="the disk is gone"):
        run(one.url, broken())


def test_one_image_is_asked_again_after_a_broken_answer() -> None:
    def cut(asked: Asked) -> None:
        asked.head(Content_Length="5000")
        asked.handler.wfile.write(b'{"model": ')
        asked.hang_up()

    with misbehaving(cut, lambda asked: asked.refuse(503, "not_ready")) as one, Client(one.url) as client:
        assert client.classify(b"me").model.name == "me"
    assert len(one.heard) == 3


def test_without_patience_another_service_is_asked_where_one_is_not_there() -> None:
    with misbehaving() as one:
        for _ in range(8):
            with Client([f"http://127.0.0.1:{free_port()}", one.url], patience_seconds=0) as client:
                assert client.classify(b"me").model.name == "me"
