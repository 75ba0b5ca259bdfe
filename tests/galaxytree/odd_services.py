"""Services that answer for any URL at once, with what tells the URLs apart, and that can be made to misbehave."""

import gzip
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from galaxytree.decision_tree import load_tree
from tests.servers import PATIENCE_SECONDS

COLUMNS = load_tree("galaxy-zoo-2").columns
Trouble = Literal["busy", "cut", "garbage", "gzip", "other network", "silent", "twice", "unauthorized"]


def url(number: int) -> str:
    """Return a URL for whose image a number is answered."""
    return f"http://images.example/{number}"


def classification(number: int) -> dict[str, Any]:
    """Return what is answered: the number is the image's width."""
    return {
        "model": {"name": "odd", "version": "1", "tree": "galaxy-zoo-2"},
        "image": {"sha256": "0" * 64, "format": "PNG", "width": number, "height": 1},
        "scores": dict.fromkeys(COLUMNS, 0.5),
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go together: two small packets would wait for each other.
    wbufsize = 1 << 16
    server: "OddService"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        single = self.path.startswith("/classify?")
        urls = [] if single else [json.loads(line)["url"] for line in body.splitlines()]
        trouble = self.server.heard(urls)
        if not self.server.held.isdisjoint(urls):
            self.server.gate.wait(PATIENCE_SECONDS)
        if trouble in {"busy", "unauthorized"}:
            self._refuse(401 if trouble == "unauthorized" else 503)
        elif trouble == "silent":
            self.close_connection = True
        elif single:
            self._say(trouble, [json.dumps(classification(7)).encode()], b"")
        else:
            self._say(trouble, [self._line(place, each) for place, each in enumerate(urls)], b"\n")

    def _line(self, place: int, each: str) -> bytes:
        number = each.rpartition("/")[2]
        found: dict[str, Any] = {"index": place, "id": None}
        if number.isdecimal():
            found |= {"status": "ok", "classification": classification(int(number))}
        else:
            problem = {"type": "urn:x", "title": "t", "status": 502, "detail": f"no {number}", "code": "fetch_failed"}
            found |= {"status": "error", "error": problem}
        return json.dumps(found).encode()

    def _refuse(self, status: int) -> None:
        code = "unauthorized" if status == 401 else "not_ready"
        body = json.dumps({"type": "urn:x", "title": "t", "status": status, "detail": "d", "code": code}).encode()
        self._head(status, len(body), {"Retry-After": "1"} if status == 503 else {})
        self.wfile.write(body)

    def _say(self, trouble: Trouble | None, lines: list[bytes], end: bytes) -> None:
        if trouble == "twice":
            lines = [lines[0], *lines]
        body = b"".join(line + end for line in reversed(lines))
        headers = {
            "Content-Type": "application/x-ndjson" if end else "application/json",
            "X-Galaxytree-Network": "b" * 64 if trouble == "other network" else "a" * 64,
        }
        if trouble == "garbage":
            body = b"<html>welcome</html>\n"
        if trouble == "gzip":
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        self._head(200, len(body), headers)
        if trouble == "cut":
            body, self.close_connection = body[: len(body) // 2], True
        self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class OddService(ThreadingHTTPServer):
    """One service.

    Attributes
    ----------
    troubles
        What befalls the calls to come, one after the other; nothing when there are none left.
    asked
        How often each URL was.
    calls
        How many calls there were.
    held, gate
        Calls for one of these URLs wait for the gate.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.troubles: deque[Trouble | None] = deque()
        self.asked: Counter[str] = Counter()
        self.calls = 0
        self.held: set[str] = set()
        self.gate = threading.Event()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def heard(self, urls: list[str]) -> Trouble | None:
        """Note a call, and return what is to befall it."""
        with self._lock:
            self.calls += 1
            self.asked.update(urls)
            return self.troubles.popleft() if self.troubles else None

    def handle_error(self, *_: object) -> None:
        """Nothing: clients go away as they like."""


@contextmanager
def odd_service() -> Iterator[OddService]:
    """Serve in threads."""
    server = OddService()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
