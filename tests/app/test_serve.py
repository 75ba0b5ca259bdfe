"""``galaxytree serve`` as a process: what it refuses to start with, and how it ends."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from galaxytree.card import MODEL_FILE, sha256_of
from tests.galaxies import jpeg
from tests.hostile.peers import peer
from tests.servers import galaxytree, serving, wait_for
from tests.tiny_model import write_model


def refusal(**settings: str) -> str:
    """Start the service, which is to end with one sentence; return that."""
    ended = galaxytree("serve", **{"port": "0", "device": "cpu", **settings})
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last


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
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], says: str) -> None:
    assert says in refusal(**settings)


def test_keys_that_are_not_there(model_folder: Path, tmp_path: Path) -> None:
    assert "API keys" in refusal(model=str(model_folder), api_keys_file=str(tmp_path / "nowhere"))


def test_a_port_that_is_taken(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder)) as first:
        ended = galaxytree("serve", "--port", str(first.port), model=str(model_folder), device="cpu")
        assert ended.returncode != 0
        assert "address already in use" in ended.stderr
        assert "Traceback" not in ended.stderr


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


def test_a_second_signal_ends_it_now(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder), drain_seconds="600") as process:
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: "SIGTERM: serving on" in process.log, "the first signal to be seen")
        assert process.stop() == 128 + signal.SIGTERM


def test_options_come_before_the_environment(model_folder: Path) -> None:
    ended = galaxytree("serve", "--model", "/nowhere/to/be/found", model=str(model_folder))
    assert ended.returncode == 2
    assert "there is no model in /nowhere/to/be/found" in ended.stderr
