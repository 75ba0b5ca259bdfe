"""A new model without a hole: what users notice while one takes the place of another, and what its operator is told."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.devices import Device
from app.lifecycle import State
from app.loading import load_model
from app.model import Model
from app.model_folder import ModelFolder
from app.providers import CPU
from app.settings import Settings
from app.starting import Start
from galaxytree.card import MODEL_FILE
from tests.app.reloads import HEADERS, admin_keys, lead, reload, versioned
from tests.galaxies import jpeg
from tests.hostile.peers import peer
from tests.scraping import Scrape
from tests.servers import Threaded, children, environment, serving, threaded, wait_for
from tests.tiny_model import write_model

RELOADS = int(os.environ.get("RELOADS", "3"))
"""Of good models and of bad ones each; a longer run is one setting."""


class Gated:
    """Loads models as always, but those of a version only when they may; and counts them."""

    def __init__(self, version: str) -> None:
        self.gate = threading.Event()
        self.loading = threading.Event()
        self.loaded: list[str] = []
        self._version = version

    def __call__(self, folder: ModelFolder, device: Device, start: Start) -> Model:
        if folder.card.version == self._version:
            self.loading.set()
            assert self.gate.wait(60)
        self.loaded.append(folder.card.version)
        return load_model(folder, device, start)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    for version in ("1", "2", "3"):
        versioned(tmp_path / version, version)
    found = tmp_path / "current"
    lead(found, tmp_path / "1")
    return found


def settings(folder: Path, keys: Path | None = None, **fields: object) -> Settings:
    return Settings.model_validate(
        {"model": folder, "device": "cpu", "drain_seconds": 0, "workers": 1, "api_keys_file": keys, **fields}
    )


def version_of(answer: httpx.Response | dict[str, Any]) -> str:
    said = answer.json() if isinstance(answer, httpx.Response) else answer
    return str(said["model"]["version"])


def ask(url: str, **query: str) -> httpx.Response:
    return httpx.post(f"{url}/classify", content=jpeg(), headers=HEADERS, params=query, timeout=60)


@pytest.fixture
def one(link: Path) -> Iterator[Threaded]:
    with threaded(settings(link, admin_keys(link.parent))) as found:
        yield found


def bad_models(folder: Path) -> Iterator[Path]:
    """Write models that are no good: one whose file is cut off, and one that only fails when it is loaded."""
    cut = versioned(folder / "cut", "4")
    (cut / MODEL_FILE).write_bytes((cut / MODEL_FILE).read_bytes()[:-100])
    yield cut
    yield write_model(folder / "inconsistent", consistent=False, card={"version": "5"}, metadata={"version": "5"})


class Load:
    """Asks for the same picture over and over, alone and in batches, and keeps what it got."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._crowd = ThreadPoolExecutor(4)
        self.answers: list[tuple[str, dict[str, float]]] = []
        self.mixed = 0
        self.failed: list[str] = []
        self._work = [self._crowd.submit(each) for each in (self._single, self._single, self._batches)]

    def _single(self) -> None:
        with httpx.Client(base_url=self._url, headers=HEADERS, timeout=60) as client:
            while not self._over.is_set():
                answer = client.post("/classify", params={"detail": "scores"}, content=jpeg())
                if answer.is_success:
                    self.answers.append((version_of(answer), answer.json()["scores"]))
                else:
                    self.failed.append(answer.text)

    def _batches(self) -> None:
        files = [("files", (str(each), jpeg(), "image/jpeg")) for each in range(20)]
        with httpx.Client(base_url=self._url, headers=HEADERS, timeout=60) as client:
            while not self._over.is_set():
                answer = client.post("/classify/batch", params={"detail": "scores"}, files=files)
                found = [each for each in answer.json()["results"] if each["status"] == "ok"]
                if len(found) != len(files):
                    self.failed.append(answer.text)
                said = [each["classification"] for each in found]
                self.mixed += len({version_of(each) for each in said}) != 1
                self.answers += [(version_of(each), each["scores"]) for each in said]

    def end(self) -> None:
        self._over.set()
        for each in self._work:
            each.result(60)
        self._crowd.shutdown()


