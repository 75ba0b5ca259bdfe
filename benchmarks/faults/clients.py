"""Faults of clients: those that say nothing, vanish, or take for ever."""

import asyncio
import random
import socket
import struct
from contextlib import suppress

from benchmarks.client import head
from benchmarks.faults.asking import connected
from benchmarks.faults.stage import Stage

HALF_OPEN = 10_000
_AT_ONCE = 200
_HELD_SECONDS = 15.0
_VANISHING_SECONDS, _VANISHING_PER_SECOND = 15.0, 40
_SLOW_LINES, _SLOW_SECONDS, _BYTE_SECONDS = 200, 45.0, 1.0
_BODY_BYTES = 14_000
_HALF_A_HEAD = b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Unfinished: "


async def half_open(stage: Stage) -> None:
    """Open thousands of connections: every other one says nothing at all, the rest half a head; and hold them."""
    held: list[socket.socket] = []
    wanted = stage.times(HALF_OPEN)
    try:
        while len(held) < wanted:
            opened = await asyncio.gather(
                *(connected(stage.server.port) for _ in range(min(_AT_ONCE, wanted - len(held)))),
                return_exceptions=True,
            )
            fresh = [each for each in opened if isinstance(each, socket.socket)]
            for number, each in enumerate(fresh):
                if number % 2:
                    with suppress(OSError):
                        each.send(_HALF_A_HEAD)
            held += fresh
            if len(fresh) < len(opened):
                break
        stage.happened["half-open connections reached"] = len(held)
        if len(held) < wanted:
            stage.happened["of"] = wanted
        await stage.calm(_HELD_SECONDS)
        stage.happened["of them closed by the service meanwhile"] = sum(_closed(each) for each in held)
    finally:
        for each in held:
            each.close()
    await stage.calm()


def _closed(connection: socket.socket) -> bool:
    try:
        while data := connection.recv(65536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def vanish(stage: Stage) -> None:
    """Begin uploads and go in the middle of them, in good order or with a reset."""
    source, number = random.Random(0), 0
    ends = asyncio.get_running_loop().time() + stage.seconds(_VANISHING_SECONDS)
    while asyncio.get_running_loop().time() < ends:
        await vanishing(stage.server.port, source)
        number += 1
        await asyncio.sleep(1 / _VANISHING_PER_SECOND)
    stage.happened["uploads that were broken off"] = number


async def vanishing(port: int, source: random.Random) -> None:
    """Begin one upload, raw or chunked, and be gone."""
    framing = source.choice([f"Content-Length: {_BODY_BYTES}", "Transfer-Encoding: chunked"])
    start = head("/classify", framing)
    body = b"2000\r\n" if "chunked" in framing else b""
    body += b"\xff\xd8\xff\xe0" + bytes(source.randrange(8000))
    with suppress(OSError):
        connection = await connected(port)
        try:
            await asyncio.get_running_loop().sock_sendall(connection, (start + body)[: source.randrange(20, 8000)])
            if source.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            connection.close()


async def slow_heads(stage: Stage) -> None:
    """Send heads a byte at a time."""
    await _slowly(stage, b"", b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * _BODY_BYTES)


async def slow_bodies(stage: Stage) -> None:
    """Send bodies a byte at a time."""
    await _slowly(stage, head("/classify", f"Content-Length: {_BODY_BYTES}"), bytes(_BODY_BYTES))


async def _slowly(stage: Stage, start: bytes, rest: bytes) -> None:
    """Send the first part at once, and the rest a byte at a time, on many connections."""
    number, ends = stage.times(_SLOW_LINES), asyncio.get_running_loop().time() + stage.seconds(_SLOW_SECONDS)

    async def line() -> str:
        try:
            connection = await connected(stage.server.port)
        except OSError:
            return "not taken"
        try:
            return await _trickle(connection, start, rest, ends)
        finally:
            connection.close()

    outcomes = await asyncio.gather(*(line() for _ in range(number)))
    stage.happened["slow clients"] = number
    for outcome in sorted(set(outcomes)):
        stage.happened[f"of them {outcome}"] = outcomes.count(outcome)


async def _trickle(connection: socket.socket, start: bytes, rest: bytes, ends: float) -> str:
    """Return how it ended."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        await loop.sock_sendall(connection, start)
        for place in range(len(rest)):
            if loop.time() > ends:
                return "still there at the end"
            await loop.sock_sendall(connection, rest[place : place + 1])
            with suppress(TimeoutError):
                async with asyncio.timeout(_BYTE_SECONDS):
                    answer = await loop.sock_recv(connection, 4096)
                    return f"answered {answer[9:12].decode()}" if answer else "closed"
    return "closed"
