"""A server in this process that answers what it is told to."""

import contextlib
import itertools
import socketserver
import threading
import time
from collections.abc import Iterator

from benchmarks.client import post
from benchmarks.loads import Job


@contextlib.contextmanager
def answering(*answers: bytes, after: float = 0.0) -> Iterator[int]:
    """Answer each request on any connection with the next of some bytes.

    Nothing at all means to hang up, `SILENCE` never to answer; after `CLOSE` it hangs up.
    """
    coming, ended = itertools.cycle(answers), threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                while head := list(iter(lambda: self.rfile.readline().strip(), b"")):
                    (length,) = [line for line in head if line.lower().startswith(b"content-length:")]
                    self.rfile.read(int(length.split()[1]))
                    time.sleep(after)
                    if not (said := next(coming)):
                        return
                    if said == SILENCE:
                        ended.wait(60)
                        return
                    self.wfile.write(said.removesuffix(CLOSE))
                    if said.endswith(CLOSE):
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def answer(status: int, *headers: str) -> bytes:
    """Write an empty answer."""
    return "\r\n".join([f"HTTP/1.1 {status} Any", "Content-Length: 0", *headers, "", ""]).encode()


JOBS = [Job(post("/classify", b"image"))]


SILENCE, CLOSE = b"silence", b"close"
