"""A light HTTP client for what wrk cannot do: arrivals at a rate, each answer's status, bodies that never end.

Requests are bytes that were made beforehand; answers are parsed by httptools, on one event loop (uvloop). What it costs
itself is measured each time.
"""

import asyncio
import gc
import resource
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httptools
import uvloop

Result = TypeVar("Result")

DROPPED = 0
"""Status of a request whose connection ended before an answer came."""

UNANSWERED = -1
"""Status of a request whose client has given up waiting."""

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes
    ----------
    status
        HTTP's, `DROPPED` or `UNANSWERED`.
    at
        When the end of it came, by `time.perf_counter`.
    retry_after
        Seconds that the server asked to wait; 0 if it didn't.
    closing
        Whether the server announced that it closes the connection.
    """

    status: int
    at: float
    retry_after: float = 0.0
    closing: bool = False


class Connection(asyncio.Protocol):
    """One connection, on which one request at a time is under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._retry_after = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self.usable = False
        self.closed_unasked = False

    async def ask(self, request: bytes) -> Answer:
        """Send a whole request and wait for its answer."""
        answer = self.begin(request)
        return await answer

    def begin(self, head: bytes) -> asyncio.Future[Answer]:
        """Send a request, or its first part; the answer will come, whether the rest was sent or not."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or not self.usable:
            self._waiting.set_result(Answer(DROPPED, time.perf_counter()))
        else:
            self._transport.write(head)
        return self._waiting

    async def send(self, part: bytes) -> None:
        """Send more of a body, once there is room for it."""
        if self._transport is not None and self.usable:
            self._transport.write(part)
            await self._writable.wait()

    def close(self) -> None:
        """End the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not asked for: uvloop's own class derives from none of asyncio's.
        self._transport, self.usable = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Answer for a server that will not any more."""
        # Nothing was under way, and no answer had said that this would come.
        self.closed_unasked = self.usable and (self._waiting is None or self._waiting.done())
        self.usable = False
        self._writable.set()
        self._answer(Answer(DROPPED, time.perf_counter()))

    def pause_writing(self) -> None:
        """Remember that the socket is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Remember that it takes more."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Look out for the one header that matters here."""
        if name.lower() == b"retry-after":
            self._retry_after = float(value)

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        keep = self._parser.should_keep_alive()
        self.usable = self.usable and keep
        answer = Answer(self._parser.get_status_code(), time.perf_counter(), self._retry_after, not keep)
        self._retry_after = 0.0
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)


async def connect(port: int) -> Connection:
    """Open a connection to a port of this machine; OSError if the server does not take it."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, _HOST, port)
    return connection


def post(path: str, body: bytes, kind: str = "image/jpeg") -> bytes:
    """Return the bytes of a whole request."""
    return head(path, f"Content-Length: {len(body)}", kind) + body


def head(path: str, framing: str, kind: str = "image/jpeg") -> bytes:
    """Return the head of a request whose body's framing is ``Content-Length: N`` or ``Transfer-Encoding: chunked``."""
    return f"POST {path} HTTP/1.1\r\nHost: {_HOST}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


def run(load: Coroutine[Any, Any, Result]) -> tuple[Result, float]:
    """Run a load on an event loop of its own.

    Returns
    -------
    result
        What the load returns.
    seconds
        Processor time that this process spent on it.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    before = resource.getrusage(resource.RUSAGE_SELF)
    # Loads keep what they measure until they end, and make no cycles.
    gc.disable()
    try:
        result = uvloop.run(load)
    finally:
        gc.enable()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
