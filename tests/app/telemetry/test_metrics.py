"""What ``GET /metrics`` tells of a real service is what was done there, to the last request."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import pytest

from app.settings import Settings
from app.telemetry.gpu import Gpu, Gpus
from app.telemetry.metrics import ALL, PROCESS
from app.telemetry.numbers import Spread
from galaxytree.card import ModelCard
from tests.app.batches import Stream, lines
from tests.app.callers import write_keys
from tests.galaxies import jpeg, jpeg_of_bytes
from tests.hostile.peers import Peer, peer
from tests.image_host import ImageHost, image_host
from tests.scraping import Scrape
from tests.servers import Held, Process, children, serving, threaded, wait_for

MAX_IMAGE_BYTES = 100_000


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@pytest.fixture(scope="module")
def measured(model_folder: Path, images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(
        tmp_path_factory.mktemp("measured") / "log",
        model=str(model_folder),
        workers="1",
        max_image_bytes=str(MAX_IMAGE_BYTES),
        body_timeout_seconds="1",
        fetch_hosts=f"skyserver.sdss.org {images.hosts}",
        fetch_tries="1",
        access_log="off",
    ) as process:
        yield process


def send_what_is_expected(measured: Process, images: ImageHost) -> None:
    image = jpeg(size=64)
    with httpx.Client(base_url=measured.url, timeout=30) as client:
        for _ in range(3):
            assert client.post("/classify?views=1", content=image).is_success
        for _ in range(2):
            assert client.post("/classify", files={"file": image}).is_success
        assert client.post("/classify?views=8", content=image).is_success
        assert client.post("/classify", content=b"no image").status_code == 422
        assert client.post("/classify?views=3", content=image).status_code == 422
        assert client.post("/classify", content=jpeg_of_bytes(MAX_IMAGE_BYTES + 1)).status_code == 413
        assert client.get("/nowhere").status_code == 404
        assert client.get("/classify").status_code == 405
        assert client.head("/health/live").is_success
        assert client.get("/docs").is_success
        document = {"urls": [f"{images.url}/galaxy/1", f"{images.url}/text", f"{images.url}/none", "ftp://x/y"]}
        assert client.post("/classify/batch", json=document).json()["summary"] == {"ok": 1, "failed": 3}
    # Some that come in pieces: one that is whole in the end, one that stalls, and one that vanishes.
    with peer(measured.port) as one:
        one.say_in_pieces(one.head("POST", "/classify", f"Content-Length: {len(image)}") + image, 3)
        assert one.answer().status == 200
    with peer(measured.port) as one:
        one.post("Content-Length: 1000")
        assert (answer := one.answer()).code == "body_timeout", answer.body
    with peer(measured.port) as one:
        one.post("Content-Length: 1000")
        one.say(b"some of it")
        one.vanish()
    with peer(measured.port) as one:
        one.say(b"no HTTP\r\n\r\n")
        assert one.answer().status == 400
    # A batch whose sender says no more, and whose answer breaks off.
    with Stream(measured.port) as stream:
        stream.begin()
        stream.say(lines([f"{images.url}/galaxy/{number}" for number in range(2)]))
        assert stream.status() == 200
        with pytest.raises(ConnectionError):
            list(stream.results())


def test_all_that_was_sent_is_counted_and_nothing_else(measured: Process, images: ImageHost) -> None:
    before = Scrape.at(measured.url)
    send_what_is_expected(measured, images)
    expected = {
        ("/classify", "POST", "200", "ok"): 7,
        ("/classify", "POST", "422", "undecodable_image"): 1,
        ("/classify", "POST", "422", "invalid_request"): 1,
        ("/classify", "POST", "413", "payload_too_large"): 1,
        ("/classify", "POST", "408", "body_timeout"): 1,
        ("/classify", "POST", "499", "cut_off"): 1,
        ("/classify", "GET", "405", "method_not_allowed"): 1,
        ("/classify/batch", "POST", "200", "ok"): 1,
        ("/classify/batch", "POST", "200", "cut_off"): 1,
        ("/health/live", "HEAD", "200", "ok"): 1,
        ("/docs", "GET", "200", "ok"): 1,
        ("other", "GET", "404", "not_found"): 1,
    }

    def requests() -> dict[tuple[str, ...], float]:
        added = Scrape.at(measured.url).since(before)
        found = added.by("galaxytree_requests_total", "route", "method", "status", "code")
        # But for those by which this is asked.
        return {place: count for place, count in found.items() if place[0] != "/metrics"}

    wait_for(lambda: sum(requests().values()) == sum(expected.values()), "all to be over")
    assert requests() == expected
    now = Scrape.at(measured.url).since(before)
    assert now.by("galaxytree_images_total", "way", "outcome") == {
        ("single", "scored"): 7,
        ("single", "undecodable_image"): 1,
        ("single", "invalid_request"): 1,
        ("single", "payload_too_large"): 1,
        ("single", "body_timeout"): 1,
        ("single", "cut_off"): 1,
        ("batch", "scored"): 3,
        ("batch", "undecodable_image"): 1,
        ("batch", "fetch_failed"): 1,
        ("batch", "url_forbidden"): 1,
    }
    assert now.by("galaxytree_fetches_total", "host", "outcome") == {
        ("private-listed", "ok"): 4,
        ("private-listed", "fetch_failed"): 1,
        ("other", "url_forbidden"): 1,
    }
    assert now.value("galaxytree_malformed_requests_total") == 1
    assert now.by("galaxytree_stage_duration_seconds_count", "stage") == {
        (stage,): 10 for stage in ("decode", "queue", "infer", "whole")
    }
    spent = now.by("galaxytree_stage_duration_seconds_sum", "stage")
    parts = sum(spent[stage,] for stage in ("decode", "queue", "infer"))
    assert spent["whole",] == pytest.approx(parts)
    assert all(value > 0 for value in spent.values())
    # Ten images, one of them with eight views.
    assert now.value("galaxytree_run_images_sum") == 17
    assert 1 <= now.value("galaxytree_run_images_count") <= 10
    assert now.value("galaxytree_run_images_bucket", le="+Inf") == now.value("galaxytree_run_images_count")
    by_route = now.by("galaxytree_request_duration_seconds_count", "route")
    assert (by_route["/classify",], by_route["/classify/batch",], by_route["other",]) == (13, 2, 1)
    assert now.value("galaxytree_fetch_duration_seconds_count", host="private-listed") == 5
    idle = Scrape.at(measured.url)
    for name in ("queue_images", "queue_bytes", "queue_age_seconds", "queue_waiting_items", "batches"):
        assert idle.value(f"galaxytree_{name}") == 0
    assert now.value("galaxytree_drained_requests_total") == 0


def test_what_runs_is_told(measured: Process, model_folder: Path) -> None:
    now, card = Scrape.at(measured.url), ModelCard.read(model_folder)
    (model,) = now.by("galaxytree_model_info", "name", "version", "sha256", "precision", "provider")
    assert model == (card.name, card.version, card.sha256, "fp32", "CPUExecutionProvider")
    assert (now.value("galaxytree_workers"), now.value("galaxytree_workers_wanted")) == (1, 1)
    assert now.value("galaxytree_ready") == 1
    assert now.by("galaxytree_state", "state") == {("starting",): 0, ("ready",): 1, ("draining",): 0}
    assert now.value("galaxytree_queue_images_limit") == 256
    assert now.value("process_resident_memory_bytes") > 1e7
    assert now.value("galaxytree_workers_resident_memory_bytes") > 1e7
    assert 5 < now.value("process_open_fds") < now.value("process_max_fds")


def test_every_metric_is_there_and_documented(measured: Process) -> None:
    text = httpx.get(f"{measured.url}/metrics").text
    told = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")}
    # There is no GPU here.
    expected = {each.shown: each.kind for each in ALL if not each.name.startswith("gpu_")}
    assert {name: kind for name, kind in told.items() if name.startswith("galaxytree_")} == expected
    assert set(told) - set(expected) == set(PROCESS)


def test_openmetrics_where_it_is_asked_for(measured: Process) -> None:
    answer = httpx.get(f"{measured.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert httpx.get(f"{measured.url}/metrics").headers["Content-Type"].startswith("text/plain")


def ask_oddly(one: Process, number: int) -> None:
    """Ask for what is not there, in as many ways as there are labels."""
    odd = f"odd-{number}"
    methods = ["GET", "POST", "PUT", "DELETE", "PROPFIND", "M-SEARCH", "TRACE", "PATCH", "OPTIONS", "REPORT"]
    with httpx.Client(base_url=one.url, timeout=30, headers={"X-Request-ID": odd, "traceparent": odd}) as client:
        client.request(methods[number % len(methods)], f"/{odd}/x/{number}?{odd}=1")
        client.request(methods[number % len(methods)], f"/classify/{odd}")
        client.request(methods[number % len(methods)], f"/v2/models/{odd}/infer", content=odd.encode())
        client.request(methods[number % len(methods)], f"/page/{odd}/{odd}.js")
        client.request(methods[number % len(methods)], "/model", params={odd: odd})
        client.post(f"/classify?views={number}", content=b"x", headers={"Authorization": f"Bearer {odd}"})
        client.post(f"/classify?detail={odd}", files={"file": odd.encode()}, headers={"User-Agent": odd})
        client.post("/classify/batch", json={"urls": [f"http://{odd}.example/", f"http://10.0.0.{number % 250}/"]})
        client.post("/classify/batch", content=odd.encode(), headers={"Content-Type": odd})


def test_however_oddly_one_asks_there_are_no_more_series(measured: Process) -> None:
    for number in range(20):
        ask_oddly(measured, number)
    before = Scrape.at(measured.url)
    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(lambda number: ask_oddly(measured, number), range(20, 150)))
    after = Scrape.at(measured.url)
    assert set(after.samples) == set(before.samples)
    asked = sum(after.by("galaxytree_requests_total", "route").values())
    assert asked >= sum(before.by("galaxytree_requests_total", "route").values()) + 9 * 130
    assert "odd-" not in httpx.get(f"{measured.url}/metrics").text


def test_what_several_processes_did_is_counted_once_and_outlives_them(model_folder: Path, tmp_path: Path) -> None:
    image, images = jpeg(size=64), 60

    def send(process: Process) -> None:
        with ThreadPoolExecutor(6) as crowd, httpx.Client(base_url=process.url, timeout=60) as client:
            sent = crowd.map(lambda _: client.post("/classify?views=8", content=image).status_code, range(images))
            assert set(sent) == {200}

    def told(process: Process) -> dict[str, float]:
        now = Scrape.at(process.url)
        stages = now.by("galaxytree_stage_duration_seconds_count", "stage")
        assert len(set(stages.values())) == 1
        return {
            "images": now.value("galaxytree_images_total", way="single", outcome="scored"),
            "stages": stages["infer",],
            "views": now.value("galaxytree_run_images_sum"),
            "workers": now.value("galaxytree_workers"),
        }

    with serving(tmp_path / "log", model=str(model_folder), workers="2") as process:
        workers = children(process.popen.pid)
        before = [processor_ticks(each) for each in workers]
        send(process)
        assert told(process) == {"images": images, "stages": images, "views": 8 * images, "workers": 2}
        # Both had their part of it.
        assert all(now > then for now, then in zip(map(processor_ticks, workers), before, strict=True))
        for each in workers:
            os.kill(each, signal.SIGKILL)
        wait_for(lambda: Scrape.at(process.url).value("galaxytree_worker_restarts_total") == 2, "their end to be seen")
        send(process)
        wait_for(lambda: told(process)["workers"] == 2, "others in their place")
        assert told(process) == {"images": 2 * images, "stages": 2 * images, "views": 16 * images, "workers": 2}


def processor_ticks(pid: int) -> int:
    """Return for how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_who_is_sent_away_is_counted_at_the_route(model_folder: Path, tmp_path: Path) -> None:
    keys = str(write_keys(tmp_path, survey="open"))
    with serving(tmp_path / "log", model=str(model_folder), api_keys_file=keys, public_metrics="1") as process:
        for number in range(3):
            answer = httpx.post(f"{process.url}/v2/models/odd-{number}/infer", content=b"{}")
            assert answer.status_code == 401
        answered = Scrape.at(process.url).by("galaxytree_requests_total", "route", "code")
        assert answered["/v2/models/{model}/infer", "unauthorized"] == 3
        assert not [route for route, _ in answered if "odd-" in route]


