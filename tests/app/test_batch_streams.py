"""Batches that go on for long: memory, who is slow, who goes, and how the service ends meanwhile. Real processes."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import orjson
import pytest

from tests.app.batches import LINES, PATH, Stream, codes_of, lines, results_of, settled
from tests.image_host import ImageHost, image_host
from tests.servers import Process, serving, wait_for

FULL = "/classify/batch"


@pytest.fixture
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@contextmanager
def started(images: ImageHost, folder: Path, log: Path, **settings: str) -> Iterator[Process]:
    with serving(log, model=str(folder), workers="1", fetch_hosts=images.hosts, fetch_tries="1", **settings) as one:
        yield one


@pytest.fixture
def server(images: ImageHost, model_folder: Path, tmp_path: Path) -> Iterator[Process]:
    with started(images, model_folder, tmp_path / "log") as process:
        yield process


def saying(stream: Stream, *pieces: bytes) -> threading.Thread:
    """Send chunks in a thread, for who reads the answer meanwhile."""

    def send() -> None:
        try:
            for piece in pieces:
                stream.say(piece)
        except OSError:
            # The service has had enough, which the test knows of.
            return

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def megabytes(process: Process) -> float:
    """Return the memory of the process that speaks HTTP."""
    pages = int(Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def test_a_stream_of_any_length_takes_no_more_memory(server: Process, images: ImageHost) -> None:
    count, piece = 20_000, lines(f"{images.url}/galaxy/{number}" for number in range(1000))
    with Stream(server.port) as stream:
        stream.begin()
        sender = saying(stream, *[piece] * (count // 1000), b"")
        assert stream.status() == 200
        seen, early = set(), 0.0
        for result in stream.results():
            assert result["status"] == "ok", result
            seen.add(result["index"])
            if len(seen) == count // 4:
                early = megabytes(server)
        sender.join()
    assert seen == set(range(count))
    assert images.count == count
    assert megabytes(server) - early < 16


def test_who_reads_slowly_slows_the_fetching(server: Process, images: ImageHost) -> None:
    count = 6000
    with Stream(server.port, buffer=16_384) as stream:
        stream.begin(path=FULL)
        body = lines(f"{images.url}/galaxy/{number}" for number in range(count))
        sender = saying(stream, *(body[start : start + 50_000] for start in range(0, len(body), 50_000)), b"")
        # The system keeps some megabytes.
        fetched = settled(images)
        assert fetched < count / 2
        assert stream.status() == 200
        assert len([*islice(stream.results(), fetched // 2)]) == fetched // 2
        sender.join()
    assert images.count > fetched


def test_a_short_body_is_taken_in_whole_before_its_answer_is_read(server: Process, images: ImageHost) -> None:
    body = b""
    while len(body) < 256 * 1024 - 100:
        body += orjson.dumps({"url": f"{images.url}/galaxy/1"}) + b"\n"
    body += b" " * (256 * 1024 - len(body))
    with Stream(server.port, buffer=16_384) as stream:
        head = f"POST {FULL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        stream.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert settled(images) < body.count(b"\n")
        assert stream.status() == 200
        assert len([*stream.results()]) == body.count(b"\n")


@pytest.mark.parametrize("answered", [False, True])
def test_who_goes_stops_the_work(server: Process, images: ImageHost, *, answered: bool) -> None:
    with Stream(server.port) as stream:
        stream.begin()
        if answered:
            stream.say(lines([f"{images.url}/galaxy/1"]))
            assert stream.status() == 200
        stream.say(lines(f"{images.url}/held/{number}" for number in range(1000)))
        wait_for(lambda: images.count >= 32, "fetches")
    wait_for(lambda: images.lost >= 32, "the fetches to be given up")
    assert images.count < 200
    assert " ERROR " not in server.log


def test_who_goes_while_many_lines_wait_stops_the_work(server: Process, images: ImageHost) -> None:
    stream = Stream(server.port)
    stream.begin()
    # More than is read ahead: the service doesn't read when the client goes, and notices by what it can't write.
    sender = saying(stream, *[lines([f"{images.url}/held/1"] * 20_000)] * 20)
    wait_for(lambda: images.count >= 32, "fetches")
    time.sleep(0.3)
    stream.socket.shutdown(2)
    stream.close()
    sender.join()
    images.let_go()
    assert settled(images) < 20_000
    assert httpx.get(f"{server.url}/health/ready").is_success


def test_files_are_worked_on_as_they_come(server: Process) -> None:
    part = b'--galaxy\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\nno image\r\n'
    with Stream(server.port) as stream:
        stream.begin("Content-Type: multipart/form-data; boundary=galaxy", "Accept: application/x-ndjson")
        stream.say(part % b"a" + part % b"b")
        assert stream.status() == 200
        results = stream.results()
        assert [next(results)["id"]] == ["a"]
        stream.say(b"--galaxy--\r\n")
        stream.say(b"")
        assert [each["id"] for each in results] == ["b"]


def test_the_end_breaks_a_stream_off_and_answers_what_is_in_work(server: Process, images: ImageHost) -> None:
    with Stream(server.port) as stream:
        stream.begin()
        stream.say(lines([f"{images.url}/galaxy/1", *[f"{images.url}/held/1"] * 20]))
        assert stream.status() == 200
        results = stream.results()
        assert next(results)["index"] == 0
        wait_for(lambda: images.count == 21, "fetches")
        server.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in server.log, "the end")
        stream.say(lines([f"{images.url}/galaxy/2"] * 100))
        images.let_go()
        assert sorted(each["index"] for each in islice(results, 20)) == [*range(1, 21)]
        with pytest.raises(ConnectionError):
            next(results)
    assert server.popen.wait(60) == 0
    assert images.asked["/galaxy/2"] == 0
    assert " ERROR " not in server.log


def test_the_end_before_anything_was_answered(server: Process, images: ImageHost) -> None:
    with Stream(server.port) as stream:
        stream.begin()
        stream.say(lines([f"{images.url}/held/1"]))
        wait_for(lambda: images.count == 1, "the fetch")
        server.popen.send_signal(signal.SIGTERM)
        assert stream.status() == 503
        assert orjson.loads(stream.body())["code"] == "not_ready"
        assert stream.headers["retry-after"] == "1"
    assert server.popen.wait(60) == 0


@pytest.mark.parametrize("in_lines", [False, True])
def test_at_the_end_what_has_come_whole_is_finished(server: Process, images: ImageHost, *, in_lines: bool) -> None:
    urls = [f"{images.url}/held/{number}" for number in range(300)]
    answers: list[httpx.Response] = []

    def ask() -> None:
        said = {"content": lines(urls), "headers": LINES} if in_lines else {"json": {"urls": urls}}
        answers.append(httpx.post(f"{server.url}{PATH}", timeout=60, **said))  # type: ignore[arg-type]

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: images.count >= 32, "fetches")
    server.popen.send_signal(signal.SIGTERM)
    wait_for(lambda: "Shutting down" in server.log, "the end")
    images.let_go()
    asking.join()
    assert server.popen.wait(60) == 0
    (answer,) = answers
    if in_lines:
        assert codes_of(results_of(answer.content)) == ["ok"] * 300
    else:
        assert answer.json()["summary"] == {"ok": 300, "failed": 0}


def test_the_end_waits_for_nobody_for_ever(images: ImageHost, model_folder: Path, tmp_path: Path) -> None:
    with started(images, model_folder, tmp_path / "log", request_timeout_seconds="1") as server:
        with Stream(server.port) as idle, Stream(server.port) as reads_nothing, Stream(server.port) as waits:
            idle.begin()
            idle.say(lines([f"{images.url}/galaxy/1"]))
            assert idle.status() == 200
            reads_nothing.begin(path=FULL)
            sender = saying(reads_nothing, *[lines([f"{images.url}/galaxy/2"] * 2000)] * 5)
            settled(images)
            body = orjson.dumps({"urls": [f"{images.url}/held/1"]})
            waits.begin("Content-Type: application/json")
            waits.say(body)
            waits.say(b"")
            wait_for(lambda: images.asked["/held/1"], "the fetch")
            assert server.stop() == 0
            assert waits.status() == 503
            with pytest.raises(ConnectionError):
                list(reads_nothing.results() if reads_nothing.status() == 200 else [])
            sender.join()
        assert " ERROR " not in server.log
