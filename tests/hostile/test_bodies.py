"""Bodies that are too large, never end, stall or break off, each over a real socket."""

import select
import socket
from contextlib import suppress

import httpx
import pytest

from tests.conftest import BODY_TIMEOUT_SECONDS, MAX_IMAGE_BYTES
from tests.galaxies import jpeg, jpeg_of_bytes
from tests.hostile.peers import Peer, peer
from tests.servers import Process, wait_for

BOUNDARY = "galaxy"
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def form_body(data: bytes, name: str = "file", filename: str = '; filename="a.jpg"') -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def send_declared(one: Peer, data: bytes) -> None:
    one.post(f"Content-Length: {len(data)}")
    one.say(data)


def send_chunked(one: Peer, data: bytes) -> None:
    one.post("Transfer-Encoding: chunked")
    for start in range(0, len(data), 50_000):
        one.chunk(data[start : start + 50_000])
    one.chunk(b"")


def send_form(one: Peer, data: bytes) -> None:
    body = form_body(data)
    one.post(FORM, f"Content-Length: {len(body)}")
    one.say(body)


def send_chunked_form(one: Peer, data: bytes) -> None:
    body = form_body(data)
    one.post(FORM, "Transfer-Encoding: chunked")
    for start in range(0, len(body), 50_000):
        one.chunk(body[start : start + 50_000])
    one.chunk(b"")


@pytest.mark.parametrize("send", [send_declared, send_chunked, send_form, send_chunked_form])
def test_the_limit_on_bytes_is_exact(service: Process, send: object) -> None:
    assert callable(send)
    with peer(service.port) as one:
        send(one, jpeg_of_bytes(MAX_IMAGE_BYTES))
        answer = one.answer()
        assert answer.status == 200, answer.body
        # The same connection serves the next one, which is a byte too large.
        send(one, jpeg_of_bytes(MAX_IMAGE_BYTES + 1))
        answer = one.answer()
        assert (answer.status, answer.code) == (413, "payload_too_large")


