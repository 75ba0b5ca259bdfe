"""A host of images, as a program: what the URLs of a survey lead to, served as well as can be, or as the worst do.

``/good/17.jpg`` is the picture of row 17; ``missing``, ``slow``, ``cut`` and ``text`` in place of ``good`` are 404, a
body that never goes on after its first byte, one that breaks off in the middle, and a page in place of a picture.
``/counts`` is how often each row was asked for, an unsigned byte a row.
"""

import asyncio
from pathlib import Path
from typing import cast

import click
import httptools
import uvloop

from benchmarks.images import galaxies

ORIGINALS = 1200
KINDS = ("missing", "slow", "cut", "text")
_MOST = 255


def _whole(body: bytes, kind: str = "image/jpeg", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


_MISSING = _whole(b"no such galaxy", "text/plain", "404 Not Found")
_TEXT = _whole(b"<!doctype html><title>A page</title>", "text/html")


class Connection(asyncio.Protocol):
    """One connection to the host.

    Parameters
    ----------
    answers
        Whole answers; row N gets the one at N modulo their number.
    counts
        One place a row.
    """

    def __init__(self, answers: list[bytes], counts: bytearray) -> None:
        self._answers, self._counts = answers, counts
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not asked for: uvloop's own class derives from none of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read requests."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._url = b""

    def on_url(self, url: bytes) -> None:
        """Take the path, or a piece of it."""
        self._url += url

    def on_message_complete(self) -> None:
        """Answer."""
        _, kind, *rest = self._url.split(b"/")
        if kind == b"counts":
            self._transport.write(_whole(bytes(self._counts), "application/octet-stream"))
            return
        row = int(rest[0].partition(b".")[0])
        self._counts[row] = min(self._counts[row] + 1, _MOST)
        answer = self._answers[row % len(self._answers)]
        match kind:
            case b"good":
                self._transport.write(answer)
            case b"missing":
                self._transport.write(_MISSING)
            case b"text":
                self._transport.write(_TEXT)
            case b"slow":
                self._transport.write(answer[: answer.index(b"\r\n\r\n") + 5])
            case _:
                self._transport.write(answer[: len(answer) // 2])
                self._transport.close()


async def serve(answers: list[bytes], rows: int) -> None:
    """Serve on a free port of this machine, and print which it is."""
    counts = bytearray(rows)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers, counts), "127.0.0.1", 0)
    click.echo(server.sockets[0].getsockname()[1])
    await server.serve_forever()


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with Galaxy Zoo's pictures")
@click.option("--rows", type=int, required=True, help="How many rows there are")
def main(data: Path, rows: int) -> None:
    """Serve pictures until killed."""
    uvloop.run(serve([_whole(image) for image in galaxies(data, min(ORIGINALS, rows)).encoded], rows))


if __name__ == "__main__":
    main()
