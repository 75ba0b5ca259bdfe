"""States that a test has to hold still: starting, full, failing, too slow. Real sockets, a server in a thread."""

import asyncio
import errno
import os
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.devices import Device
from app.lifecycle import State
from app.loading import load_model
from app.main import create_app
from app.model import Model
from app.model_folder import ModelFolder
from app.refusals import ModelRefusedError
from app.request_id import RequestIdFilter
from app.settings import Settings
from app.starting import Start
from app.worker_link import Handle
from tests.galaxies import encode, jpeg
from tests.hostile.peers import Peer
from tests.servers import Held, Threaded, threaded, wait_for
from tests.tiny_model import write_model


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def settings(folder: Path, **fields: object) -> Settings:
    return Settings.model_validate(
        {"model": folder, "device": "cpu", "drain_seconds": 0, "max_batch": 4, "workers": 1, **fields}
    )


def post(one: Threaded, image: bytes) -> httpx.Response:
    return httpx.post(f"{one.url}/classify", content=image, timeout=30)


def test_while_it_starts(model_folder: Path) -> None:
    gate = threading.Event()

    def load_late(folder: ModelFolder, device: Device, start: Start) -> Model:
        assert gate.wait(30)
        return load_model(folder, device, start)

    with threaded(settings(model_folder, retry_after_seconds=7), load_late, ready=False) as one:
        try:
            assert httpx.get(f"{one.url}/health/live").is_success
            assert httpx.get(f"{one.url}/decision-tree").is_success
            for answer in (httpx.get(f"{one.url}/health/ready"), httpx.get(f"{one.url}/model"), post(one, jpeg())):
                assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
                assert answer.headers["Retry-After"] == "7"
        finally:
            gate.set()
        wait_for(lambda: httpx.get(f"{one.url}/health/ready").is_success, "the model")
        assert post(one, jpeg()).is_success