def test_a_worker_that_dies_is_counted(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder), workers="1") as process:
        (worker,) = children(process.popen.pid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: Scrape.at(process.url).value("galaxytree_worker_restarts_total") == 1, "its end to be seen")
        wait_for(lambda: Scrape.at(process.url).value("galaxytree_workers") == 1, "another in its place")
        assert Scrape.at(process.url).value("galaxytree_worker_restarts_total") == 1


def test_what_waits_and_what_is_refused(model_folder: Path) -> None:
    settings = Settings(model=model_folder, device="cpu", queue_images=2, max_batch=1, workers=1, access_log="off")
    with threaded(settings, Held()) as one, ThreadPoolExecutor(1) as crowd:
        one.model.gate.clear()
        accepted = crowd.submit(httpx.post, f"{one.url}/classify", content=jpeg(), timeout=60)
        gone = Peer(one.port)
        gone.post(f"Content-Length: {len(jpeg())}")
        gone.say(jpeg())
        wait_for(lambda: Scrape.at(one.url).value("galaxytree_queue_images") == 2, "both to be in service")
        now = Scrape.at(one.url)
        assert now.value("galaxytree_queue_bytes") == 2 * len(jpeg())
        assert now.value("galaxytree_ready") == 0
        assert httpx.post(f"{one.url}/classify", content=jpeg()).status_code == 429
        wait_for(lambda: Scrape.at(one.url).value("galaxytree_queue_age_seconds") > 0.05, "the oldest to be old")
        gone.vanish()
        wait_for(lambda: Scrape.at(one.url).value("galaxytree_queue_images") == 1, "its going to be seen")
        one.lifecycle.drain()
        one.model.gate.set()
        assert accepted.result().is_success
        now = Scrape.at(one.url)
        assert now.by("galaxytree_requests_total", "route", "status", "code") | {
            ("/classify", "200", "ok"): 1,
            ("/classify", "429", "overloaded"): 1,
            ("/classify", "499", "cut_off"): 1,
        } == now.by("galaxytree_requests_total", "route", "status", "code")
        assert now.value("galaxytree_rejected_total", code="overloaded") == 1
        # Whoever asks for metrics meanwhile is one of them.
        assert now.value("galaxytree_drained_requests_total") == 1
        assert now.by("galaxytree_state", "state")["draining",] == 1
        assert now.value("galaxytree_stage_duration_seconds_count", stage="infer") == 1


def test_a_spread_counts_bounds_as_below() -> None:
    spread = Spread((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 7.0):
        spread.note(value)
    assert (spread.counts, spread.total) == ([2, 2, 1], 12.0)


def nvml(**more: object) -> ModuleType:
    """Return something like NVIDIA's library, of a machine with two GPUs; the second one is a part of one."""

    class NVMLError(Exception):
        pass

    def busy(handle: int) -> SimpleNamespace:
        if handle == 1:
            raise NVMLError
        return SimpleNamespace(gpu=25)

    module = ModuleType("pynvml")
    module.__dict__.update(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=10 + handle, total=100),
        nvmlDeviceGetUtilizationRates=busy,
    )
    module.__dict__.update(more)
    return module


def test_gpus_are_looked_at_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert Gpus().look() == [Gpu(0, 10, 100, 0.25), Gpu(1, 11, 100, None)]


def test_gpus_that_cannot_be_looked_at_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nvml()

    def fail(*_: object) -> None:
        raise module.NVMLError

    for broken in ("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pynvml", module)
            patch.setattr(module, broken, fail)
            assert Gpus().look() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus().look() == []
