"""What tests of batches share: their bodies, and a client that reads an answer as it comes."""

import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

import orjson

from galaxytree.schemas import BatchResult
from tests.image_host import ImageHost
from tests.servers import wait_for

PATH = "/classify/batch?detail=scores"
NDJSON = "application/x-ndjson"
LINES = {"Content-Type": NDJSON}


def lines(urls: Iterable[str]) -> bytes:
    """Return a body of lines, whose ids are the numbers of the lines."""
    return b"".join(orjson.dumps({"id": str(number), "url": url}) + b"\n" for number, url in enumerate(urls))


def results_of(body: bytes) -> list[BatchResult]:
    """Read an answer in lines."""
    assert body.endswith(b"\n")
    return [BatchResult.model_validate_json(line) for line in body.splitlines()]


def codes_of(results: Iterable[BatchResult]) -> list[str]:
    """Return ``ok`` or the error's code for each result, in the order of the items."""
    found = []
    for place, result in enumerate(sorted(results, key=lambda each: each.index)):
        assert result.index == place
        assert (result.classification is None) == (result.error is not None) == (result.status == "error")
        found.append(result.error.code if result.error else "ok")
    return found


def settled(images: ImageHost) -> int:
    """Wait until nothing more is fetched, and return how much was."""
    seen, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal seen, since
        if images.count != seen:
            seen, since = images.count, time.monotonic()
        return seen > 0 and time.monotonic() - since > 1

    wait_for(still, "the fetching to stop")
    return seen


class Stream:
    """One batch of lines over a raw socket, in chunks, with its answer read as it comes.

    Parameters
    ----------
    port
        The service's.
    buffer
        Bytes that the system keeps of what was sent here, about; not given: what it likes.
    """

    def __init__(self, port: int, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")
        self.headers: dict[str, str] = {}

    def begin(self, *headers: str, path: str = PATH) -> None:
        """Send the head of a request with a chunked body."""
        said = [f"POST {path} HTTP/1.1", "Host: galaxytree", "Transfer-Encoding: chunked", *headers]
        if not any(each.startswith("Content-Type:") for each in headers):
            said.append(f"Content-Type: {NDJSON}")
        self.socket.sendall("\r\n".join([*said, "", ""]).encode())

    def say(self, data: bytes) -> None:
        """Send a chunk; an empty one ends the body."""
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def status(self) -> int:
        """Read the head of the answer."""
        status = int(self._file.readline().split()[1])
        while (line := self._file.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        return status

    def body(self) -> bytes:
        """Read the body of an answer that is not in chunks."""
        return self._file.read(int(self.headers["content-length"]))

    def whole(self) -> bytes:
        """Read a body that is not in chunks; ConnectionError if it breaks off."""
        body = self.body()
        if len(body) < int(self.headers["content-length"]):
            msg = "the answer broke off"
            raise ConnectionError(msg)
        return body

    def pieces(self) -> Iterator[bytes]:
        """Read chunk after chunk; ConnectionError if the answer breaks off."""
        while True:
            size = self._file.readline()
            if not size:
                msg = "the answer broke off"
                raise ConnectionError(msg)
            piece = self._file.read(int(size, 16))
            self._file.readline()
            if not piece:
                return
            yield piece

    def results(self) -> Iterator[dict[str, Any]]:
        """Read result after result."""
        for piece in self.pieces():
            yield from map(orjson.loads, piece.splitlines())

    def close(self) -> None:
        """Be gone."""
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
