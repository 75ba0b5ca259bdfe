"""Training: it learns, it survives a kill at any moment, and it writes down where its result comes from."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from galaxytree.card import sha256_of
from tests.training.conftest import TINY, Run, training
from tests.training.galaxies import write_galaxies
from training import runs
from training import train as train_module
from training.processes import joined
from training.runs import RunError, git_commit, read_checkpoint, read_record, taken_up, write_checkpoint
from training.settings import TrainSettings

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return record


def without_times(record: dict[str, Any]) -> list[dict[str, float]]:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in record["epochs"]]


def assert_same_tensors(one: Any, other: Any) -> None:  # noqa: ANN401  (a tree of tensors and plain values)
    """Hold that two checkpoints are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_tensors(one[key], other[key])
    elif isinstance(one, list):
        for each, its_twin in zip(one, other, strict=True):
            assert_same_tensors(each, its_twin)
    else:
        assert one == other


def test_an_easy_task_is_learnt(data: Path, tmp_path: Path) -> None:
    options = [*TINY, "--imagenet", "--epochs=6", "--learning-rate=0.003", "--validate-epochs=5"]
    assert training("train", "--data", data, "--run", tmp_path, *options).exit_code == 0
    epochs = record_of(tmp_path)["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1]["training_rmse"] < 0.6 * epochs[0]["training_rmse"]
    measured = [epoch["validation_rmse"] for epoch in epochs if "validation_rmse" in epoch]
    assert len(measured) == 2, "in epoch 5, and in the last one"
    assert measured[-1] < epochs[0]["training_rmse"]


def test_a_run_writes_down_where_its_result_comes_from(run: Run) -> None:
    record = record_of(run.folder)
    assert record["finished"] is True
    assert record["tree"] == "galaxy-zoo-2"
    assert record["framing"] == {"size": 144, "field": 288 / 424}
    assert record["data"] == {"sha256": sha256_of(run.data), "training": 64, "validation": 16}
    assert record["commit"] == git_commit()
    assert record["settings"]["epochs"] == 3
    assert record["settings"]["imagenet"] is False
    assert record["settings"]["learning_rate"] == 0.01
    assert set(record["settings"]) == set(TrainSettings.model_fields)
    assert record["machine"]["torch"] == torch.__version__
    assert record["machines"] == [record["machine"]]
    assert record["world"] == 1
    assert set(record["epochs"][-1]) == {"epoch", "learning_rate", "training_rmse", "validation_rmse", "seconds"}


def test_the_progress_says_loss_rmse_speed_and_time_left(run: Run) -> None:
    shown = run.result.stderr
    assert "24/24" in shown
    for word in ("loss=", "rmse=", "images_s=", "epoch=3"):
        assert word in shown
    assert f"validation RMSE {record_of(run.folder)['epochs'][-1]['validation_rmse']:.4f}" in run.result.output
    assert "training_rmse: " in run.result.stdout


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a run: name -> (step, value) of each point."""
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def assert_all_is_logged_once(folder: Path) -> None:
    shown = logged(folder)
    epochs = record_of(folder)["epochs"]
    for name in ("training_rmse", "validation_rmse", "learning_rate"):
        assert shown[name] == [(8 * epoch["epoch"], pytest.approx(epoch[name])) for epoch in epochs], name


def test_tensorboard_can_show_a_run(run: Run) -> None:
    assert [step for step, _ in logged(run.folder)["training_rmse"]] == [8, 16, 24]
    assert_all_is_logged_once(run.folder)


def assert_ended_alike(folder: Path, other: Path) -> None:
    """Hold that two runs have the same metrics, weights and last checkpoints, to the last bit."""
    assert without_times(record_of(folder)) == without_times(record_of(other))
    for name in ("weights.pt", "checkpoint.pt"):
        one, its_twin = read_checkpoint(folder / name), read_checkpoint(other / name)
        assert one is not None
        assert its_twin is not None
        for volatile in ("seconds", "epochs"):
            one.pop(volatile, None)
            its_twin.pop(volatile, None)
        assert_same_tensors(one, its_twin)


def start(*words: str | Path, together: int = 1) -> list[subprocess.Popen[bytes]]:
    """Start ``python -m training`` in so many processes, as ``torchrun`` does, but so that each can be killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(together), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "training", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, **shared, "RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(together)
    ]


