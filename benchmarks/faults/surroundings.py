"""Faults of what is around a service: a disk that is full, a host that stalls, a clock that jumps."""

import asyncio
import email.utils
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import orjson

from benchmarks.client import post
from benchmarks.faults.asking import Ask, Line
from benchmarks.faults.judging import Failed, expecting
from benchmarks.faults.stage import NotThereError, Stage
from benchmarks.systems import System

DISK = "GALAXYTREE_BENCH_DISK"
HOST = "GALAXYTREE_BENCH_HOST_SOCKET"
CLOCK = "FAKETIME_TIMESTAMP_FILE"
JUMPS = ("+3600", "-3600", "+86400", "+0", "-315360000", "+0")
"""Seconds beside the true time: an hour on and back, a day, ten years back."""

_DISK_BYTES = 256 * 1024
_FULL_SECONDS = 12.0
_STALLED_SECONDS, _BATCHES, _URLS = 20.0, 4, 64
FETCH_TIMEOUT_SECONDS = 3
_JUMP_SECONDS = 4.0
_TOLD_SECONDS = 5.0
_LOOKED_SECONDS = 2.5


@contextmanager
def small_disk(system: System) -> Iterator[System]:
    """Have the service log and keep temporary files on a disk of 256 KiB."""
    with tempfile.TemporaryDirectory(prefix="disk") as place:
        mount, unmount = shutil.which("mount"), shutil.which("umount")
        if mount is None or unmount is None:
            msg = "a small disk can't be mounted here: there is no mount"
            raise NotThereError(msg)
        command = [mount, "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "galaxytree", place]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            msg = f"a small disk can't be mounted here, which needs root: {done.stderr.strip()}"
            raise NotThereError(msg)
        try:
            # A line for each request, so that much is to be written.
            words = shlex.join([*system.command, "--log-level", "debug"])
            shell = f"export TMPDIR={place}; exec {words} >>{place}/log 2>&1"
            yield replace(system, command=("sh", "-c", shell), variables={**system.variables, DISK: place})
        finally:
            subprocess.run([unmount, place], check=True)


async def fill_disk(stage: Stage) -> None:
    """Fill the disk to its last byte, and make room again in the end."""
    folder = Path(stage.server.system.variables[DISK])
    filler = folder / "filler"
    for each in range(2):
        _fill(filler)
        stage.happened["times that the disk was full"] = each + 1
        await stage.calm(_FULL_SECONDS / 2)
        if _room(folder):
            stage.missed.append(f"{_room(folder)} bytes were free again")
        filler.unlink()
        await stage.calm()


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(bytes(4096))


def _room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@contextmanager
def stalling_host(system: System) -> Iterator[System]:
    """Have a host of images that is listed as one to fetch from, and that nobody serves yet."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        listening.setblocking(False)  # noqa: FBT003  (the standard library's)
        settings = {
            "GALAXYTREE_FETCH_HOSTS": f"127.0.0.1:{listening.getsockname()[1]}",
            "GALAXYTREE_FETCH_TIMEOUT_SECONDS": str(FETCH_TIMEOUT_SECONDS),
            "GALAXYTREE_FETCH_FIRST_BYTE_TIMEOUT_SECONDS": str(FETCH_TIMEOUT_SECONDS),
            "GALAXYTREE_FETCH_TRIES": "1",
            HOST: str(os.dup(listening.fileno())),
        }
        yield replace(system, variables={**system.variables, **settings})


async def stall(stage: Stage) -> None:
    """Send batches whose images' host says nothing, or begins an answer and never goes on."""
    listening = socket.socket(fileno=int(stage.server.system.variables[HOST]))
    port, number = listening.getsockname()[1], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        with suppress(OSError):
            if number % 2:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n\xff\xd8\xff")
            # Until the other side has had enough.
            await reader.read()
        writer.close()

    urls = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(_URLS)]
    codes = frozenset({"fetch_timeout", "fetch_failed"})
    request = post("/classify/batch", orjson.dumps({"urls": urls}), "application/json")
    ask = Ask(request, expecting(HTTPStatus.OK, Failed(_URLS, codes)))
    ends = asyncio.get_running_loop().time() + stage.seconds(_STALLED_SECONDS)

    async def batches() -> None:
        line = Line(stage.server.port)
        while asyncio.get_running_loop().time() < ends:
            stage.beside.note(await line.ask(ask))
        line.close()

    async with await asyncio.start_server(serve, sock=listening):
        await asyncio.gather(*(batches() for _ in range(_BATCHES)))
    stage.happened["batches beside them"] = stage.beside.sent
    stage.happened["connections to the host that stalls"] = number


@contextmanager
def faked_clock(system: System) -> Iterator[System]:
    """Let libfaketime say what time it is for the service and its workers; the machine's clock stays as it is."""
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), *Path("/usr/lib").glob("faketime/*MT.so.1")]
    if not libraries:
        msg = "libfaketime is not installed (Debian's package `faketime`)"
        raise NotThereError(msg)
    with tempfile.TemporaryDirectory(prefix="clock") as place:
        file = Path(place) / "now"
        file.write_text("+0\n", "ascii")
        variables = {
            "LD_PRELOAD": str(libraries[0]),
            CLOCK: str(file),
            "FAKETIME_CACHE_DURATION": "1",
            # The wall clock is what administrators and NTP set; nothing but a boot sets the other one.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        yield replace(system, variables={**system.variables, **variables})


async def jump(stage: Stage) -> None:
    """Set the wall clock of the service to other times, and see in its answers that it has moved."""
    file, seen = Path(stage.server.system.variables[CLOCK]), 0
    for jumped in JUMPS:
        await asyncio.to_thread(file.write_text, f"{jumped}\n", "ascii")
        await stage.calm(_JUMP_SECONDS)
        moved = await _moved(stage)
        if moved is not None and abs(moved - int(jumped)) < _TOLD_SECONDS:
            seen += 1
        else:
            stage.missed.append(f"a jump to {jumped} s was answered with a clock at {moved} s")
    stage.happened["jumps that the service's Date shows"] = seen


async def _moved(stage: Stage) -> float | None:
    """Return how far the service's clock is from the true one, in seconds."""
    # Libfaketime and the server each look once a second.
    await asyncio.sleep(_LOOKED_SECONDS)
    _, _, headers = await stage.get("/health/live")
    if "date" not in headers:
        return None
    return email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()