@pytest.mark.parametrize(
    ("error", "says"),
    [(ModelRefusedError("no good"), "no good"), (RuntimeError("no good"), "a worker ended before it was ready")],
)
def test_a_start_that_fails_ends_the_server(
    model_folder: Path, error: Exception, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    def load_badly(*_: object) -> Model:
        raise error

    with threaded(settings(model_folder), load_badly, ready=False) as one:
        wait_for(lambda: one.lifecycle.failure is not None, "the failure")
        assert says in str(one.lifecycle.failure)
    assert "no good" in caplog.text


def test_workers_that_cannot_be_started_end_the_server(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def no_room(sock: socket.socket) -> Handle:
        with sock:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    app = create_app(settings(model_folder), starter=no_room)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            await app.state.service._loading

    asyncio.run(start())
    assert "the workers could not be started" in app.state.service.lifecycle.failure
    assert "Resource temporarily unavailable" in caplog.text


def test_a_signal_while_it_starts_ends_it_at_once(model_folder: Path) -> None:
    gate = threading.Event()

    def load_late(folder: ModelFolder, device: Device, start: Start) -> Model:
        assert gate.wait(30)
        return load_model(folder, device, start)

    with threaded(settings(model_folder, drain_seconds=600), load_late, ready=False) as one:
        one.server.handle_exit(15, None)
        gate.set()
        assert one.lifecycle.state is State.DRAINING


def fill(one: Threaded, crowd: ThreadPoolExecutor, count: int) -> list[Future[httpx.Response]]:
    """Have so many images in service, none of which gets its answer yet."""
    one.model.gate.clear()
    waiting = [crowd.submit(post, one, jpeg(seed)) for seed in range(count)]
    wait_for(lambda: one.admission.images == count, "the queue to fill")
    return waiting


def test_a_full_queue(model_folder: Path, crowd: ThreadPoolExecutor) -> None:
    with threaded(settings(model_folder, queue_images=6, retry_after_seconds=3), Held()) as one:
        accepted = fill(one, crowd, 6)
        refused = [post(one, jpeg()) for _ in range(4)]
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
            assert answer.headers["Retry-After"] == "3"
        assert httpx.get(f"{one.url}/health/ready").json()["code"] == "not_ready"
        assert httpx.get(f"{one.url}/health/live").is_success
        one.model.gate.set()
        assert [answer.result().status_code for answer in accepted] == [200] * 6
        assert post(one, jpeg()).is_success
        assert httpx.get(f"{one.url}/health/ready").is_success
        admission = one.admission
        assert (admission.images, admission.bytes) == (0, 0)


def test_the_last_place_goes_to_who_has_sent_first(model_folder: Path, crowd: ThreadPoolExecutor) -> None:
    with threaded(settings(model_folder, queue_images=1), Held()) as one:
        image, slow = jpeg(), Peer(one.port)
        slow.post(f"Content-Length: {len(image)}")
        slow.say(image[:-1])
        wait_for(lambda: one.admission.bytes == len(image) - 1, "the slow one's bytes")
        (accepted,) = fill(one, crowd, 1)
        slow.say(image[-1:])
        assert slow.answer().code == "overloaded"
        slow.vanish()
        one.model.gate.set()
        assert accepted.result().is_success


def test_bytes_are_bounded_too(model_folder: Path) -> None:
    limits = {"max_image_bytes": 100_000, "queue_bytes": 100_000 + 64 * 1024}
    with threaded(settings(model_folder, **limits)) as one:
        peers = [Peer(one.port) for _ in range(2)]
        for each in peers:
            each.post("Content-Length: 90000")
            each.say(bytes(85_000))
        wait_for(lambda: one.admission.bytes >= 80_000, "the bytes of the first")
        answered, _, _ = select.select([each.socket for each in peers], [], [], 20)
        assert len(answered) == 1
        (refused,) = (each for each in peers if each.socket in answered)
        assert refused.answer().code == "overloaded"
        for each in peers:
            each.vanish()
        wait_for(lambda: one.admission.bytes == 0, "the bytes to be given back")


def test_load_grows_batches_by_itself(model_folder: Path, crowd: ThreadPoolExecutor) -> None:
    with threaded(settings(model_folder), Held()) as one:
        accepted = fill(one, crowd, 10)
        one.model.gate.set()
        assert all(answer.result().is_success for answer in accepted)
        assert sum(one.model.batches) == 10
        assert max(one.model.batches) == 4


def test_who_goes_is_dropped_before_costing_a_run(model_folder: Path, crowd: ThreadPoolExecutor) -> None:
    with threaded(settings(model_folder, max_batch=1), Held()) as one:
        (accepted,) = fill(one, crowd, 1)
        image, gone = jpeg(3), Peer(one.port)
        gone.post(f"Content-Length: {len(image)}")
        gone.say(image)
        admission = one.admission
        wait_for(lambda: admission.images == 2, "the second image")
        gone.vanish()
        wait_for(lambda: admission.images == 1, "the second one's going to be seen")
        one.model.gate.set()
        assert accepted.result().is_success
        assert one.model.batches == [1]


def test_an_answer_that_takes_too_long(model_folder: Path) -> None:
    with threaded(settings(model_folder, request_timeout_seconds=0.3, retry_after_seconds=2), Held()) as one:
        one.model.gate.clear()
        answer = post(one, jpeg())
        one.model.gate.set()
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
        assert answer.headers["Retry-After"] == "2"
        wait_for(lambda: post(one, jpeg()).is_success, "the next one to be served")


def test_a_run_that_fails_fails_its_own_images_only(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with threaded(settings(model_folder), Held()) as one:
        one.model.failing = True
        answer = post(one, jpeg())
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "/secret/place" not in answer.text
        assert "/secret/place" in caplog.text
        one.model.failing = False
        assert post(one, jpeg()).is_success


def test_a_run_that_fails_is_logged_for_each_of_its_requests(
    model_folder: Path, crowd: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    with threaded(settings(model_folder), Held()) as one:
        (ahead,) = fill(one, crowd, 1)
        one.model.failing = True
        asked = [f"galaxy-{number}" for number in range(3)]
        answers = [
            crowd.submit(
                httpx.post, f"{one.url}/classify", content=jpeg(), timeout=30, headers={"X-Request-ID": request_id}
            )
            for request_id in asked
        ]
        wait_for(lambda: one.admission.images == 4, "the queue to fill")
        one.model.gate.set()
        assert [answer.result().status_code for answer in (ahead, *answers)] == [500] * 4
    said = [record for record in caplog.records if record.name == "app.worker_link"]
    assert set(asked) < {vars(record)["request_id"] for record in said}
    assert len(said) == 4
    assert all("/secret/place" in record.getMessage() for record in said)


def test_one_picture_that_the_network_has_no_answer_for_fails_alone(
    tmp_path: Path, crowd: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(tmp_path / "m", outputs=("scores", "out_of_domain"))
    with threaded(settings(folder), Held()) as one:
        session = one.model._session

        def run(outputs: list[str], feed: dict[str, NDArray[np.uint8]], _: object) -> list[NDArray[np.float32]]:
            scores, unlike = session.run(outputs, feed)
            # White is a little more out of domain than can be.
            unlike[(feed["images"] == 255).all(axis=(1, 2, 3))] = 1.00002
            return [scores, unlike]

        monkeypatch.setattr(one.model, "_session", SimpleNamespace(run=run))
        (ahead,) = fill(one, crowd, 1)
        assert one.model.entered.wait(30)
        white, together = encode(np.full((40, 40, 3), 255, np.uint8), "PNG"), []
        for place, image in enumerate((jpeg(1), white, jpeg(2), jpeg(3))):
            together.append(crowd.submit(post, one, image))
            wait_for(lambda count=place + 2: one.admission.images == count, "it to wait")
        one.model.gate.set()
        assert ahead.result().is_success
        assert [answer.result().status_code for answer in together] == [200, 500, 200, 200]
        # Three were in one run, and are answered as they are alone; the fourth was held back.
        assert one.model.batches == [1, 3, 1, 1, 1, 1]
        assert together[0].result().json() == post(one, jpeg(1)).json()


def test_one_bad_image_in_a_batch_fails_alone(model_folder: Path, crowd: ThreadPoolExecutor) -> None:
    with threaded(settings(model_folder), Held()) as one:
        accepted = fill(one, crowd, 3)
        bad = crowd.submit(post, one, b"no image")
        wait_for(lambda: one.admission.images == 4, "the bad one to wait")
        one.model.gate.set()
        assert bad.result().json()["code"] == "undecodable_image"
        assert all(answer.result().is_success for answer in accepted)


def test_a_value_that_fastapi_refuses_is_told_as_all_others_are(model_folder: Path) -> None:
    with threaded(settings(model_folder)) as one:

        @one.app.get("/doubled")
        async def doubled(number: int) -> int:
            return 2 * number

        assert httpx.get(f"{one.url}/doubled", params={"number": 4}).json() == 8
        answer = httpx.get(f"{one.url}/doubled", params={"number": "four"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["detail"].startswith("query.number: ")


def test_what_nobody_foresaw(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with threaded(settings(model_folder)) as one:

        @one.app.get("/surprise")
        async def surprise() -> None:
            msg = "at /secret/place"
            raise RuntimeError(msg)

        answer = httpx.get(f"{one.url}/surprise", headers={"X-Request-ID": "surprised"})
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "/secret/place" not in answer.text
        assert answer.headers["X-Request-ID"] == "surprised"
        assert "/secret/place" in caplog.text
