"""Peers that don't behave: raw sockets that say what no HTTP library would let them."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse, parse_headers

import orjson


class Peer:
    """One raw connection to a service."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def say_until_cut_off(self, data: bytes, most: int) -> int:
        """Send the same bytes again and again, as one who doesn't listen; return how many got away."""
        sent = 0
        with suppress(ConnectionError):
            while sent < most:
                sent += self.socket.send(data)
        return sent

    def say_in_pieces(self, data: bytes, pieces: int) -> None:
        """Send bytes in so many packets, with time between them for each to be seen by itself."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            if start:
                time.sleep(0.01)
            self.say(data[start : start + size])

    @staticmethod
    def head(method: str = "POST", path: str = "/classify", *headers: str, version: str = "1.1") -> bytes:
        """Return the head of a request."""
        return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: galaxytree", *headers, "", ""]).encode()

    def post(self, *headers: str, path: str = "/classify") -> None:
        """Send the head of a POST."""
        self.say(self.head("POST", path, *headers))

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        self.say(b"%x\r\n%b\r\n" % (len(data), data))

    def answer(self) -> "Answer":
        """Read one answer."""
        response = HTTPResponse(self.socket, method="POST")
        response.begin()
        return Answer(response.status, dict(response.headers.items()), response.read())

    def answers(self, count: int) -> list["Answer"]:
        """Read several answers, which may have come together."""
        found = []
        with self.socket.makefile("rb") as stream:
            for _ in range(count):
                status = int(stream.readline().split()[1])
                headers = dict(parse_headers(stream).items())
                body = stream.read(int({name.lower(): value for name, value in headers.items()}["content-length"]))
                found.append(Answer(status, headers, body))
        return found

    def is_closed(self) -> bool:
        """Whether the other side closes the connection."""
        with suppress(ConnectionError):
            return self.socket.recv(1) == b""
        return True

    def vanish(self) -> None:
        """Go without a word."""
        self.socket.close()


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def code(self) -> str:
        """The problem's code."""
        assert self.headers["content-type"] == "application/problem+json"
        code: str = orjson.loads(self.body)["code"]
        return code


@contextmanager
def peer(port: int) -> Iterator[Peer]:
    """Connect, and be gone in the end."""
    one = Peer(port)
    try:
        yield one
    finally:
        one.vanish()
