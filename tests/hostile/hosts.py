"""Hosts that images are fetched from and that don't behave: a coroutine of the test's own answers each request."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from app.errors import ServiceError
from app.fetching.fetcher import Fetcher
from app.settings import Settings

IMAGE = b"\xff\xd8" + bytes(range(256)) * 40
"""What looks like an image's bytes to one who doesn't look into them."""

PATIENCE_SECONDS = 60.0

Result = TypeVar("Result")


@dataclass
class Visit:
    """One request to a host."""

    number: int
    connection: int
    head: bytes
    writer: asyncio.StreamWriter

    @property
    def path(self) -> str:
        return self.head.split()[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def say_for_ever(self, data: bytes) -> None:
        """Send the same bytes until the other side has enough."""
        while True:
            await self.say(data)

    async def say_slowly(self, data: bytes, seconds: float = 0.05) -> None:
        """Send byte after byte."""
        for each in data:
            await self.say(bytes([each]))
            await asyncio.sleep(seconds)

    async def wait_for_ever(self) -> None:
        await asyncio.Event().wait()

    def drop(self) -> None:
        self.writer.transport.abort()


Answer = Callable[[Visit], Awaitable[None]]


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode()


def saying(data: bytes) -> Answer:
    """Return what answers every request with the same bytes."""

    async def answer(visit: Visit) -> None:
        await visit.say(data)

    return answer


def whole(body: bytes, status: int = 200, *headers: str) -> bytes:
    return head(status, *headers, f"Content-Length: {len(body)}") + body


def with_image(*headers: str) -> Answer:
    return saying(whole(IMAGE, 200, "Content-Type: image/jpeg", *headers))


def with_status(status: int, *headers: str) -> Answer:
    return saying(whole(b"never mind", status, *headers))


def redirecting(to: str, status: int = 302) -> Answer:
    return with_status(status, f"Location: {to}")


def one_after_the_other(*answers: Answer) -> Answer:
    """Return what answers the first request in the first way, and so on, and all further ones in the last way."""

    async def answer(visit: Visit) -> None:
        await answers[min(visit.number, len(answers) - 1)](visit)

    return answer


@dataclass
class Host:
    """A listening host, and what it saw."""

    address: str
    port: int
    tls: bool = False
    connections: int = 0
    open: int = 0
    visits: list[Visit] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def entry(self) -> str:
        """What lists it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def url(self, path: str = "/galaxy.jpg", name: str | None = None) -> str:
        return f"http{'s' * self.tls}://{self.entry if name is None else f'{name}:{self.port}'}{path}"


@asynccontextmanager
async def host(
    answer: Answer, address: str = "127.0.0.2", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Host]:
    """Have a host listen."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        one.tasks.add(task)
        one.connections += 1
        one.open += 1
        connection = one.connections
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    asked = await reader.readuntil(b"\r\n\r\n")
                    visit = Visit(len(one.visits), connection, asked, writer)
                    one.visits.append(visit)
                    await answer(visit)
        finally:
            one.open -= 1
            one.tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, address, port, ssl=tls)
    one = Host(address, server.sockets[0].getsockname()[1], tls is not None)
    try:
        yield one
    finally:
        server.close()
        for task in tuple(one.tasks):
            task.cancel()
        await asyncio.gather(*one.tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def fetching(hosts: str, *, tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Fetcher]:  # noqa: ANN401 (of every type)
    """Have a fetcher that may fetch from these hosts."""
    fetcher = Fetcher(Settings(fetch_hosts=hosts, **settings), tls)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def outcome(fetcher: Fetcher, url: str) -> bytes | ServiceError:
    """Return what comes of a URL."""
    try:
        return await asyncio.wait_for(fetcher.fetch(url), PATIENCE_SECONDS)
    except ServiceError as error:
        return error


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 (any condition at all, of sockets too)
            await asyncio.sleep(0.005)


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the loop that serves in production."""
    return uvloop.run(test)
