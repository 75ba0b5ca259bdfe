"""A request that comes at once and one that comes in pieces are served in two ways, which are not to differ."""

import gc
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.admission import Admission
from app.protocol import MOST_WAITING
from app.settings import Settings
from tests.galaxies import draw_galaxy, encode, jpeg_of_bytes, png
from tests.hostile.peers import Answer, Peer, peer
from tests.servers import Held, Threaded, threaded, wait_for

MAX_BYTES = 190_000
KEY = "open sesame"
WAYS = (1, 2, 9)
"""In so many pieces."""

# These differ: when it was, how long it took, and whether the body was read.
OWN = {"date", "server-timing", "connection"}


State = Callable[[Threaded], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def one(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n')
    settings = Settings(
        model=model_folder, device="cpu", workers=1, drain_seconds=0, max_batch=8, queue_images=8, bulk_share=0.5,
        max_image_bytes=MAX_BYTES, api_keys_file=keys, request_timeout_seconds=1, retry_after_seconds=5,
    )  # fmt: skip
    with threaded(settings, Held()) as service:
        yield service


@pytest.fixture(scope="module")
def patient(model_folder: Path) -> Iterator[Threaded]:
    settings = Settings(
        model=model_folder, device="cpu", workers=1, drain_seconds=0, max_batch=2, request_timeout_seconds=600
    )
    with threaded(settings, Held()) as service:
        yield service


@contextmanager
def as_it_is(_: Threaded) -> Iterator[None]:
    yield


def holding(images: int) -> State:
    """Have so many images in service, none of which gets its answer yet."""

    @contextmanager
    def held(one: Threaded) -> Iterator[None]:
        one.model.gate.clear()
        headers = {"Authorization": f"Bearer {KEY}"}
        with ThreadPoolExecutor(images) as others:
            waiting = [
                others.submit(httpx.post, f"{one.url}/classify", content=png(), headers=headers) for _ in range(images)
            ]
            wait_for(lambda: one.admission.images == images, "the queue to fill")
            yield
            one.model.gate.set()
            for each in waiting:
                each.result()

    return held


@contextmanager
def slow(one: Threaded) -> Iterator[None]:
    one.model.gate.clear()
    yield
    one.model.gate.set()


@contextmanager
def full_of_bytes(one: Threaded) -> Iterator[None]:
    count = one.app.state.service.settings.queue_bytes - 10
    one.admission.take(count=count)
    yield
    one.admission.give_back(images=0, count=count)


@contextmanager
def starting(one: Threaded) -> Iterator[None]:
    roster = one.app.state.service.roster
    known, roster._known = roster._known, {}
    yield
    roster._known = known


@contextmanager
def failing(one: Threaded) -> Iterator[None]:
    model = one.model
    model.failing = True
    yield
    model.failing = False


@contextmanager
def broken(_: Threaded) -> Iterator[None]:
    def fail(*_: object, **__: object) -> None:
        msg = "at /secret/place"
        raise RuntimeError(msg)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Admission, "visit", fail)
        yield


@dataclass(frozen=True)
class Case:
    """A request, the state in which it finds the service, and what it gets."""

    status: int
    code: str = ""
    body: bytes = png()
    query: str = ""
    headers: tuple[str, ...] = (f"Authorization: Bearer {KEY}",)
    chunked: bool = False
    state: State = as_it_is

    def request(self, *headers: str) -> bytes:
        """Return what is sent."""
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {len(self.body)}"
        head = Peer.head("POST", f"/classify{self.query}", *self.headers, framing, *headers)
        if not self.chunked:
            return head + self.body
        middle = len(self.body) // 2
        chunks = (b"%x\r\n%b\r\n" % (len(each), each) for each in (self.body[:middle], self.body[middle:]) if each)
        return head + b"".join(chunks) + b"0\r\n\r\n"


FORM = (
    b'--galaxy\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + png() + b"\r\n--galaxy--\r\n"
)
AUTHORISED = Case(200).headers[0]
CASES = {
    "an image": Case(200),
    "a chunked one": Case(200, chunked=True),
    "a large one": Case(200, body=jpeg_of_bytes(MAX_BYTES)),
    "a form": Case(200, body=FORM, headers=(AUTHORISED, "Content-Type: multipart/form-data; boundary=galaxy")),
    "scores alone": Case(200, query="?detail=scores"),
    "eight views": Case(200, query="?views=8"),
    "in no hurry": Case(200, query="?priority=bulk"),
    "a parameter that nobody knows": Case(200, query="?note=a&note=b"),
    "one who asks before sending, and sends": Case(200, headers=(AUTHORISED, "Expect: 100-continue")),
    "no key": Case(401, "unauthorized", headers=()),
    "a wrong key": Case(401, "unauthorized", headers=("Authorization: Bearer wrong",)),
    "no key, and no image": Case(401, "unauthorized", body=b"", headers=()),
    "a byte too many": Case(413, "payload_too_large", body=jpeg_of_bytes(MAX_BYTES + 1)),
    "a byte too many, chunked": Case(413, "payload_too_large", body=jpeg_of_bytes(MAX_BYTES + 1), chunked=True),
    "a GIF": Case(415, "unsupported_media_type", body=encode(draw_galaxy(size=20), "GIF")),
    "no image": Case(422, "undecodable_image", body=b"no image at all"),
    "no body": Case(422, "undecodable_image", body=b""),
    "no body, chunked": Case(422, "undecodable_image", body=b"", chunked=True),
    "no such detail": Case(422, "invalid_request", query="?detail=everything"),
    "no such number of views": Case(422, "invalid_request", query="?views=2"),
    "no such priority": Case(422, "invalid_request", query="?priority=high"),
    "a parameter twice": Case(422, "invalid_request", query="?views=1&views=8"),
    "a full service": Case(429, "overloaded", state=holding(8)),
    "a service that is full for bulk": Case(429, "overloaded", query="?priority=bulk", state=holding(4)),
    "a service that holds as many bytes as it may": Case(429, "overloaded", state=full_of_bytes),
    "a service that starts": Case(503, "not_ready", state=starting),
    "a service that is slow": Case(503, "deadline_exceeded", state=slow),
    "a run that fails": Case(500, "internal_error", state=failing),
    "what nobody foresaw": Case(500, "internal_error", state=broken),
}


def final(port: int, request: bytes, pieces: int) -> Answer:
    """Send a request; return the answer, past one that says to go on."""
    with peer(port) as client:
        client.say_in_pieces(request, pieces)
        return client.answer()


@pytest.mark.parametrize("name", CASES)
def test_both_ways_answer_the_same(one: Threaded, name: str) -> None:
    case = CASES[name]
    with case.state(one):
        answers = [final(one.port, case.request("X-Request-ID: either.way_1"), pieces) for pieces in WAYS]
    for answer in answers:
        assert answer.status == case.status, answer.body
        assert answer.headers["x-request-id"] == "either.way_1"
        if case.code:
            assert answer.code == case.code
        assert b"/secret/place" not in answer.body
        assert ("server-timing" in answer.headers) == (case.status == 200)
        assert ("retry-after" in answer.headers) == (case.status in {429, 503})
        assert ("www-authenticate" in answer.headers) == (case.status == 401)
    first, *others = answers
    for other in others:
        assert orjson.loads(other.body) == orjson.loads(first.body)
        assert {name: value for name, value in other.headers.items() if name not in OWN} == {
            name: value for name, value in first.headers.items() if name not in OWN
        }
    wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be given back", 5)


@pytest.mark.parametrize(
    ("name", "pieces", "tasks"),
    [
        ("an image", 1, 0),
        ("an image", 9, 1),
        ("a chunked one", 1, 0),
        ("no key", 1, 0),
        ("a form", 1, 1),
        ("a byte too many", 1, 1),
    ],
)
def test_there_are_two_ways(one: Threaded, monkeypatch: pytest.MonkeyPatch, name: str, pieces: int, tasks: int) -> None:
    begun = []
    run_asgi = RequestResponseCycle.run_asgi

    async def noted(cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        begun.append(cycle)
        await run_asgi(cycle, app)

    monkeypatch.setattr(RequestResponseCycle, "run_asgi", noted)
    assert final(one.port, CASES[name].request(), pieces).status == CASES[name].status
    assert len(begun) == tasks


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize("asked", ["X-Request-ID: two words", "X-Request-ID:", "Note: none"])
def test_who_brings_no_sane_id_gets_one(one: Threaded, asked: str, pieces: int) -> None:
    first, second = (final(one.port, Case(200).request(asked), pieces).headers["x-request-id"] for _ in range(2))
    assert first != second
    assert {len(first), len(second)} == {32}


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("version", "header", "closes"),
    [("1.1", "Note: none", False), ("1.1", "Connection: close", True), ("1.0", "Note: none", True)],
)
@pytest.mark.parametrize("body", [png(), b"no image"])
def test_who_wants_it_closed_finds_it_closed(
    one: Threaded, version: str, header: str, body: bytes, pieces: int, *, closes: bool
) -> None:
    with peer(one.port) as client:
        head = client.head("POST", "/classify", AUTHORISED, f"Content-Length: {len(body)}", header, version=version)
        client.say_in_pieces(head + body, pieces)
        answer = client.answer()
        assert answer.status in {200, 422}
        assert (answer.headers.get("connection") == "close") == closes
        if closes:
            assert client.is_closed()
        else:
            client.say(head + body)
            assert client.answer().status == answer.status


@pytest.mark.parametrize("pieces", WAYS)
def test_who_sends_the_next_before_the_answer_is_answered_in_order(one: Threaded, pieces: int) -> None:
    images = [png(seed, size=20 + seed) for seed in range(4)]
    requests = [Case(200, body=image).request() for image in images]
    bad = Case(422, body=b"no image").request()
    live = b"GET /health/live HTTP/1.1\r\nHost: galaxytree\r\n\r\n"
    with peer(one.port) as client:
        client.say_in_pieces(b"".join([requests[0], bad, requests[1], live, requests[2], bad, requests[3]]), pieces)
        answers = client.answers(7)
    assert [answer.status for answer in answers] == [200, 422, 200, 200, 200, 422, 200]
    widths = [orjson.loads(answers[place].body)["image"]["width"] for place in (0, 2, 4, 6)]
    assert widths == [20, 21, 22, 23]
    assert orjson.loads(answers[3].body) == {"status": "live"}


@pytest.mark.parametrize("first", ["live", "whole"])
def test_of_very_many_that_are_sent_at_once_only_some_are_answered(one: Threaded, first: str) -> None:
    live = b"GET /health/live HTTP/1.1\r\nHost: galaxytree\r\n\r\n"
    begin, status = (live, 200) if first == "live" else (Case(422, body=b"no image").request(), 422)
    with peer(one.port) as client:
        client.say(begin + live * (MOST_WAITING + 3))
        answers = client.answers(1 + MOST_WAITING)
        # Who waits for the others sees that they are to be sent again.
        assert client.is_closed()
    assert [answer.status for answer in answers] == [status] + [200] * MOST_WAITING
    assert [answer.headers.get("connection") for answer in answers] == [None] * MOST_WAITING + ["close"]
    assert final(one.port, Case(200).request(), 1).status == 200


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize("size", [2_000, 70_000, MAX_BYTES])
def test_who_hangs_up_frees_their_place_at_once(patient: Threaded, size: int, pieces: int) -> None:
    patient.model.entered.clear()
    with slow(patient):
        with peer(patient.port) as client:
            client.say_in_pieces(Case(200, body=jpeg_of_bytes(size)).request(), pieces)
            wait_for(lambda: patient.admission.images == 1, "the image to wait")
            assert patient.model.entered.wait(30)
        # Neither an answer nor its deadline does it.
        wait_for(lambda: patient.admission.images == 0, "its place to be free", 10)
        assert patient.admission.bytes == 0
    assert final(patient.port, Case(200).request(), pieces).status == 200


def test_who_hangs_up_on_several_leaves_nothing_behind(patient: Threaded, caplog: pytest.LogCaptureFixture) -> None:
    image = Case(200, body=jpeg_of_bytes(2_000)).request()
    for _ in range(10):
        with slow(patient), peer(patient.port) as client:
            client.say(image * 4)
            wait_for(lambda: patient.admission.images == 1, "the first to wait")
        # They are answered one by one, and of the first answers the client's machine says that nobody is there.
        wait_for(lambda: not patient.server.server_state.connections, "the connection to be closed", 10)
    wait_for(lambda: not patient.server.server_state.tasks, "all tasks to end", 10)
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("pieces", [1, 9])
def test_what_is_in_flight_at_the_end_is_answered(model_folder: Path, pieces: int) -> None:
    settings = Settings(model=model_folder, device="cpu", workers=1, drain_seconds=0, max_batch=2)
    with ExitStack() as stack:
        one = stack.enter_context(threaded(settings, Held()))
        client = stack.enter_context(peer(one.port))
        one.model.gate.clear()
        client.say_in_pieces(Case(200, headers=()).request(), pieces)
        assert one.model.entered.wait(30)
        one.server.should_exit = True
        time.sleep(0.3)
        one.model.gate.set()
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.is_closed()


def test_bulk_leaves_room_for_others(model_folder: Path) -> None:
    settings = Settings(model=model_folder, device="cpu", workers=1, max_batch=2, queue_images=8, bulk_share=0.5)

    with threaded(settings, Held()) as full, ThreadPoolExecutor(8) as crowd:
        path = f"{full.url}/classify"

        def ask(priority: str) -> int:
            return httpx.post(path, content=png(), params={"priority": priority}, timeout=30).status_code

        full.model.gate.clear()
        bulk = [crowd.submit(ask, "bulk") for _ in range(4)]
        wait_for(lambda: full.admission.images == 4, "bulk to have its share")
        assert ask("bulk") == 429
        assert httpx.get(f"{full.url}/health/ready").is_success
        interactive = [crowd.submit(ask, "interactive") for _ in range(4)]
        wait_for(lambda: full.admission.images == 8, "others to have the rest")
        assert ask("interactive") == 429
        full.model.gate.set()
        assert [each.result() for each in (*bulk, *interactive)] == [200] * 8
        assert ask("bulk") == 200
