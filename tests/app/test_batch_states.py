"""Batches in states that a test has to hold still, and their parts by themselves. A server in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest
from starlette.types import Message

from app.batch.lines import Lines, Splitter
from app.batch.serving import serve
from app.errors import NotReadyError
from app.fetching.fetcher import Fetcher, Room
from app.loading import load_model
from app.service import Service
from app.settings import MULTIPART_OVERHEAD_BYTES, Settings
from tests.app.batches import LINES, NDJSON, PATH, Stream, codes_of, lines, results_of
from tests.galaxies import jpeg
from tests.image_host import IMAGES, ImageHost, image_host
from tests.servers import Held, Threaded, threaded, wait_for

FILE = b'--galaxy\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n%b\r\n'
FORM = b"multipart/form-data; boundary=galaxy"


@pytest.fixture
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


def settings(folder: Path, **fields: object) -> Settings:
    return Settings.model_validate(
        {"model": folder, "device": "cpu", "drain_seconds": 0, "max_batch": 4, "workers": 1, **fields}
    )


def service_of(one: Threaded) -> Service:
    found: Service = one.app.state.service
    return found


def test_a_surprise_is_the_result_of_its_item(
    model_folder: Path, images: ImageHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fetch = Fetcher.fetch

    async def fetch_badly(self: Fetcher, url: str, room: Room) -> bytes:
        if url.endswith("/galaxy/1"):
            msg = "at /secret/place"
            raise RuntimeError(msg)
        return await fetch(self, url, room)

    monkeypatch.setattr(Fetcher, "fetch", fetch_badly)
    with threaded(settings(model_folder, fetch_hosts=images.hosts)) as one:
        urls = [f"{images.url}/galaxy/{number}" for number in range(4)]
        answer = httpx.post(f"{one.url}{PATH}", content=lines(urls), headers={**LINES, "X-Request-ID": "odd"})
        assert codes_of(results_of(answer.content)) == ["ok", "internal_error", "ok", "ok"]
        assert b"secret" not in answer.content
        assert (one.admission.images, one.admission.bytes) == (0, 0)
    assert any("unexpected error in item 1 of a batch" in record.message for record in caplog.records)


@pytest.mark.parametrize("taken", [False, True])
def test_a_surprise_in_the_batch_itself_is_told(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, taken: bool
) -> None:
    def fail(*_: object) -> None:
        msg = "at /secret/place"
        raise RuntimeError(msg)

    monkeypatch.setattr(*((Lines, "next") if taken else (Splitter, "feed")), fail)
    with threaded(settings(model_folder)) as one:
        answer = httpx.post(f"{one.url}{PATH}", content=lines(["x"] * 3), headers=LINES)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert any("unexpected error in" in record.message for record in caplog.records)


def test_others_find_room_beside_a_batch(model_folder: Path, images: ImageHost) -> None:
    load = Held()
    with threaded(settings(model_folder, fetch_hosts=images.hosts, queue_images=16), load) as one:
        one.model.gate.clear()
        with ThreadPoolExecutor(2) as crowd:
            urls = [f"{images.url}/galaxy/{number}" for number in range(40)]
            batch = crowd.submit(httpx.post, f"{one.url}{PATH}", json={"urls": urls}, timeout=60)
            wait_for(lambda: one.admission.images == 12 and images.count == 40, "the batch to fill its share")
            assert httpx.post(f"{one.url}/classify?priority=bulk", content=jpeg()).status_code == 429
            other = crowd.submit(httpx.post, f"{one.url}/classify", content=jpeg(), timeout=60)
            wait_for(lambda: one.admission.images == 13, "another")
            one.model.gate.set()
            assert other.result().status_code == 200
            assert batch.result().json()["summary"] == {"ok": 40, "failed": 0}
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")


def test_a_slow_host_takes_no_room_from_others(model_folder: Path, images: ImageHost) -> None:
    fields = {"queue_bytes": 16 * 1024 * 1024, "fetch_per_host": 4}
    with threaded(settings(model_folder, fetch_hosts=images.hosts, **fields)) as one:
        with Stream(one.port) as stream:
            stream.begin()
            stream.say(lines(f"{images.url}/held/{number}" for number in range(100)))
            # More of them wait for their turn than there would be room for.
            wait_for(lambda: images.count == 4, "the slow host to be asked")
            assert one.admission.bytes == 4 * 1024 * 1024
            files = [("files", (str(number), jpeg())) for number in range(5)]
            answer = httpx.post(f"{one.url}{PATH}", files=files, timeout=30)
            assert answer.json()["summary"] == {"ok": 5, "failed": 0}
            assert images.count == 4
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")


def test_of_large_images_fewer_are_fetched_at_a_time(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large, fetching, crowd = bytes(4 * 1024 * 1024), 0, asyncio.Event()
    beside: list[int] = []

    async def fetch(_self: Fetcher, _url: str, room: Room) -> bytes:
        nonlocal fetching
        await room.hold()
        fetching += 1
        beside.append(fetching)
        if fetching == 12:
            crowd.set()
        # The first ones are there together, however slowly they come.
        await crowd.wait()
        await asyncio.sleep(0.005)
        fetching -= 1
        return large

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    with threaded(settings(model_folder, queue_bytes=16 * 1024 * 1024)) as one:
        answer = httpx.post(f"{one.url}{PATH}", content=lines(["x"] * 160), headers=LINES, timeout=60)
        assert codes_of(results_of(answer.content)) == ["undecodable_image"] * 160
    # Three quarters of the bytes are for bulk: twelve images of which nothing is known, or three of these.
    assert max(beside) == 12
    assert max(beside[-64:]) == 3


def test_who_goes_leaves_nothing_behind(model_folder: Path, images: ImageHost) -> None:
    load = Held()
    with threaded(settings(model_folder, fetch_hosts=images.hosts, queue_images=16), load) as one:
        one.model.gate.clear()
        with Stream(one.port) as stream:
            stream.begin()
            stream.say(lines(f"{images.url}/galaxy/{number}" for number in range(100)))
            wait_for(lambda: one.admission.images == 12 and images.count == 64, "the batch")
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")
        with Stream(one.port) as stream:
            stream.begin(f"Content-Type: {FORM.decode()}")
            stream.say(b"".join(FILE % image for image in IMAGES) * 3)
            wait_for(lambda: one.admission.images == 12, "the form")
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")
        one.model.gate.set()
        assert httpx.post(f"{one.url}/classify", content=jpeg()).is_success


def test_only_so_many_batches_are_in_service(model_folder: Path, images: ImageHost) -> None:
    with threaded(settings(model_folder, fetch_hosts=images.hosts, batches=2)) as one:
        another = {"content": lines([f"{images.url}/galaxy/1"]), "headers": LINES}
        with Stream(one.port) as first, Stream(one.port) as second:
            for stream in (first, second):
                stream.begin()
            wait_for(lambda: one.admission.batches == 2, "both batches")
            refused = httpx.post(f"{one.url}{PATH}", **another)
            assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
            assert "(batches)" in refused.json()["detail"]
            assert refused.headers["retry-after"] == "1"
            assert httpx.post(f"{one.url}/classify", content=jpeg()).is_success
        wait_for(lambda: one.admission.batches == 0, "both to be let go")
        assert codes_of(results_of(httpx.post(f"{one.url}{PATH}", **another).content)) == ["ok"]


def test_a_document_may_be_too_much_for_the_service(model_folder: Path) -> None:
    least = 1000 + MULTIPART_OVERHEAD_BYTES
    with threaded(settings(model_folder, max_image_bytes=1000, queue_bytes=least)) as one:
        body = orjson.dumps({"urls": ["x" * least]})
        answer = httpx.post(f"{one.url}{PATH}", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
        assert one.admission.bytes == 0


def test_nothing_is_begun_without_workers(model_folder: Path, images: ImageHost) -> None:
    gate = threading.Event()

    def load_late(*given: object) -> object:
        assert gate.wait(30)
        return load_model(*given)  # type: ignore[arg-type]

    with threaded(settings(model_folder, fetch_hosts=images.hosts), load_late, ready=False) as one:  # type: ignore[arg-type]
        try:
            answer = httpx.post(f"{one.url}{PATH}", json={"urls": [f"{images.url}/galaxy/1"]})
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        finally:
            gate.set()


def test_nothing_is_fetched_before_the_start(model_folder: Path) -> None:
    with pytest.raises(NotReadyError):
        _ = Service.prepare(settings(model_folder)).fetcher


class Said:
    """An ASGI server that has none of this one's extensions: it says some messages, and notes what is sent."""

    def __init__(self, *messages: Message) -> None:
        self._messages = [*messages]
        self.sent: list[Message] = []

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    def serve(self, one: Threaded) -> None:
        """Have a batch of lines served to its end."""
        scope = {"type": "http", "query_string": b"", "headers": [(b"content-type", NDJSON.encode())]}
        service = service_of(one)
        assert service._loading is not None
        serving = serve(service, scope, self._receive, self._send)
        asyncio.run_coroutine_threadsafe(serving, service._loading.get_loop()).result(30)


GONE: Message = {"type": "http.disconnect"}


def body(data: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


def test_a_server_without_extensions_breaks_off_by_itself(model_folder: Path) -> None:
    with threaded(settings(model_folder, body_timeout_seconds=1.0)) as one:
        said = Said(body(lines(["x"]), more=True))
        said.serve(one)
    assert [each["type"] for each in said.sent] == ["http.response.start", "http.response.body"]
    assert said.sent[-1]["more_body"]


@pytest.mark.parametrize("more", [False, True])
def test_a_server_without_extensions_says_that_the_client_has_gone(
    model_folder: Path, images: ImageHost, *, more: bool
) -> None:
    with threaded(settings(model_folder, fetch_hosts=images.hosts)) as one:
        said = Said(body(lines([f"{images.url}/held/1"]), more=more), body(b"", more=more), GONE)
        said.serve(one)
        assert said.sent == []
        assert (one.admission.images, one.admission.bytes) == (0, 0)


def test_once_the_service_ends_nothing_is_begun(model_folder: Path) -> None:
    with threaded(settings(model_folder)) as one:
        service_of(one).lifecycle.end()
        said = Said(body(lines(["x"]), more=False))
        said.serve(one)
        assert said.sent[0]["status"] == 503