def test_a_declared_giant_is_refused_without_a_byte_read(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Content-Length: 1000000000000")
        answer = one.answer()
        assert (answer.status, answer.code) == (413, "payload_too_large")
        assert answer.headers["connection"] == "close"
        assert one.is_closed()


def test_who_asks_before_sending_never_gets_to_send_a_giant(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Content-Length: 1000000000", "Expect: 100-continue")
        answer = one.answer()
        # An interim answer would have been read as the first one.
        assert (answer.status, answer.code) == (413, "payload_too_large")


def test_who_asks_before_sending_gets_to_send_an_image(service: Process) -> None:
    data = jpeg()
    with peer(service.port) as one:
        one.post(f"Content-Length: {len(data)}", "Expect: 100-continue")
        assert one.socket.recv(1024).startswith(b"HTTP/1.1 100 Continue")
        one.say(data)
        assert one.answer().status == 200


@pytest.mark.parametrize("head", ["Content-Length: 40000000", "Transfer-Encoding: chunked"])
def test_one_who_sends_without_listening_still_finds_the_answer(service: Process, head: str) -> None:
    with peer(service.port) as one:
        one.post(head)
        piece = bytes(20_000)
        piece = piece if "Length" in head else b"%x\r\n%b\r\n" % (len(piece), piece)
        one.say_until_cut_off(piece, 10_000_000)
        answer = one.answer()
        assert (answer.status, answer.code) == (413, "payload_too_large")


def test_an_endless_body_is_cut_off(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Transfer-Encoding: chunked")
        piece = bytes(100_000)
        sent = one.say_until_cut_off(b"%x\r\n%b\r\n" % (len(piece), piece), 1 << 40)
        assert sent < 1 << 40


@pytest.mark.parametrize("start", [b"", b"\xff\xd8\xff"])
def test_a_body_that_stalls(service: Process, start: bytes) -> None:
    with peer(service.port) as one:
        one.post("Content-Length: 1000")
        one.say(start)
        answer = one.answer()
        assert (answer.status, answer.code) == (408, "body_timeout")
        assert answer.headers["connection"] == "close"


def test_a_body_that_trickles_stalls_too(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Transfer-Encoding: chunked")
        one.socket.settimeout(BODY_TIMEOUT_SECONDS / 7)
        for _ in range(100):
            one.chunk(b"\xff")
            try:
                one.socket.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        one.socket.settimeout(60)
        assert one.answer().code == "body_timeout"


def test_a_multipart_body_that_stalls(service: Process) -> None:
    with peer(service.port) as one:
        one.post(FORM, "Content-Length: 1000")
        one.say(form_body(b"")[:80])
        assert one.answer().code == "body_timeout"


def test_who_goes_in_the_middle_leaves_no_traceback(service: Process) -> None:
    for headers in (["Content-Length: 100000"], [FORM, "Content-Length: 100000"]):
        one = Peer(service.port)
        one.post(*headers, "X-Request-ID: gone-in-the-middle")
        one.say(form_body(b"\xff\xd8\xff")[:100])
        one.vanish()
    assert httpx.get(f"{service.url}/health/ready").is_success
    assert "Traceback" not in service.log


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form_body(b"data", name="picture"), "no complete part `file`"),
        (form_body(b"data", filename=""), "no complete part `file`"),
        (b"no form at all", "can't be read"),
        (form_body(b"data")[:-20], "no complete part `file`"),
        (form_body(b"data").replace(b'name="file"; ', b""), "can't be read"),
        (form_body(b"data")[: -len(BOUNDARY) - 6] + form_body(b"data"), "Too many files"),
        (b"", "no complete part `file`"),
    ],
)
def test_malformed_forms(service: Process, body: bytes, says: str) -> None:
    with peer(service.port) as one:
        one.post(FORM, f"Content-Length: {len(body)}")
        one.say(body)
        answer = one.answer()
        assert (answer.status, answer.code) == (422, "invalid_request")
        assert says in answer.body.decode()


def test_a_form_without_a_boundary(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Content-Type: multipart/form-data", "Content-Length: 4")
        one.say(b"data")
        answer = one.answer()
        assert (answer.status, answer.code) == (422, "invalid_request")


@pytest.mark.parametrize("charset", ["undefined", "idna", "hex", "punycode", "utf-7", "utf-16"])
def test_a_form_in_an_odd_charset(service: Process, charset: str) -> None:
    body = form_body(b"data", filename='; filename="\xff\u20ac"')
    with peer(service.port) as one:
        one.post(f"{FORM}; charset={charset}", f"Content-Length: {len(body)}")
        one.say(body)
        answer = one.answer()
        assert (answer.status, answer.code) in {(422, "invalid_request"), (422, "undecodable_image")}
    assert "Traceback" not in service.log


def test_a_charset_that_is_none_is_not_looked_at(service: Process) -> None:
    for data, status in ((b"data", 422), (jpeg(), 200)):
        body = form_body(data)
        with peer(service.port) as one:
            one.post(f"{FORM}; charset=undefined", f"Content-Length: {len(body)}")
            one.say(body)
            assert one.answer().status == status


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
    ),
}


@pytest.mark.parametrize("to", UPGRADES)
def test_who_offers_an_upgrade_is_served_as_they_are(service: Process, to: str) -> None:
    data = jpeg()
    with peer(service.port) as one:
        for _ in range(2):
            one.post(*UPGRADES[to], f"Content-Length: {len(data)}")
            one.say(data)
            assert one.answer().status == 200
    assert "WebSocket" not in service.log


