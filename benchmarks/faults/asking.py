"""A client that says exactly what became of each request."""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from benchmarks.faults.accounts import Outcome

PATIENCE_SECONDS = 60.0

Check = Callable[[int, bytes], Outcome]
"""Judges an answer by its status and body."""

_HOST = "127.0.0.1"
_PIECE = 256 * 1024
# A reset follows an end within microseconds on this machine; this is for a busy one.
_RESET_SECONDS = 0.1
_TCP_CLOSE = 7
UNREAD, CLOSED, REFUSED = "reset unread", "closed before it came", "no connection"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and how its answer is judged."""

    request: bytes
    check: Check


class _Answer:
    """What httptools reads."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.begun = self.complete = self.keep = False
        self.pieces: list[bytes] = []

    def on_message_begin(self) -> None:
        self.begun = True

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        # Once the message is over, the parser doesn't know any more.
        self.complete, self.keep = True, self.parser.should_keep_alive()


class Line:
    """One client, with one connection, which it opens anew where the service has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    async def ask(self, asked: Ask, since: float | None = None) -> Outcome:
        """Send a request and wait for what becomes of it, a minute at most; its time counts from `since`."""
        begun = time.perf_counter() if since is None else since
        sent = False
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                try:
                    connection = await self._connected()
                    await asyncio.get_running_loop().sock_sendall(connection, asked.request)
                except OSError as error:
                    self.close()
                    return Outcome("away", UNREAD if isinstance(error, ConnectionResetError) else REFUSED)
                sent = True
                judged = await self._answered(connection, asked.check)
        except TimeoutError:
            self.close()
            return Outcome("lost" if sent else "away", f"nothing for {PATIENCE_SECONDS:.0f} s")
        return Outcome(judged.fate, judged.why, time.perf_counter() - begun)

    async def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = await connected(self._port)
        return self._socket

    async def _answered(self, connection: socket.socket, check: Check) -> Outcome:
        answer, loop = _Answer(), asyncio.get_running_loop()
        try:
            while not answer.complete:
                data = await loop.sock_recv(connection, _PIECE)
                if not data:
                    return await self._ended(connection, answer)
                answer.parser.feed_data(data)
        except OSError:
            self.close()
            return Outcome("lost", "broken answer") if answer.begun else Outcome("away", UNREAD)
        except httptools.HttpParserError:
            self.close()
            return Outcome("lost", "not HTTP")
        if not answer.keep:
            self.close()
        return check(answer.parser.get_status_code(), b"".join(answer.pieces))

    async def _ended(self, connection: socket.socket, answer: _Answer) -> Outcome:
        """Judge a connection that was closed in good order before an answer was whole."""
        if answer.begun:
            self.close()
            return Outcome("lost", "broken answer")
        await asyncio.sleep(_RESET_SECONDS)
        # If the request was read there is nothing for the other side to reset.
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        self.close()
        return Outcome("away", CLOSED) if state == _TCP_CLOSE else Outcome("lost", "connection closed, no answer")

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def connected(port: int) -> socket.socket:
    """Connect to a port of this machine; OSError if that can't be done."""
    connection = socket.socket()
    connection.setblocking(False)  # noqa: FBT003  (the standard library's)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, (_HOST, port))
    except BaseException:
        connection.close()
        raise
    return connection
