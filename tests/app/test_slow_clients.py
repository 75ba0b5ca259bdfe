"""Clients that are slow, or never end, each at the edge of what is set, over real sockets."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from app.bounded import BoundedProtocol
from app.routes.page import PIECE_BYTES
from app.settings import Settings
from tests.app.batches import Stream, lines
from tests.galaxies import jpeg
from tests.hostile.peers import Peer, peer
from tests.image_host import ImageHost, image_host
from tests.servers import Held, Threaded, threaded, wait_for

HEAD_SECONDS = 1.5
SEND_SECONDS = 1.0
HEAD_BYTES = 2000
CONNECTIONS = 12
KEEP_ALIVE_SECONDS = 30.0
IMAGE = jpeg(size=64)


@pytest.fixture(scope="module")
def host() -> Iterator[ImageHost]:
    with image_host() as one:
        yield one


@pytest.fixture(scope="module")
def service(model_folder: Path, host: ImageHost) -> Iterator[Threaded]:
    settings = Settings(
        model=model_folder,
        device="cpu",
        workers=1,
        drain_seconds=0,
        head_timeout_seconds=HEAD_SECONDS,
        send_timeout_seconds=SEND_SECONDS,
        max_head_bytes=HEAD_BYTES,
        keep_alive_seconds=KEEP_ALIVE_SECONDS,
        connections=CONNECTIONS,
        fetch_hosts=host.hosts,
    )
    with threaded(settings, Held()) as running:
        yield running


@pytest.fixture(autouse=True)
def nobody_stays(service: Threaded) -> Iterator[None]:
    yield
    wait_for(lambda: not service.server.server_state.connections, "all connections to be gone")


def is_open(one: Peer) -> bool:
    """Whether nothing has come, not even an end."""
    return not select.select([one.socket], [], [], 0)[0]


def ask(one: Peer) -> int:
    one.say(one.head("POST", "/classify", f"Content-Length: {len(IMAGE)}") + IMAGE)
    return one.answer().status


def head_of(size: int, path: str = "/health/live") -> bytes:
    """Return a head whose URL, names and values have so many bytes."""
    there = len(path) + len("host") + len("galaxytree") + len("x")
    return Peer.head("GET", path, f"X: {'a' * (size - there)}")


def test_who_says_nothing_is_hung_up_on(service: Threaded) -> None:
    began = time.monotonic()
    with peer(service.port) as one:
        assert one.is_closed()
    assert time.monotonic() - began > HEAD_SECONDS * 0.9


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_head_that_does_not_end(service: Threaded, *, asked_before: bool) -> None:
    with peer(service.port) as one:
        if asked_before:
            assert ask(one) == 200
        began = time.monotonic()
        one.say(b"POST /classify HTTP/1.1\r\n")
        answer = one.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert time.monotonic() - began > HEAD_SECONDS * 0.9
        assert one.is_closed()


def test_a_head_that_trickles(service: Threaded) -> None:
    with peer(service.port) as one:
        began = time.monotonic()
        with suppress(ConnectionError):
            for byte in Peer.head("GET", "/health/live", *["X: a"] * 100):
                one.say(bytes([byte]))
                if select.select([one.socket], [], [], HEAD_SECONDS / 20)[0]:
                    break
        assert one.answer().status == 408
        assert time.monotonic() - began > HEAD_SECONDS * 0.9


def test_a_head_in_pieces_that_is_in_time(service: Threaded) -> None:
    with peer(service.port) as one:
        for _ in range(3):
            one.say_in_pieces(Peer.head("GET", "/health/live"), 5)
            assert one.answer().status == 200
        # Its clock stands still once it is here, however long what it asks for takes.
        time.sleep(HEAD_SECONDS * 1.5)
        assert is_open(one)


def test_a_slow_answer_is_no_slow_head(service: Threaded) -> None:
    service.model.gate.clear()
    with peer(service.port) as one:
        # Half of the next head is here already.
        head = one.head("POST", "/classify", f"Content-Length: {len(IMAGE)}")
        one.say(head + IMAGE + head[:20])
        time.sleep(HEAD_SECONDS * 2)
        service.model.gate.set()
        assert one.answer().status == 200
        one.say(head[20:] + IMAGE)
        assert one.answer().status == 200


@pytest.mark.parametrize("pieces", [1, 4])
def test_the_bytes_of_a_head(service: Threaded, pieces: int) -> None:
    with peer(service.port) as one:
        one.say_in_pieces(head_of(HEAD_BYTES), pieces)
        assert one.answer().status == 200
        # Of a request behind another, too.
        one.say(head_of(HEAD_BYTES) + head_of(HEAD_BYTES))
        assert [answer.status for answer in one.answers(2)] == [200, 200]
        one.say_in_pieces(head_of(HEAD_BYTES + 1), pieces)
        answer = one.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert one.is_closed()


def test_a_large_body_is_no_large_head(service: Threaded) -> None:
    image = jpeg(size=424)
    assert len(image) > HEAD_BYTES
    with peer(service.port) as one:
        one.say(one.head("POST", "/classify", f"Content-Length: {len(image)}") + image)
        assert one.answer().status == 200


def deaf(service: Threaded) -> Stream:
    return Stream(service.port, buffer=4096)


def test_a_batch_whose_answer_nobody_reads_is_cut_off(service: Threaded, host: ImageHost) -> None:
    with deaf(service) as one:
        one.begin(path="/classify/batch")
        # Endless, but for the end of the connection.
        body = lines([f"{host.url}/galaxy/{number % 8}" for number in range(200)])
        one.socket.settimeout(0.2)
        ends = time.monotonic() + 60
        gone = False
        while not gone:
            assert time.monotonic() < ends, "it was not cut off"
            try:
                one.say(body)
            except TimeoutError:
                continue
            except ConnectionError:
                gone = True
        wait_for(lambda: service.admission.batches == 0, "the batch to be forgotten")
    wait_for(lambda: (service.admission.images, service.admission.bytes) == (0, 0), "all to be given back")


def test_who_reads_slowly_but_reads_is_not_cut_off(service: Threaded, host: ImageHost) -> None:
    count = 600
    with Stream(service.port, buffer=16_384) as one:
        one.begin(path="/classify/batch")
        one.say(lines(f"{host.url}/galaxy/{number % 8}" for number in range(count)))
        one.say(b"")
        assert one.status() == 200
        found = 0
        for piece in one.pieces():
            found += piece.count(b"\n")
            # A hundred of these take far longer than the time to be read.
            time.sleep(0.02)
        assert found == count


def test_who_does_not_read_the_last_answer_either(service: Threaded) -> None:
    with peer(service.port) as one:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = Peer.head("GET", "/openapi.json") * 50
        one.socket.settimeout(0.2)
        ends = time.monotonic() + 60
        with suppress(ConnectionError):
            while time.monotonic() < ends:
                with suppress(TimeoutError):
                    one.socket.send(request)
        assert time.monotonic() < ends, "it was not cut off"


def test_of_a_large_file_that_nobody_reads_little_is_held(service: Threaded) -> None:
    file = "/docs/swagger-ui-bundle.js"
    size = int(httpx.head(service.url + file).headers["Content-Length"])
    crowd = [Peer(service.port) for _ in range(CONNECTIONS - 1)]
    for one in crowd:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # What the system takes off the server's hands is less than all of them.
        one.say(Peer.head("GET", file) * 8)

    def held() -> list[int]:
        connections = tuple(service.server.server_state.connections)
        return [each.transport.get_write_buffer_size() for each in connections]  # type: ignore[union-attr]

    wait_for(lambda: sum(size > 0 for size in held()) == len(crowd), "all to be waited for")
    assert size > 8 * PIECE_BYTES
    assert max(held()) <= 2 * PIECE_BYTES
    # Each is cut off in its time.
    wait_for(lambda: not service.server.server_state.connections, "all to be cut off")
    for one in crowd:
        one.vanish()


def test_an_answer_that_nobody_reads_does_not_hold_up_a_close(service: Threaded) -> None:
    with peer(service.port) as one:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # More than the system takes off the server's hands, and the connection is to be closed behind it.
        one.say(Peer.head("GET", "/openapi.json") * 400 + Peer.head("GET", "/openapi.json", "Connection: close"))
        wait_for(lambda: not service.server.server_state.connections, "the connection to be cut off")


def test_of_too_many_connections_those_go_that_wait_the_longest(service: Threaded) -> None:
    idle = Peer(service.port)
    assert ask(idle) == 200
    # The loop's clock has milliseconds only, and of two that waited as long either may go.
    time.sleep(0.02)
    begun = Peer(service.port)
    begun.say(b"POST /clas")
    time.sleep(0.02)
    service.model.gate.clear()
    busy = Peer(service.port)
    busy.say(busy.head("POST", "/classify", f"Content-Length: {len(IMAGE)}") + IMAGE)
    wait_for(lambda: service.admission.images == 1, "one to be in service")
    wait_for(lambda: len(service.server.server_state.connections) == 3, "all to be there")
    # Those who have waited longer go first; who is served stays.
    crowd = [Peer(service.port) for _ in range(CONNECTIONS - 3)]
    wait_for(lambda: len(service.server.server_state.connections) == CONNECTIONS, "the crowd")
    others = []
    for gone in (idle, begun):
        others.append(Peer(service.port))
        assert gone.is_closed()
        assert ask_health(others[-1]) == 200
    assert is_open(busy)
    service.model.gate.set()
    assert busy.answer().status == 200
    for one in (idle, begun, busy, *crowd, *others):
        one.vanish()


def ask_health(one: Peer) -> int:
    one.say(Peer.head("GET", "/health/live"))
    return one.answer().status


def test_where_all_connections_are_served_another_is_told_so(service: Threaded) -> None:
    service.model.gate.clear()
    busy = [Peer(service.port) for _ in range(CONNECTIONS)]
    for one in busy:
        one.say(one.head("POST", "/classify", f"Content-Length: {len(IMAGE)}") + IMAGE)
    wait_for(lambda: service.admission.images == CONNECTIONS, "all to be in service")
    with peer(service.port) as one:
        answer = one.answer()
        assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    service.model.gate.set()
    assert [one.answer().status for one in busy] == [200] * CONNECTIONS
    for one in busy:
        one.vanish()


def test_a_flood_of_connections_keeps_nobody_out(service: Threaded) -> None:
    flood = []
    for _ in range(20):
        for _ in range(CONNECTIONS):
            one = Peer(service.port)
            one.say(b"GET ")
            flood.append(one)
        assert httpx.post(f"{service.url}/classify", content=IMAGE).status_code == 200
        assert len(service.server.server_state.connections) <= CONNECTIONS
    for one in flood:
        one.vanish()


def test_idle_connections_have_their_own_time(service: Threaded) -> None:
    with peer(service.port) as one:
        assert ask(one) == 200
        (connection,) = service.server.server_state.connections
        assert isinstance(connection, BoundedProtocol)
        # Longer than a head may take.
        time.sleep(HEAD_SECONDS * 1.5)
        assert is_open(one)
        assert connection.timeout_keep_alive == KEEP_ALIVE_SECONDS
        assert ask(one) == 200
