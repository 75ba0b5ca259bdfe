"""A host of images on this machine, in a thread: what a batch fetches from, with what it was asked for counted."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.galaxies import jpeg

IMAGES = [jpeg(seed, size=64) for seed in range(8)]


class ImageHost:
    """Paths: ``/galaxy/N``, the same ones again and again; ``/held/N``, once it is let go; ``/text``; others are 404.

    Attributes
    ----------
    asked
        How often each path was asked for.
    lost
        How many connections were closed while an image was held back on them.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.lost = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> str:
        """What the service is to be set to."""
        return f"127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """How often anything was asked for."""
        return self.asked.total()

    def let_go(self) -> None:
        """Answer what was held back, and what is asked for from now on."""
        self._loop.call_soon_threadsafe(self._gate.set)

    def hold(self) -> None:
        """Hold back again."""
        self._loop.call_soon_threadsafe(self._gate.clear)

    def start(self) -> None:
        self._thread.start()
        assert self._listening.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self.open: set[asyncio.Transport] = set()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopped
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in tuple(self.open):
            transport.abort()
        # As often as it takes for the transports to hear of it.
        await asyncio.sleep(0.01)

    def answer(self, path: str, connection: "_Connection") -> None:
        self.asked[path] += 1
        kind, _, number = path[1:].partition("/")
        if kind == "held" and not self._gate.is_set():
            task = self._loop.create_task(self._answer_later(path, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind in {"galaxy", "held"}:
            connection.say(200, IMAGES[int(number) % len(IMAGES)])
        elif kind == "text":
            connection.say(200, b"<html>No galaxy here.</html>")
        else:
            connection.say(404, b"nothing")

    async def _answer_later(self, path: str, connection: "_Connection") -> None:
        connection.holding = True
        await self._gate.wait()
        connection.holding = False
        connection.say(200, IMAGES[int(path.rpartition("/")[2]) % len(IMAGES)])


class _Connection(asyncio.Protocol):
    def __init__(self, host: ImageHost) -> None:
        self._host = host
        self._unread = b""
        self._transport: asyncio.Transport | None = None
        self.holding = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.open.add(transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._transport is not None:
            self._host.open.discard(self._transport)
        self._transport = None
        self._host.lost += self.holding

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for head in heads:
            self._host.answer(head.split()[1].decode(), self)

    def say(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


@contextmanager
def image_host() -> Iterator[ImageHost]:
    """Serve images."""
    host = ImageHost()
    host.start()
    try:
        yield host
    finally:
        host.stop()