def take_up(*words: str | Path) -> Result:
    """Start a run again, in this process, where PyTorch is loaded already."""
    # TensorBoard reads logs in the order of the seconds in which they were begun; no real start follows that soon.
    time.sleep(1)
    return training(*words)


def kill_when(reached: Callable[[], bool], processes: list[subprocess.Popen[bytes]]) -> None:
    began = time.monotonic()
    try:
        while not reached():
            assert all(process.poll() is None for process in processes), "the run ended too early"
            assert time.monotonic() - began < PATIENCE_SECONDS
            time.sleep(0.01)
    finally:
        for process in processes:
            process.kill()
        ends = [process.wait() for process in processes]
    assert ends[0] == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["at the first checkpoint", "when an epoch has ended"])
def test_a_killed_run_that_is_taken_up_ends_where_it_would_have_ended(run: Run, tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "killed"
    command = ["train", "--data", str(run.data), "--run", str(folder), *TINY]

    def reached() -> bool:
        if moment == "at the first checkpoint":
            return (folder / "checkpoint.pt").exists()
        return (folder / "run.json").exists() and bool(record_of(folder)["epochs"])

    kill_when(reached, start(*command))
    state = read_checkpoint(folder / "checkpoint.pt")
    assert state is not None
    assert 0 < state["step"] < 24
    assert not (folder / "weights.pt").exists()
    assert record_of(folder)["finished"] is False
    # A kill in the midst of a write leaves this behind.
    (folder / "checkpoint.pt.partial").write_bytes(b"half a checkp")

    resumed = take_up(*command)
    assert resumed.exit_code == 0, resumed.output
    assert_ended_alike(folder, run.folder)
    assert_all_is_logged_once(folder)


@pytest.mark.parametrize(("moment", "step"), [("before an epoch is logged", 8), ("after the next checkpoint", 9)])
def test_every_epoch_is_logged_once_whenever_a_run_is_interrupted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, step: int
) -> None:
    command = ["train", "--data", run.data, "--run", tmp_path, *TINY]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupt_after(path: Path, state: dict[str, Any]) -> None:
        write_checkpoint(path, state)
        if state["step"] == step:
            interrupt()

    with monkeypatch.context() as patched:
        if moment == "before an epoch is logged":
            patched.setattr(SummaryWriter, "add_scalar", interrupt)
        else:
            patched.setattr(train_module, "write_checkpoint", interrupt_after)
        stopped = training(*command)
        assert stopped.exit_code == 128 + signal.SIGINT
        assert f"The same command goes on from the last checkpoint in {tmp_path}" in stopped.stderr
    state = read_checkpoint(tmp_path / "checkpoint.pt")
    assert state is not None
    assert state["step"] == step
    assert take_up(*command).exit_code == 0
    assert_ended_alike(tmp_path, run.folder)
    assert_all_is_logged_once(tmp_path)


def test_a_finished_run_that_is_started_again_stays_as_it_is(run: Run) -> None:
    checkpoint, weights = sha256_of(run.folder / "checkpoint.pt"), read_checkpoint(run.folder / "weights.pt")
    before, shown = record_of(run.folder), logged(run.folder)
    again = training("train", "--data", run.data, "--run", run.folder, *TINY)
    assert again.exit_code == 0
    assert record_of(run.folder) == before
    assert before["finished"] is True
    assert_same_tensors(read_checkpoint(run.folder / "weights.pt"), weights)
    assert sha256_of(run.folder / "checkpoint.pt") == checkpoint
    assert logged(run.folder) == shown


def test_other_settings_are_refused_when_a_run_is_taken_up(run: Run) -> None:
    changed = training("train", "--data", run.data, "--run", run.folder, *TINY, "--learning-rate=0.02", "--seed=5")
    assert changed.exit_code == 2
    sentence = " ".join(changed.stderr.split())
    assert "learning_rate was 0.01, now 0.02, seed was 1, now 5" in sentence
    assert "or another --run" in sentence
    assert "Traceback" not in changed.output


