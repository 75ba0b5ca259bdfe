"""Workers as processes: what users notice when one is killed, and that none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from galaxytree.card import CARD_FILE
from tests.galaxies import jpeg
from tests.servers import PATIENCE_SECONDS, Process, children, environment, is_running, serving, wait_for
from tests.tiny_model import write_model

WORKERS = 2


def workers_of(process: Process) -> list[int]:
    """Return the workers once they are all there."""
    wait_for(lambda: len(children(process.popen.pid)) == WORKERS, "the workers")
    return children(process.popen.pid)


def test_a_worker_that_is_killed_under_load_costs_nobody_an_answer(model_folder: Path, tmp_path: Path) -> None:
    image, killed = jpeg(size=200), 0
    with (
        serving(tmp_path / "log", model=str(model_folder), workers=str(WORKERS)) as process,
        ThreadPoolExecutor(12) as crowd,
        httpx.Client(base_url=process.url, timeout=60) as client,
    ):

        def ask(_: int) -> int:
            return client.post("/classify", content=image).status_code

        for _ in range(2):
            victim = workers_of(process)[0]
            answers = [crowd.submit(ask, number) for number in range(300)]
            wait_for(lambda some=answers: sum(each.done() for each in some) > 30, "the load to run")
            assert not all(each.done() for each in answers)
            os.kill(victim, signal.SIGKILL)
            killed += 1
            assert Counter(each.result() for each in answers) == {200: 300}
            wait_for(lambda gone=victim: gone not in children(process.popen.pid), "the killed one to be seen")
        assert len(workers_of(process)) == WORKERS
        assert process.log.count("a worker died with") == killed
        assert process.log.count("a worker ended with status -9") == killed
        assert process.stop() == 0


def test_no_other_model_is_served_in_place_of_one_that_was_changed_meanwhile(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", int8_rise=0.0)
    card = (folder / CARD_FILE).read_bytes()
    with serving(tmp_path / "log", model=str(folder), workers="1") as process:
        asked = {"url": f"{process.url}/classify", "content": jpeg()}
        before = httpx.post(**asked).json()
        write_model(folder, factor=3.0, int8_rise=0.0)
        os.kill(children(process.popen.pid)[0], signal.SIGKILL)
        wait_for(lambda: "a worker could not be replaced: the model in" in process.log, "a try to replace it")
        # Meanwhile there is no waiting for it.
        for answer in (httpx.get(f"{process.url}/health/ready"), httpx.post(**asked)):
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"] == "1"
        write_model(folder, int8_rise=0.0)
        assert (folder / CARD_FILE).read_bytes() == card
        wait_for(lambda: httpx.get(f"{process.url}/health/ready").is_success, "another try")
        assert httpx.post(**asked).json() == before
        assert process.stop() == 0


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_it_ends_well_and_leaves_no_worker_behind(model_folder: Path, tmp_path: Path, how: str) -> None:
    with serving(tmp_path / "log", model=str(model_folder), workers=str(WORKERS)) as process:
        workers = workers_of(process)
        assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
        if how == "Ctrl-C":
            # It goes to the whole group.
            for pid in workers:
                os.kill(pid, signal.SIGINT)
            time.sleep(0.2)
            assert all(is_running(pid) for pid in workers)
            assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
        assert process.stop(signal.SIGINT if how == "Ctrl-C" else signal.SIGTERM) == 0
        assert not any(is_running(pid) for pid in workers)
        assert "Traceback" not in process.log
        assert "ERROR" not in process.log


@pytest.mark.parametrize("until", ["ready: ", "running on http"])
def test_workers_end_by_themselves_when_the_service_is_killed(model_folder: Path, tmp_path: Path, until: str) -> None:
    with serving(tmp_path / "log", until=until, model=str(model_folder), workers="1") as process:
        wait_for(lambda: len(children(process.popen.pid)) == 1, "the worker")
        (worker,) = children(process.popen.pid)
        process.popen.kill()
        process.popen.wait()
        wait_for(lambda: not is_running(worker), "the worker to end", 20)
        assert "Traceback" not in process.log


def test_a_worker_that_cannot_be_loaded_is_the_end(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif sys.argv[0] == '-m' and 'serve' not in sys.orig_argv: raise SystemExit(7)"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "galaxytree", "serve", "--port", "0", "--model", str(model_folder)],
        env={**environment(device="cpu"), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 2, ended
    assert "Error: a worker ended before it was ready: the log may say why" in ended.stderr
    assert "a worker ended with status" in ended.stderr


def test_a_worker_is_of_this_package_wherever_the_service_was_started(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "worker.py").write_text("raise AssertionError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serving(tmp_path / "log", model=str(model_folder), workers="1") as process:
        assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
