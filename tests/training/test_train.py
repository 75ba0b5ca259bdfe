"""Training: it learns, it survives a kill at any moment, and it writes down where its result comes from."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from galaxytree.card import sha256_of
from tests.training.conftest import TINY, Run, training
from tests.training.galaxies import write_galaxies
from training.processes import joined
from training.runs import RunError, git_commit, hold_against, read_checkpoint, read_record, write_checkpoint
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
    assert set(record["epochs"][-1]) == {"epoch", "training_rmse", "validation_rmse", "seconds"}


def test_the_progress_says_loss_rmse_speed_and_time_left(run: Run) -> None:
    shown = run.result.stderr
    assert "24/24" in shown
    for word in ("loss=", "rmse=", "images_s=", "epoch=3"):
        assert word in shown
    assert f"validation RMSE {record_of(run.folder)['epochs'][-1]['validation_rmse']:.4f}" in run.result.output
    assert "training_rmse: " in run.result.stdout


def test_tensorboard_can_show_a_run(run: Run) -> None:
    events = EventAccumulator(str(run.folder / "logs"))
    events.Reload()
    assert {"training_rmse", "validation_rmse", "learning_rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("training_rmse")] == [8, 16, 24]
    last = record_of(run.folder)["epochs"][-1]["training_rmse"]
    assert events.Scalars("training_rmse")[-1].value == pytest.approx(last)


def test_a_killed_run_that_is_taken_up_ends_where_it_would_have_ended(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = ["train", "--data", str(run.data), "--run", str(folder), *TINY]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not (folder / "checkpoint.pt").exists():
            assert process.poll() is None, "the run ended before its first checkpoint"
            assert time.monotonic() - began < PATIENCE_SECONDS
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL

    state = read_checkpoint(folder / "checkpoint.pt")
    assert state is not None
    assert 0 < state["step"] < 24
    assert not (folder / "weights.pt").exists()
    assert record_of(folder)["finished"] is False
    # A kill in the midst of a write leaves this behind.
    (folder / "checkpoint.pt.partial").write_bytes(b"half a checkp")

    resumed = training(*command)
    assert resumed.exit_code == 0, resumed.output
    assert without_times(record_of(folder)) == without_times(record_of(run.folder))
    for name in ("weights.pt", "checkpoint.pt"):
        one, other = read_checkpoint(folder / name), read_checkpoint(run.folder / name)
        assert one is not None
        assert other is not None
        for volatile in ("seconds", "epochs"):
            one.pop(volatile, None)
            other.pop(volatile, None)
        assert_same_tensors(one, other)


def test_a_finished_run_that_is_started_again_stays_as_it_is(run: Run) -> None:
    checkpoint, weights = sha256_of(run.folder / "checkpoint.pt"), read_checkpoint(run.folder / "weights.pt")
    epochs = record_of(run.folder)["epochs"]
    again = training("train", "--data", run.data, "--run", run.folder, *TINY)
    assert again.exit_code == 0
    after = record_of(run.folder)
    assert after["epochs"] == epochs
    assert after["finished"] is True
    assert_same_tensors(read_checkpoint(run.folder / "weights.pt"), weights)
    assert sha256_of(run.folder / "checkpoint.pt") == checkpoint


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


def test_two_processes_train_together(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "together"
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
    assert done.returncode == 0, done.stderr
    record = record_of(folder)
    assert record["finished"] is True
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert record["epochs"][1]["training_rmse"] < record["epochs"][0]["training_rmse"]
    assert read_checkpoint(folder / "weights.pt") is not None


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


def test_what_does_not_decide_the_result_may_change() -> None:
    saved = TrainSettings().model_dump(mode="json")
    hold_against(TrainSettings(run=Path("elsewhere"), threads=3, device="cpu", checkpoint_steps=7), saved)
    with pytest.raises(RunError, match="crop was 112, now 96"):
        hold_against(TrainSettings(crop=96), saved)


def test_outside_of_a_working_copy_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert git_commit() == "unknown"


def test_a_process_on_its_own_leads() -> None:
    with joined("cpu") as process:
        assert process.leads
        assert (process.rank, process.world, process.device) == (0, 1, torch.device("cpu"))