def test_other_data_are_refused_when_a_run_is_taken_up(run: Run, tmp_path: Path) -> None:
    other = write_galaxies(tmp_path / "other.h5", first=1000)
    changed = training("train", "--data", other, "--run", run.folder, *TINY)
    assert changed.exit_code == 2
    assert "is not the file that the run was started with" in " ".join(changed.stderr.split())


def test_a_batch_larger_than_the_data_is_refused(run: Run, tmp_path: Path) -> None:
    refused = training("train", "--data", run.data, "--run", tmp_path / "run", *TINY, "--batch-size=65")
    assert refused.exit_code == 2
    assert "batches of 65 do not fit 64 galaxies and 1 processes" in " ".join(refused.stderr.split())


def test_a_crop_larger_than_the_images_is_refused(run: Run, tmp_path: Path) -> None:
    refused = training("train", "--data", run.data, "--run", tmp_path / "run", *TINY, "--crop=145")
    assert refused.exit_code == 2
    assert "a crop of 145 px does not fit into images of 144 px" in " ".join(refused.stderr.split())


def test_a_crop_without_a_middle_is_refused(run: Run, tmp_path: Path) -> None:
    refused = training("train", "--data", run.data, "--run", tmp_path / "run", *TINY, "--crop=111")
    assert refused.exit_code == 2
    assert "a crop of 111 px has no middle in images of 144 px; take 1 px more" in " ".join(refused.stderr.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_a_sentence(run: Run, tmp_path: Path) -> None:
    refused = training("train", "--data", run.data, "--run", tmp_path / "run", *TINY, "--device=cuda")
    assert refused.exit_code == 2
    assert "finds no CUDA device here; give --device=cpu" in " ".join(refused.stderr.split())


def test_galaxies_without_any_votes_and_an_empty_validation_split_are_no_hindrance(tmp_path: Path) -> None:
    data = write_galaxies(tmp_path / "galaxies.h5", 17, validation=0)
    with h5py.File(data, "r+") as file:
        file["votes"][4] = np.nan
    options = [*TINY, "--epochs=1", "--imagenet", "--precision=bf16"]
    done = training("train", "--data", data, "--run", tmp_path / "run", *options)
    assert done.exit_code == 0, done.output
    record = record_of(tmp_path / "run")
    assert record["data"]["training"] == 16
    assert record["data"]["validation"] == 0
    assert "validation_rmse" not in record["epochs"][-1]
    assert np.isfinite(record["epochs"][-1]["training_rmse"])


@dataclass(frozen=True)
class Pair:
    """A run of two processes, and what they printed."""

    folder: Path
    data: Path
    result: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def pair(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Train in two processes, without an interruption."""
    folder = tmp_path_factory.mktemp("runs") / "together"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--", "training", "train"]
    options = ["--data", str(run.data), "--run", str(folder), *TINY, "--epochs=2"]
    done = subprocess.run(
        [sys.executable, *command, *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return Pair(folder, run.data, done)


def test_two_processes_train_together(pair: Pair) -> None:
    assert pair.result.returncode == 0, pair.result.stderr
    record = record_of(pair.folder)
    assert record["finished"] is True
    assert record["world"] == 2
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert record["epochs"][1]["training_rmse"] < record["epochs"][0]["training_rmse"]
    assert read_checkpoint(pair.folder / "weights.pt") is not None
    assert pair.result.stdout.count("training_rmse: ") == 1, "one of them speaks for both"


def test_two_processes_that_are_killed_and_taken_up_end_where_they_would_have_ended(pair: Pair, tmp_path: Path) -> None:
    command = ["train", "--data", pair.data, "--run", tmp_path, *TINY, "--epochs=2"]
    kill_when((tmp_path / "checkpoint.pt").exists, start(*command, together=2))
    state = read_checkpoint(tmp_path / "checkpoint.pt")
    assert state is not None
    assert 0 < state["step"] < 16
    assert [process.wait(PATIENCE_SECONDS) for process in start(*command, together=2)] == [0, 0]
    assert_ended_alike(tmp_path, pair.folder)

    alone = training(*command)
    assert alone.exit_code == 2
    assert "was started with 2 processes, now there are 1; start as many" in " ".join(alone.stderr.split())


# The folder of a run.


def test_a_checkpoint_is_the_old_or_the_new_one_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {"step": 1})

    def fail(state: Any, file: Any) -> None:  # noqa: ANN401, ARG001
        file.write(b"half")
        msg = "the disk is full"
        raise OSError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", fail)
        with pytest.raises(OSError, match="the disk is full"):
            write_checkpoint(path, {"step": 2})
    assert read_checkpoint(path) == {"step": 1}
    write_checkpoint(path, {"step": 3})
    assert read_checkpoint(path) == {"step": 3}


def test_no_checkpoint_is_nothing(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "checkpoint.pt") is None


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run; train one with"):
        read_record(tmp_path)


def a_record(*, sha256: str = "1", world: int = 1, on: str = "a laptop", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "settings": TrainSettings(**changes).model_dump(mode="json"),
        "commit": on,
        "machine": on,
        "machines": [on],
        "data": {"sha256": sha256},
        "made_from": {},
        "world": world,
    }


def test_a_run_from_before_files_were_written_down_goes_on_with_those_it_had() -> None:
    new = a_record(targets=Path("t.h5")) | {"made_from": {"targets": "1"}}
    old = a_record(targets=Path("t.h5"))
    del old["made_from"]
    assert taken_up(new, old)["made_from"] == {"targets": "1"}
    from_votes = a_record()
    del from_votes["made_from"]
    with pytest.raises(RunError, match="was started with other targets; give the same files"):
        taken_up(new, from_votes)


def test_where_and_how_a_run_is_computed_may_change() -> None:
    taken_up(a_record(run=Path("elsewhere"), threads=3, device="cpu", checkpoint_steps=7), a_record())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"crop": 96}, "crop was 112, now 96"),
        ({"sha256": "2"}, "galaxies.h5 is not the file"),
        ({"world": 4}, "started with 1 processes, now there are 4"),
    ],
)
def test_what_decides_the_result_may_not_change(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RunError, match=complaint):
        taken_up(a_record(**changes), a_record())


def test_a_run_remembers_where_it_was_started_and_taken_up() -> None:
    record = a_record()
    for machine in ("a laptop", "a server", "a laptop"):
        record = taken_up(a_record(on=machine), record)
    assert (record["commit"], record["machine"], record["machines"]) == (
        "a laptop",
        "a laptop",
        ["a laptop", "a server"],
    )


def test_a_run_from_before_machines_and_processes_were_written_down_is_taken_up() -> None:
    old = a_record()
    del old["machines"], old["world"]
    record = taken_up(a_record(on="a server"), old)
    assert (record["machines"], record["world"]) == (["a laptop", "a server"], 1)
    with pytest.raises(RunError, match="started with 1 processes, now there are 2"):
        taken_up(a_record(world=2), old)


def test_what_training_writes_does_not_make_a_working_copy_dirty(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []

    def git(*words: str) -> str:
        said.append(words)
        return "0123abc" if words[0] == "rev-parse" else changed

    monkeypatch.setattr(runs, "_git", git)
    changed = ""
    assert git_commit() == "0123abc"
    assert ":/!docs" in said[-1]
    changed = " M training/train.py"
    assert git_commit() == "0123abc-dirty"


def test_outside_of_a_working_copy_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert git_commit() == "unknown"


def test_a_process_on_its_own_leads() -> None:
    with joined("cpu") as process:
        assert process.leads
        assert (process.rank, process.world, process.device) == (0, 1, torch.device("cpu"))


def test_a_gpu_computes_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda place: None)  # noqa: ARG005
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with joined("auto") as process:
        assert process.device == torch.device("cuda", 1)
        assert process.neighbours == 4
        assert torch.backends.cudnn.deterministic is True
        assert torch.backends.cudnn.benchmark is False