def test_good_and_bad_models_under_load_cost_nobody_an_answer(link: Path, tmp_path: Path) -> None:
    bad = [*bad_models(tmp_path)]
    keys = admin_keys(tmp_path)
    with serving(tmp_path / "log", model=str(link), workers="1", api_keys_file=str(keys)) as process:
        load = Load(process.url)
        try:
            for number in range(RELOADS):
                version = str(2 - number % 2)
                count = len(load.answers)
                lead(link, tmp_path / version)
                answer = reload(process.url)
                assert answer.is_success, answer.text
                assert answer.json()["reloaded"] == ["default"]
                assert version_of(answer.json()["models"][0]) == version
                assert version_of(ask(process.url)) == version
                lead(link, bad[number % 2])
                refused = reload(process.url)
                assert (refused.status_code, refused.json()["code"]) == (409, "model_refused"), refused.text
                assert str(tmp_path) not in refused.text
                assert version_of(ask(process.url)) == version
                wait_for(lambda some=count: len(load.answers) > some + 20, "the load to go on")
        finally:
            load.end()
        assert load.failed == []
        assert load.mixed == 0
        assert {version for version, _ in load.answers} == {"1", "2"}
        # Each is the answer of the model that it names.
        of_each = {
            version: {tuple(scores.items()) for known, scores in load.answers if known == version} for version in "12"
        }
        assert [len(found) for found in of_each.values()] == [1, 1]
        assert of_each["1"] != of_each["2"]
        wait_for(lambda: process.log.count("and is gone") == RELOADS, "the old workers to end")
        wait_for(lambda: len(children(process.popen.pid)) == 1, "the old workers to be gone")
        assert "is not the file that its card speaks of" in process.log
        assert "scores don't add up" in process.log
        assert "Traceback" not in process.log
        assert process.stop() == 0


def test_sighup_does_it_too(link: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(link), workers="1") as process:
        lead(link, tmp_path / "2")
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded: default is now tiny 2" in process.log, "the new model")
        assert version_of(ask(process.url)) == "2"
        said = httpx.get(f"{process.url}/models").json()["models"]
        assert [(each["name"], each["default"], version_of(each)) for each in said] == [("default", True, "2")]
        assert httpx.get(f"{process.url}/model").json()["network_sha256"] == said[0]["network_sha256"]
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: "the models are those that run already" in process.log, "the second look")
        (link.parent / "gone").mkdir()
        lead(link, link.parent / "gone")
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: "refused, and what runs stays: there is no model in" in process.log, "the third look")
        assert version_of(ask(process.url)) == "2"
        counts = {("replaced",): 1, ("unchanged",): 1, ("model_refused",): 1}
        wait_for(lambda: Scrape.at(process.url).by("galaxytree_reloads_total", "outcome") == counts, "the counts")
        assert process.stop() == 0


def test_the_log_says_which_process_and_which_folder_it_is_and_why_it_runs_there(link: Path, tmp_path: Path) -> None:
    first, same = tmp_path / "1", versioned(tmp_path / "another", "1")
    settings = {"model": str(link), "workers": "1", "device": "auto", "api_keys_file": str(admin_keys(tmp_path))}
    with serving(tmp_path / "log", **settings) as process:
        (said,) = (line for line in process.log.splitlines() if "ready: " in line)
        assert f"ready: process {process.popen.pid} at {process.url} with default: tiny 1 on " in said
        assert said.endswith(f", from {first}")
        before = httpx.get(f"{process.url}/model").json()["execution_provider_reason"]
        lead(link, same)
        os.kill(int(said.partition("process ")[2].split()[0]), signal.SIGHUP)
        wait_for(lambda: "reloaded: default is now tiny 1 on " in process.log, "the other one")
        assert f"default: loading tiny 1 from {same}\n" in process.log
        assert any("is now tiny 1" in line and line.endswith(f", from {same}") for line in process.log.splitlines())
        assert httpx.get(f"{process.url}/model").json()["execution_provider_reason"] == before
        assert process.log.count(f" runs: {before}\n") == 2
        assert "was asked for" not in process.log
        again = reload(process.url)
        assert again.json()["reloaded"] == []
        wait_for(lambda: "those that run already: default: tiny 1 on " in process.log, "the second look")
        # Not even an administrator is told where it lies on the machine.
        assert str(tmp_path) not in again.text + httpx.get(f"{process.url}/models").text


