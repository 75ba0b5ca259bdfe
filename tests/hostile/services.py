"""Services that don't behave: they speak HTTP, and answer as a test has it, or break off in the middle."""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from python_multipart.multipart import MultipartParser, parse_options_header

from galaxytree.decision_tree import load_tree
from tests.servers import PATIENCE_SECONDS

COLUMNS = load_tree("galaxy-zoo-2").columns
NETWORK = "a" * 64
NDJSON = "application/x-ndjson"


def classification(name: str) -> dict[str, Any]:
    """Return an answer from which it is seen what it is for."""
    return {
        "model": {"name": name, "version": "1", "tree": "galaxy-zoo-2"},
        "image": {"sha256": "b" * 64, "format": "JPEG", "width": 4, "height": 3},
        "views": 1,
        "scores": dict.fromkeys(COLUMNS, 0.5),
    }


def problem(code: str, status: int = 503) -> dict[str, Any]:
    """Return a problem."""
    return {"type": "about:blank", "title": code, "status": status, "detail": f"It is {code}.", "code": code}


def ok(index: int, name: str) -> dict[str, Any]:
    """Return a good result."""
    return {"index": index, "id": None, "status": "ok", "classification": classification(name)}


def failed(index: int, code: str, status: int = 503) -> dict[str, Any]:
    """Return a result that is an error."""
    return {"index": index, "id": None, "status": "error", "error": problem(code, status)}


def line(row: object) -> bytes:
    """Write a result."""
    return json.dumps(row).encode() + b"\n"


@dataclass
class Asked:
    """A request as it came, and how to answer it."""

    handler: "_Handler"
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def names(self) -> list[str]:
        """The URLs of the items, or the names of the files."""
        if self.headers.get("content-type", "") == NDJSON:
            return [json.loads(each)["url"] for each in self.body.splitlines()]
        found: list[str] = []
        pieces: list[bytes] = []

        def take(data: bytes, start: int, end: int) -> None:
            pieces.append(data[start:end])

        def finish() -> None:
            disposition = parse_options_header(b"".join(pieces))[1]
            if b"name" in disposition:
                found.append(disposition.get(b"filename", b"").decode())
            pieces.clear()

        boundary = parse_options_header(self.headers["content-type"])[1][b"boundary"]
        parser = MultipartParser(boundary, {"on_header_value": take, "on_header_end": finish})
        parser.write(self.body)
        return found

    def rows(self) -> list[bytes]:
        """Return the lines of a good answer."""
        return [line(ok(index, name)) for index, name in enumerate(self.names)]

    def head(self, status: int = 200, **headers: str) -> None:
        """Answer the head alone."""
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()

    def say(self, status: int, body: bytes, **headers: str) -> None:
        """Answer at once."""
        self.head(status, **{"Content_Length": str(len(body)), **headers})
        self.handler.wfile.write(body)

    def refuse(self, status: int, code: str, **headers: str) -> None:
        """Answer with a problem."""
        self.say(status, json.dumps(problem(code, status)).encode(), **headers)

    def stream(self, pieces: list[bytes], *, network: str = NETWORK, whole: bool = True, **headers: str) -> None:
        """Answer a batch in chunks; if it isn't to be whole, the connection ends after them."""
        said = {"Content_Type": NDJSON, "X_Galaxytree_Network": network, "Transfer_Encoding": "chunked", **headers}
        self.head(**said)
        for piece in pieces:
            self.handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if whole:
            self.handler.wfile.write(b"0\r\n\r\n")
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection."""
        self.handler.close_connection = True
        self.handler.wfile.flush()
        self.handler.connection.shutdown(socket.SHUT_RDWR)


Says = Callable[[Asked], None]


def well(asked: Asked) -> None:
    """Answer as a service does."""
    if asked.path == "/classify":
        asked.say(200, json.dumps(classification(asked.body.decode("latin-1")[:20])).encode())
    elif asked.path == "/model":
        asked.say(200, json.dumps({"name": "stand-in", "tree": "galaxy-zoo-2", "network_sha256": NETWORK}).encode())
    else:
        asked.stream(asked.rows())


@dataclass
class Service:
    """A service that says what it is told to.

    Attributes
    ----------
    port
        Where it listens.
    script
        What it says to the next requests, one each.
    then
        What it says to all others.
    heard
        What it was asked.
    most
        How many requests it ever had at a time.
    """

    port: int = 0
    script: deque[Says] = field(default_factory=deque)
    then: Says = well
    heard: list[Asked] = field(default_factory=list)
    most: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def names(self) -> list[list[str]]:
        """The items of each batch that it was asked for."""
        return [asked.names for asked in self.heard if asked.path == "/classify/batch"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each small answer would wait for the client's system to say that it has the head.
    disable_nagle_algorithm = True
    service: Service

    def do_POST(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        said, service = urlsplit(self.path), self.service
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = (
            self._chunks() if "transfer-encoding" in headers else self.rfile.read(int(headers.get("content-length", 0)))
        )
        asked = Asked(self, self.command, said.path, dict(parse_qsl(said.query)), headers, body)
        with service.lock:
            service.heard.append(asked)
            service.now += 1
            service.most = max(service.most, service.now)
            says = service.script.popleft() if service.script else service.then
        try:
            # Who has gone is not to be told.
            with suppress(ConnectionError):
                says(asked)
        finally:
            with service.lock:
                service.now -= 1

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: connections break here all the time."""


@contextmanager
def misbehaving(*script: Says, then: Says = well, port: int = 0) -> Iterator[Service]:
    """Start a service that says this to the first requests, one each, and then always the same."""
    service = Service(script=deque(script), then=then)
    handler = type("Handler", (_Handler,), {"service": service})
    with _Server(("127.0.0.1", port), handler) as server:
        service.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port
