"""Peers that don't behave: raw sockets that say what no HTTP library would let them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse

import orjson


class Peer:
    """One raw connection to a service."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

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

    def post(self, *headers: str, path: str = "/classify") -> None:
        """Send the head of a POST."""
        self.say("\r\n".join([f"POST {path} HTTP/1.1", "Host: galaxytree", *headers, "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        self.say(b"%x\r\n%b\r\n" % (len(data), data))

    def answer(self) -> "Answer":
        """Read one answer."""
        response = HTTPResponse(self.socket, method="POST")
        response.begin()
        return Answer(response.status, dict(response.headers.items()), response.read())

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