def test_who_asks_for_a_tunnel_gets_none(service: Process) -> None:
    with peer(service.port) as one:
        one.say(b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
        assert one.answer().status == 400
        assert one.is_closed()
    assert "Traceback" not in service.log


def test_offers_without_end_in_one_breath(service: Process) -> None:
    one_offer = Peer.head("GET", "/health/live", *UPGRADES["h2c"])
    with peer(service.port) as one:
        one.say(one_offer * 10)
        assert [answer.status for answer in one.answers(10)] == [200] * 10
    with peer(service.port) as one:
        one.say(one_offer * 1000)
        assert one.answers(1)[0].status in {200, 400}
    assert "RecursionError" not in service.log
    assert httpx.get(f"{service.url}/health/live").is_success


@pytest.mark.parametrize("pieces", [1, 5])
def test_what_follows_a_chunked_body_is_no_header(service: Process, pieces: int) -> None:
    data = jpeg(size=64)
    body = b"%x\r\n%b\r\n0\r\nX-Request-ID: from-behind\r\nContent-Type: multipart/form-data\r\n\r\n"
    whole = Peer.head("POST", "/classify", "Transfer-Encoding: chunked") + body % (len(data), data)
    with peer(service.port) as one:
        one.say_in_pieces(whole, pieces)
        answer = one.answer()
        assert answer.status == 200
        assert answer.headers["x-request-id"] != "from-behind"


def test_trailers_without_end(service: Process) -> None:
    with peer(service.port) as one:
        one.say(Peer.head("POST", "/classify", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n")
        sent = one.say_until_cut_off(b"X: " + b"a" * 30_000 + b"\r\n", 3_000_000)
        assert sent < 3_000_000
    assert httpx.get(f"{service.url}/health/live").is_success


def test_who_does_not_read_answers_is_not_answered_without_end(service: Process) -> None:
    with peer(service.port) as one:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.socket.settimeout(3)
        request = Peer.head("POST", "/classify?detail=neither", "Content-Length: 1") + b"x"
        sent = 0
        # It is either kept waiting or cut off.
        with suppress(TimeoutError, ConnectionError):
            while sent < 100_000_000:
                sent += one.socket.send(request * 200)
        assert sent < 100_000_000
    assert httpx.get(f"{service.url}/health/live").is_success


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_one_who_does_not_speak_http(service: Process, nonsense: bytes) -> None:
    with peer(service.port) as one:
        one.say(nonsense)
        answer = one.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert one.is_closed()
    assert "Traceback" not in service.log


def test_nonsense_after_a_request_ends_the_connection_only(service: Process) -> None:
    data = jpeg(size=64)
    with peer(service.port) as one:
        one.post(f"Content-Length: {len(data)}")
        one.say(data)
        assert one.answer().status == 200
        one.say(b"nonsense\r\n\r\n")
        assert one.answer().status == 400
        assert one.is_closed()
    with peer(service.port) as one:
        one.say(one.head("POST", "/classify", f"Content-Length: {len(data)}") + data + b"nonsense\r\n\r\n")
        assert one.answer().status in {200, 400}
        assert one.is_closed()
    assert httpx.get(f"{service.url}/health/ready").is_success
    assert "Traceback" not in service.log


def test_endless_headers(service: Process) -> None:
    with peer(service.port) as one:
        one.say(b"GET /health/live HTTP/1.1\r\nHost: galaxytree\r\nX: ")
        sent = 0
        # What is too much is answered, if not at once: who sends on meanwhile would not know when it was.
        while sent < 200_000 and not select.select([one.socket], [], [], 0.02 if sent < 80_000 else 10)[0]:
            one.say(b"a" * 10_000)
            sent += 10_000
        assert 64_000 < sent < 200_000
        assert one.answer().status == 431


def test_a_body_for_a_call_that_takes_none_is_not_kept(service: Process) -> None:
    with peer(service.port) as one:
        one.post("Content-Length: 1000000000", path="/nowhere")
        answer = one.answer()
        assert (answer.status, answer.code) == (404, "not_found")
        assert answer.headers["connection"] == "close"


def test_a_crowd_of_the_rude_leaves_the_service_well(service: Process) -> None:
    crowd = [Peer(service.port) for _ in range(40)]
    for number, one in enumerate(crowd):
        one.post("Content-Length: 100000")
        one.say(bytes(number))
    assert httpx.post(f"{service.url}/classify", content=jpeg()).is_success
    for one in crowd:
        one.vanish()
    wait_for(lambda: httpx.get(f"{service.url}/health/ready").is_success, "the service to be well")
