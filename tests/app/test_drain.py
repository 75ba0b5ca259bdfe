"""The end of a service: who is answered, who is cut off, and what they are told meanwhile."""

import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest

from app.admission import Admission
from app.settings import Settings
from tests.app.batches import Stream, lines
from tests.galaxies import jpeg
from tests.hostile.peers import Peer, peer
from tests.image_host import image_host
from tests.servers import Held, Process, serving, threaded, wait_for


def test_sigterm_under_load_loses_nothing(model_folder: Path, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    closing = 0
    over = threading.Event()

    def ask_on(process: Process) -> None:
        nonlocal closing
        with httpx.Client(base_url=process.url, timeout=60) as client:
            while not over.is_set():
                try:
                    answer = client.post("/classify", content=jpeg(size=200))
                except httpx.ConnectError:
                    # Nobody is at the door any more.
                    return
                except httpx.TransportError:
                    outcomes["at the door"] += 1
                    return
                outcomes[str(answer.status_code)] += 1
                closing += answer.headers.get("Connection") == "close"

    settings = {"model": str(model_folder), "workers": "1", "drain_seconds": "1"}
    with serving(tmp_path / "log", **settings) as process, ThreadPoolExecutor(6) as crowd:
        asking = [crowd.submit(ask_on, process) for _ in range(6)]
        try:
            wait_for(lambda: outcomes["200"] > 50, "the load to run")
            process.popen.send_signal(signal.SIGTERM)
            assert process.popen.wait(60) == 0
        finally:
            over.set()
        for each in asking:
            each.result(60)
        # One may come to the door in the very moment in which it is closed, and is not heard then.
        assert outcomes.pop("at the door", 0) <= 1
        assert set(outcomes) == {"200"}
        # Whoever keeps a connection was told to leave it.
        assert closing > 0
        assert "Traceback" not in process.log


def test_what_has_come_is_answered(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", workers=1, drain_seconds=0), Held()) as one:
        image, peers = jpeg(), [Peer(one.port) for _ in range(20)]
        one.model.gate.clear()
        for each in peers:
            each.say(each.head("POST", "/classify", f"Content-Length: {len(image)}") + image)
        wait_for(lambda: one.admission.images == len(peers), "all to be let in")
        one.server.handle_exit(signal.SIGTERM, None)
        time.sleep(0.3)
        one.model.gate.set()
        answers = [each.answer() for each in peers]
        for each in peers:
            each.socket.close()
        assert [answer.status for answer in answers] == [200] * len(peers)


def test_who_sends_no_more_is_cut_off_after_the_deadline(model_folder: Path, tmp_path: Path) -> None:
    limits = {"request_timeout_seconds": "1", "body_timeout_seconds": "600", "workers": "1"}
    with serving(tmp_path / "log", model=str(model_folder), **limits) as process, peer(process.port) as slow:
        slow.post("Content-Length: 1000")
        slow.say(bytes(100))
        time.sleep(0.2)
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(60) == 0
        assert "cutting off 1 connections" in process.log
        assert "Traceback" not in process.log


def test_batches_that_are_not_done_in_time_are_broken_off_and_told_of(model_folder: Path, tmp_path: Path) -> None:
    with image_host() as images, ThreadPoolExecutor() as threads:
        said = {"model": str(model_folder), "request_timeout_seconds": "8", "workers": "1", "fetch_hosts": images.hosts}
        urls = [f"{images.url}/galaxy/0", f"{images.url}/galaxy/1", f"{images.url}/held/2"]
        with serving(tmp_path / "log", **said) as process, Stream(process.port) as whole, Stream(process.port) as half:
            answer = threads.submit(httpx.post, f"{process.url}/classify/batch", json={"urls": urls}, timeout=60)
            for stream in (whole, half):
                stream.begin()
                stream.say(lines(urls if stream is whole else urls[:2]))
            whole.say(b"")
            results = [stream.results() for stream in (whole, half)]
            assert [stream.status() for stream in (whole, half)] == [200, 200]
            for each in results:
                assert {next(each)["status"], next(each)["status"]} == {"ok"}
            wait_for(lambda: images.asked["/held/2"] > 1, "the last ones to be in work")
            process.popen.send_signal(signal.SIGTERM)
            for each in results:
                with pytest.raises(ConnectionError):
                    next(each)
            assert (answer.result().status_code, answer.result().json()["code"]) == (503, "not_ready")
            half.close()
            assert process.popen.wait(60) == 0
        images.let_go()
        assert process.log.count("broke off a batch, since the service ends: 2 items scored, 0 failed") == 3
        assert "broke off 3 batches that were not done in time, with 6 items done" in process.log
        told = [orjson.loads(line) for line in process.said.splitlines()]
        assert sorted((line["code"], line.get("ended", "")) for line in told) == [
            *[("cut_off", "not_ready")] * 2,
            ("not_ready", ""),
        ]


def test_batches_that_are_done_in_time_are_not_told_of(model_folder: Path, tmp_path: Path) -> None:
    with image_host() as images, ThreadPoolExecutor() as threads:
        said = {"model": str(model_folder), "workers": "1", "fetch_hosts": images.hosts}
        with serving(tmp_path / "log", **said) as process:
            document = {"urls": [f"{images.url}/held/2"]}
            answer = threads.submit(httpx.post, f"{process.url}/classify/batch", json=document, timeout=60)
            wait_for(lambda: images.asked["/held/2"] > 0, "it to be in work")
            process.popen.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            images.let_go()
            assert answer.result().json()["summary"] == {"ok": 1, "failed": 0}
            assert process.popen.wait(60) == 0
        assert "broke off" not in process.log


def test_a_request_that_was_sent_behind_another_is_answered_while_draining(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", workers=1, drain_seconds=600)) as one:
        one.server.handle_exit(signal.SIGTERM, None)
        with peer(one.port) as client:
            image = jpeg()
            request = client.head("POST", "/classify", f"Content-Length: {len(image)}") + image
            client.say(2 * request)
            first, second = client.answers(2)
        assert (first.status, second.status) == (200, 200)
        assert "connection" not in first.headers
        assert second.headers["connection"] == "close"


def test_a_service_that_is_nearly_full_is_not_ready_and_takes_images_all_the_same(model_folder: Path) -> None:
    limits = {"queue_images": 10, "ready_share": 0.5}
    chosen = Settings.model_validate({"model": model_folder, "device": "cpu", "workers": 1, **limits})
    with threaded(chosen, Held()) as one, ThreadPoolExecutor(6) as crowd:
        one.model.gate.clear()
        waiting = []
        for count in range(1, 7):
            assert httpx.get(f"{one.url}/health/ready").is_success
            waiting.append(crowd.submit(httpx.post, f"{one.url}/classify", content=jpeg(), timeout=60))
            wait_for(lambda some=count: one.admission.images == some, "the next one")
        answer = httpx.get(f"{one.url}/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        one.model.gate.set()
        assert [each.result().status_code for each in waiting] == [200] * 6
        assert httpx.get(f"{one.url}/health/ready").is_success


def test_a_full_service_is_ready_where_that_is_what_was_asked_for_and_says_429(model_folder: Path) -> None:
    limits = {"queue_images": 3, "ready_share": 1}
    chosen = Settings.model_validate({"model": model_folder, "device": "cpu", "workers": 1, **limits})
    with threaded(chosen, Held()) as one, ThreadPoolExecutor(3) as crowd:
        one.model.gate.clear()
        waiting = [crowd.submit(httpx.post, f"{one.url}/classify", content=jpeg(), timeout=60) for _ in range(3)]
        wait_for(lambda: one.admission.images == 3, "the queue to be full")
        refused = httpx.post(f"{one.url}/classify", content=jpeg())
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        for path in ("/health/ready", "/v2/health/ready"):
            assert httpx.get(one.url + path).is_success
        assert "galaxytree_ready 1.0" in httpx.get(f"{one.url}/metrics").text
        one.model.gate.set()
        assert [each.result().status_code for each in waiting] == [200] * 3
        one.server.handle_exit(signal.SIGTERM, None)
        assert httpx.get(f"{one.url}/health/ready").status_code == 503


def test_bytes_count_for_the_mark_too() -> None:
    admission = Admission(10, 1000, 1)
    admission.take(count=900)
    assert not admission.high(0.9)
    admission.take(count=1)
    assert admission.high(0.9)