def test_sighup_while_it_starts_changes_nothing(link: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", until="running on http", model=str(link), workers="1") as process:
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: "no reload: the service is starting" in process.log, "the signal to be heard")
        wait_for(lambda: "ready: " in process.log, "the service to be ready")
        assert ask(process.url).is_success


def test_sigterm_before_there_is_a_server_is_heard() -> None:
    code = (
        "import logging, os, signal\nfrom app.signals import heard_from_the_start\nlogging.basicConfig(level='INFO')\n"
        "with heard_from_the_start():\n"
        "    for sig in (signal.SIGHUP, signal.SIGTERM):\n        os.kill(os.getpid(), sig)\n"
        "raise SystemExit(7)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert "SIGHUP: no reload" in ended.stderr
    assert "SIGTERM: ending before the start" in ended.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
def test_a_terminal_that_goes_ends_what_was_started_on_it(link: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        popen = subprocess.Popen(
            [sys.executable, "-m", "galaxytree", "serve", "--port", "0", "--model", str(link)],
            env=environment(device="cpu", drain_seconds="0", workers="1"),
            stdin=theirs,
            stdout=log,
            stderr=log,
        )
    os.close(theirs)
    try:
        wait_for(lambda: "ready: " in log_file.read_text(), "the service to be ready")
        os.close(ours)
        popen.send_signal(signal.SIGHUP)
        assert popen.wait(60) == 0
        assert "SIGHUP: serving on for" in log_file.read_text()
    finally:
        popen.kill()
        popen.wait()


def parts(count: int) -> Iterator[bytes]:
    for number in range(count):
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{number}"\r\n\r\n'
        yield head.encode() + jpeg() + b"\r\n"


def test_a_batch_has_all_its_answers_from_the_model_that_it_began_with(one: Threaded, link: Path) -> None:
    first, second = parts(2)
    go_on = threading.Event()

    def body() -> Iterator[bytes]:
        yield first
        assert go_on.wait(60)
        yield second + b"--b--\r\n"

    before = httpx.get(f"{one.url}/model").json()["network_sha256"]
    headers = {**HEADERS, "Content-Type": "multipart/form-data; boundary=b"}
    with ThreadPoolExecutor(1) as crowd:
        batch = crowd.submit(httpx.post, f"{one.url}/classify/batch", content=body(), headers=headers, timeout=60)
        wait_for(lambda: one.admission.batches == 1, "the batch to begin")
        lead(link, link.parent / "2")
        try:
            assert reload(one.url).is_success
            assert version_of(ask(one.url)) == "2"
            (old,) = one.app.state.service.reloader._old
            assert not old.done()
        finally:
            go_on.set()
        answer = batch.result()
    assert [version_of(each["classification"]) for each in answer.json()["results"]] == ["1", "1"]
    assert answer.headers["X-Galaxytree-Network"] == before
    wait_for(old.done, "the old model to go")


def test_an_image_on_its_way_is_answered_by_the_model_that_it_was_sent_to(one: Threaded, link: Path) -> None:
    image = jpeg()
    with peer(one.port) as slow:
        slow.post(f"Content-Length: {len(image)}", *(f"{name}: {value}" for name, value in HEADERS.items()))
        slow.say(image[:100])
        wait_for(lambda: one.admission.bytes > 0, "the first bytes")
        lead(link, link.parent / "2")
        assert reload(one.url).is_success
        slow.say(image[100:])
        answer = slow.answer()
    assert answer.status == 200
    assert b'"version":"1"' in answer.body
    assert version_of(ask(one.url)) == "2"


def test_who_asks_at_the_same_time_gets_one_reload(link: Path) -> None:
    load = Gated("2")
    with threaded(settings(link, admin_keys(link.parent)), load) as one, ThreadPoolExecutor(5) as crowd:
        lead(link, link.parent / "2")
        first = crowd.submit(reload, one.url)
        assert load.loading.wait(60)
        others = [crowd.submit(reload, one.url) for _ in range(4)]
        # Meanwhile the old one answers.
        assert version_of(ask(one.url)) == "1"
        wait_for(lambda: one.app.state.service.reloader._next is not None, "the others")
        load.gate.set()
        assert first.result().json()["reloaded"] == ["default"]
        # They come after it, and there is nothing left to do.
        assert [each.result().json()["reloaded"] for each in others] == [[]] * 4
        assert load.loaded == ["1", "2"]


def test_what_was_put_there_during_a_reload_is_not_missed(link: Path) -> None:
    load = Gated("2")
    with threaded(settings(link, admin_keys(link.parent)), load) as one, ThreadPoolExecutor(2) as crowd:
        lead(link, link.parent / "2")
        first = crowd.submit(reload, one.url)
        assert load.loading.wait(60)
        lead(link, link.parent / "3")
        second = crowd.submit(reload, one.url)
        wait_for(lambda: one.app.state.service.reloader._next is not None, "the second")
        load.gate.set()
        assert version_of(first.result().json()["models"][0]) in {"2", "3"}
        assert version_of(second.result().json()["models"][0]) == "3"
        assert version_of(ask(one.url)) == "3"


def test_models_that_are_busy_for_long_are_bounded(one: Threaded, link: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.reloading.MOST_OLD", 1)
    service = one.app.state.service
    with service.live().in_use():
        lead(link, link.parent / "2")
        assert reload(one.url).is_success
        lead(link, link.parent / "3")
        refused = reload(one.url)
        assert (refused.status_code, refused.json()["code"]) == (409, "model_refused")
        assert "still finishing" in refused.json()["detail"]
    wait_for(lambda: not service.reloader._old, "the old one to go")
    assert reload(one.url).is_success
    assert version_of(ask(one.url)) == "3"


def test_a_new_model_runs_where_the_old_one_does(link: Path) -> None:
    asked: list[tuple[str, str]] = []

    def noted(folder: ModelFolder, device: Device, start: Start) -> Model:
        asked.append((folder.card.version, start.device))
        return load_model(folder, device, start)

    with threaded(settings(link, admin_keys(link.parent), device="auto"), noted) as one:
        lead(link, link.parent / "2")
        assert reload(one.url).is_success
        assert httpx.get(f"{one.url}/model").json()["execution_provider"] == CPU
    assert asked == [("1", "auto"), ("2", "cpu")]


def test_only_who_shows_a_key_may(one: Threaded, model_folder: Path) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = httpx.post(f"{one.url}/admin/reload", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    with threaded(settings(model_folder)) as open_to_all:
        answer = reload(open_to_all.url)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "api_keys_file" in answer.json()["detail"]


def test_nothing_is_reloaded_while_it_starts_or_ends(link: Path) -> None:
    load = Gated("1")
    with threaded(settings(link, admin_keys(link.parent)), load, ready=False) as one:
        answer = reload(one.url)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "starting" in answer.json()["detail"]
        load.gate.set()
        wait_for(lambda: one.lifecycle.state is State.READY, "the service to be ready")
        one.lifecycle.drain()
        answer = reload(one.url)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "draining" in answer.json()["detail"]


def test_it_ends_in_the_midst_of_a_reload(link: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(link), workers="1") as process:
        (worker,) = children(process.popen.pid)
        lead(link, tmp_path / "2")
        process.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: len(children(process.popen.pid)) == 2, "the new worker")
        assert process.stop() == 0
        assert "Traceback" not in process.log
        assert not Path(f"/proc/{worker}").exists()
