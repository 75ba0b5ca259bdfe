"""A program that serves as it is told to: ``fake.py PORT MANNER``. The first image is always answered well."""

import asyncio
import json
import os
import sys

SCORES = {"smooth": 0.25, "features": 0.75}
_WELL = json.dumps(SCORES).encode()
_BODIES = {
    "well": _WELL, "form": b"[" + _WELL + b"]", "text": b"Hello!", "none": b"[]", "two": b"[{}, {}]",
    "words": b'{"smooth": "much", "features": "few"}', "nothing": b'{"scores": null}', "refuses": _WELL,
}  # fmt: skip
_DIES_AFTER = 10


async def main(port: int, manner: str) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            status, body = 200, _WELL
            if b"content-length: " in head:
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
                asked += 1
                if asked > 1:
                    if manner == "resets":
                        writer.transport.abort()
                        return
                    if manner == "hangs":
                        await asyncio.sleep(60)
                    if manner == "dies" and asked > _DIES_AFTER:
                        os._exit(1)
                    status, body = 503 if manner == "refuses" else 200, _BODIES.get(manner, _WELL)
            writer.write(b"HTTP/1.1 %d Any\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  (clients that hang up are no news)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
