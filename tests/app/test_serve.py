"""``galaxytree serve`` as a process: what it refuses to start with, and how it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.listening import listen, listening, url_of
from app.refusals import AddressRefusedError
from app.server import REPEAT_SECONDS
from galaxytree.card import MODEL_FILE, sha256_of
from tests.galaxies import jpeg
from tests.hostile.peers import peer
from tests.servers import Process, children, galaxytree, is_running, refusal, serving, wait_for
from tests.tiny_model import write_model


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no model in" in refusal(model=str(tmp_path / "nowhere"))


def test_a_file_of_another_checksum(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "tampered")
    expected = sha256_of(folder / MODEL_FILE)
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes()[:-100])
    said = refusal(model=str(folder))
    assert expected in said
    assert sha256_of(folder / MODEL_FILE) in said
    assert "copy the model's folder again" in said


def test_a_file_that_was_cut_off_before_its_card_was_written(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "cut")
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes()[:-100])
    card = (
        (folder / "card.json").read_text().replace(sha256_of(model_folder / MODEL_FILE), sha256_of(folder / MODEL_FILE))
    )
    (folder / "card.json").write_text(card)
    assert "is no whole ONNX model" in refusal(model=str(folder))


def test_outputs_that_are_not_the_tree_s(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "short", columns=36, consistent=False)
    assert "has the output scores tensor(float) ['N', 36], not scores tensor(float) ['N', 37]" in refusal(
        model=str(folder)
    )


def test_an_unknown_tree(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "foreign", card={"tree": "galaxy-zoo-99"})
    assert "speaks an unknown tree" in refusal(model=str(folder))


def test_cuda_where_there_is_none(model_folder: Path) -> None:
    said = refusal(model=str(model_folder), device="cuda")
    assert "device=cuda was asked for, but" in said
    assert "libcuda.so.1" in said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"port": "70000"}, "--port (GALAXYTREE_PORT)"),
        ({"device": "tpu"}, "'--device' (env var: 'GALAXYTREE_DEVICE')"),
        ({"max_batch": "many"}, "'--max-batch' (env var: 'GALAXYTREE_MAX_BATCH')"),
        ({"queue_bytes": "1000"}, "queue_bytes must be at least"),
        ({"views": "4"}, "'--views' (env var: 'GALAXYTREE_VIEWS')"),
        ({"views": "8", "max_batch": "4"}, "views=8 needs max_batch"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], says: str) -> None:
    assert says in refusal(**settings)


def test_keys_that_are_not_there(model_folder: Path, tmp_path: Path) -> None:
    assert "API keys" in refusal(model=str(model_folder), api_keys_file=str(tmp_path / "nowhere"))


def test_a_port_that_is_taken_is_known_before_the_model_is_looked_at(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        said = refusal(port=str(port), model=str(tmp_path / "nowhere"))
    assert f"port {port} of 127.0.0.1 can't be listened on (address already in use): choose another" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", ""])
def test_a_host_that_is_not_this_one(tmp_path: Path, host: str) -> None:
    said = refusal(host=host, model=str(tmp_path / "nowhere"))
    assert f" of {host} can't be listened on (" in said if host else "there is no model in" in said


def test_who_takes_the_port_while_the_service_starts_is_seen() -> None:
    with listening("127.0.0.1", 0) as first:
        port = first[0].getsockname()[1]
        # As long as nobody listens, both may have it.
        with listening("127.0.0.1", port) as second:
            listen(first)
            with pytest.raises(AddressRefusedError, match=f"port {port} of 127.0.0.1 can't be listened on"):
                listen(second)


def test_every_address_of_a_name_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 0)),
        (-7, socket.SOCK_STREAM, 0, "", ("elsewhere", 0)),
    ]
    if socket.has_dualstack_ipv6():
        found.append((socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 0, 0, 0)))  # type: ignore[arg-type]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with listening("several", 0) as sockets:
        urls = [url_of(each).rpartition(":")[0] for each in sockets]
    assert urls in (["http://127.0.0.1"], ["http://127.0.0.1", "http://[::1]"])


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_end(model_folder: Path, tmp_path: Path, sig: int) -> None:
    with serving(tmp_path / "log", model=str(model_folder), drain_seconds="3") as process:
        image = jpeg()
        with peer(process.port) as slow:
            slow.post(f"Content-Length: {len(image)}")
            slow.say(image[:100])
            started = time.monotonic()
            process.popen.send_signal(sig)
            wait_for(lambda: not httpx.get(f"{process.url}/health/ready").is_success, "the drain")
            answer = httpx.get(f"{process.url}/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"] == "1"
            # It serves on meanwhile.
            assert httpx.get(f"{process.url}/health/live").is_success
            assert httpx.post(f"{process.url}/classify", content=image).is_success
            # Then it takes no connection more, and finishes what is in flight.
            wait_for(lambda: "Shutting down" in process.log, "the end of the drain")
            assert time.monotonic() - started > 2.9
            slow.say(image[100:])
            assert slow.answer().status == 200
        assert process.popen.wait(20) == 0
        assert "Traceback" not in process.log


@contextmanager
def stopped(process: Process) -> Iterator[int]:
    """Have the only worker hang: it neither works nor ends."""
    wait_for(lambda: len(children(process.popen.pid)) == 1, "the worker to be there")
    (worker,) = children(process.popen.pid)
    # Before that who starts it would wait for it, too.
    wait_for(lambda: b"app.worker" in Path(f"/proc/{worker}/cmdline").read_bytes(), "it to be a worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def test_a_second_signal_ends_it_now(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder), drain_seconds="600") as process:
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: "SIGTERM: serving on" in process.log, "the first signal to be seen")
        # At once it would be taken for the same one.
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(2 * REPEAT_SECONDS)
        assert process.popen.poll() is None
        assert process.stop() == 128 + signal.SIGTERM


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_now_while_a_run_hangs(model_folder: Path, tmp_path: Path, sig: int) -> None:
    with (
        serving(tmp_path / "log", model=str(model_folder), workers="1") as process,
        stopped(process) as worker,
        peer(process.port) as waiting,
    ):
        image = jpeg()
        waiting.post(f"Content-Length: {len(image)}")
        waiting.say(image)
        time.sleep(0.2)
        process.popen.send_signal(sig)
        wait_for(lambda: "Waiting for connections to close" in process.log, "the end of the drain")
        time.sleep(2 * REPEAT_SECONDS)
        assert process.popen.poll() is None
        process.popen.send_signal(sig)
        assert process.popen.wait(5) == 128 + sig
        wait_for(lambda: not is_running(worker), "the worker to be gone")
        assert "again: ending now" in process.log
        assert "Traceback" not in process.log


def test_a_second_signal_ends_it_now_while_the_model_loads(model_folder: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "log", until="running on http", model=str(model_folder), workers="1") as process,
        stopped(process),
    ):
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: "SIGTERM: serving on" in process.log, "the first signal to be seen")
        time.sleep(2 * REPEAT_SECONDS)
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(5) == 128 + signal.SIGTERM


def test_one_signal_is_enough_where_a_run_hangs(model_folder: Path, tmp_path: Path) -> None:
    limits = {"request_timeout_seconds": "0.5", "workers": "1"}
    with serving(tmp_path / "log", model=str(model_folder), **limits) as process, stopped(process) as worker:
        answer = httpx.post(f"{process.url}/classify", content=jpeg())
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(15) == 0
        assert "ending a worker that is still busy" in process.log
        assert not is_running(worker)


def test_one_signal_is_enough_where_a_worker_hangs_in_its_start(model_folder: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "log", until="running on http", model=str(model_folder), workers="1") as process,
        stopped(process) as worker,
    ):
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(15) == 0
        assert "ending a worker that is still busy" in process.log
        assert "Traceback" not in process.log
        assert not is_running(worker)


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    code = (
        "import logging, threading\nfrom app.ending import end_without_stragglers\nlogging.basicConfig()\n"
        "threading.Thread(target=threading.Event().wait, name='hangs').start()\n"
        "threading.Thread(target=print, args=['done']).start()\nend_without_stragglers(0.1)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "done\n"
    assert "threads that are still busy: hangs" in ended.stderr


def test_options_come_before_the_environment(model_folder: Path) -> None:
    ended = galaxytree("serve", "--model", "/nowhere/to/be/found", model=str(model_folder))
    assert ended.returncode == 2
    assert "there is no model in /nowhere/to/be/found" in ended.stderr
