"""A client that means no good, as a program of its own, so that what it spends is not the measuring client's.

It goes on for some seconds and prints how it was answered.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import click

from benchmarks.client import DROPPED, Answer, Connection, connect, head, post, run
from benchmarks.images import huge_png

UPLOAD_BYTES = 100 * 2**20
PART_BYTES = 256 * 1024
SLOW_BYTES_PER_SECOND = 10
_SLOW_LINES = 100
_SLOW_BYTES = 14_000
_LINES = 2
_PAUSE_SECONDS = 0.5
READY = "ready"
_JPEG_START = b"\xff\xd8\xff\xe0"


async def huge_image(connection: Connection, path: str, request: bytes) -> Answer:
    """Send a small file of very many pixels."""
    del path
    return await connection.ask(request)


async def long_upload(connection: Connection, path: str, _request: bytes) -> Answer:
    """Send 100 MiB, and say so beforehand."""
    return await _upload(connection, head(path, f"Content-Length: {UPLOAD_BYTES}"), lambda part: part)


async def endless_upload(connection: Connection, path: str, _request: bytes) -> Answer:
    """Send 100 MiB in chunks, and don't say how much there will be."""
    framed = b"%x\r\n" % PART_BYTES
    return await _upload(connection, head(path, "Transfer-Encoding: chunked"), lambda part: framed + part + b"\r\n")


async def _upload(connection: Connection, start: bytes, framed: Callable[[bytes], bytes]) -> Answer:
    answer = connection.begin(start)
    part = framed(_JPEG_START + bytes(PART_BYTES - len(_JPEG_START)))
    for _ in range(UPLOAD_BYTES // PART_BYTES):
        # A client that is told no would stop; this one sends on until the server will not have it.
        if answer.done() and not connection.usable:
            break
        await connection.send(part)
        await asyncio.sleep(0)
    return await answer


async def slow_upload(connection: Connection, path: str, _request: bytes) -> Answer:
    """Send a body of usual size, 10 bytes a second."""
    answer = connection.begin(head(path, f"Content-Length: {_SLOW_BYTES}") + _JPEG_START)
    for _ in range(_SLOW_BYTES // SLOW_BYTES_PER_SECOND):
        if answer.done():
            break
        await connection.send(bytes(SLOW_BYTES_PER_SECOND))
        await asyncio.wait({answer}, timeout=1)
    return await answer


Attack = Callable[[Connection, str, bytes], Awaitable[Answer]]
ATTACKS: dict[str, tuple[Attack, int, float]] = {
    "huge-image": (huge_image, _LINES, _PAUSE_SECONDS),
    "long-upload": (long_upload, _LINES, _PAUSE_SECONDS),
    "endless-upload": (endless_upload, _LINES, _PAUSE_SECONDS),
    "slow-upload": (slow_upload, _SLOW_LINES, 0.0),
}
"""What is done, on how many connections at once, and with what pause."""


async def attack(kind: str, port: int, path: str, request: bytes, seconds: float) -> Counter[str]:
    """Keep at it for so long, and count how that was answered."""
    act, lines, pause = ATTACKS[kind]
    counts: Counter[str] = Counter()
    deadline = time.perf_counter() + seconds

    async def line() -> None:
        while time.perf_counter() < deadline:
            try:
                connection = await connect(port)
            except OSError:
                counts["refused connection"] += 1
            else:
                counts[await _outcome(act, connection, path, request, deadline)] += 1
            await asyncio.sleep(pause)

    await asyncio.gather(*(line() for _ in range(lines)))
    return counts


async def _outcome(act: Attack, connection: Connection, path: str, request: bytes, deadline: float) -> str:
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.perf_counter()):
            answer = await act(connection, path, request)
    except TimeoutError:
        return "unfinished"
    finally:
        connection.close()
    return "dropped" if answer.status == DROPPED else str(answer.status)


@click.command()
@click.argument("kind", type=click.Choice(list(ATTACKS)))
@click.option("--port", type=int, required=True, help="Port of this machine")
@click.option("--path", required=True, help="Path that is posted to")
@click.option("--seconds", type=float, required=True, help="How long to go on")
def main(kind: str, port: int, path: str, seconds: float) -> None:
    """Attack a service once told to by a line on standard input, and print how it answered."""
    request = post(path, huge_png(), "image/png") if kind == "huge-image" else b""
    click.echo(READY)
    # What it takes to get here is not to be a part of the attack.
    sys.stdin.readline()
    counts, spent = run(attack(kind, port, path, request, seconds))
    click.echo(json.dumps({"outcomes": dict(counts), "client_seconds": spent}))


if __name__ == "__main__":
    main()
