"""Runs for which there is no memory: all images get the answers that they would have got, and later runs are smaller.

No GPU is needed: a model that has no room for more than so many views says so in the words of ONNX Runtime.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

import app.splitting
from app.devices import Device
from app.frames import Kind
from app.model import Model
from app.model_folder import ModelFolder
from app.providers import CPU, CUDA
from app.settings import Settings
from app.splitting import Splitting, is_out_of_memory
from app.starting import Start
from app.worker import Load
from galaxytree.evidence import EVIDENCE
from galaxytree.predictions import Predictions
from tests.app.workers import at_work, job, start_in
from tests.galaxies import jpeg
from tests.scraping import Scrape
from tests.servers import HeldModel, threaded
from tests.tiny_model import write_model

ARENA = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "Name:'/features/0/Conv' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* "
    "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 9"
)
CUDA_SAYS = (
    "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory ; GPU=0 ; hostname=node ; file=/onnxruntime_src/"
    "onnxruntime/core/providers/cuda/cuda_allocator.cc ; line=70 ; expr=cudaMalloc((void**)&p, size); "
)
CUDNN_SAYS = "[ONNXRuntimeError] : 1 : FAIL : CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=node"
CUBLAS_SAYS = "[ONNXRuntimeError] : 1 : FAIL : CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=node"
LIMIT_SAYS = "bfc_arena.cc:341 Available memory of 1048576 is smaller than requested bytes of 8388608"


@pytest.mark.parametrize("said", [ARENA, CUDA_SAYS, CUDNN_SAYS, CUBLAS_SAYS, LIMIT_SAYS, "std::bad_alloc"])
def test_the_words_are_known(said: str) -> None:
    assert is_out_of_memory(RuntimeError(said))


@pytest.mark.parametrize("said", ["CUDA failure 700: an illegal memory access was encountered", "no such node", ""])
def test_other_errors_are_others(said: str) -> None:
    assert not is_out_of_memory(RuntimeError(said))


def test_python_has_a_class_for_it() -> None:
    assert is_out_of_memory(MemoryError())


class Small:
    """A network that has room for so many views."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> Predictions:
        self.tried.append(len(pixels))
        if len(pixels) > self.room:
            raise RuntimeError(ARENA)
        return Predictions(pixels[:, :1, 0, 0].astype(np.float32))


def views(count: int) -> NDArray[np.uint8]:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)


def rows(count: int) -> list[int]:
    return [*range(count)]


def test_a_run_is_halved_until_it_fits_and_the_next_are_smaller_from_the_beginning() -> None:
    run, splitting = Small(3), Splitting()
    assert splitting.predict(run, views(16)).scores[:, 0].tolist() == rows(16)
    assert run.tried[:4] == [16, 8, 4, 2]
    assert splitting.most == 2
    assert splitting.without_memory == sum(size > run.room for size in run.tried)
    run.tried.clear()
    assert splitting.predict(run, views(7)).scores[:, 0].tolist() == rows(7)
    assert run.tried == [2, 2, 2, 1]


def test_they_grow_again_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.splitting, "GROWS_AFTER", 4)
    run, splitting = Small(1), Splitting()
    splitting.predict(run, views(16))
    assert splitting.most == 1
    run.room = 16
    sizes = []
    for _ in range(30):
        run.tried.clear()
        assert splitting.predict(run, views(16)).scores[:, 0].tolist() == rows(16)
        sizes.append(max(run.tried))
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 16)


def test_one_view_for_which_there_is_no_room_fails_as_any_run_does() -> None:
    run, splitting = Small(0), Splitting()
    with pytest.raises(RuntimeError, match="Failed to allocate"):
        splitting.predict(run, views(4))
    assert run.tried == [4, 2, 1]
    assert splitting.without_memory == 3


def test_what_is_not_about_memory_is_not_tried_again() -> None:
    tried = []

    def run(pixels: NDArray[np.uint8]) -> Predictions:
        tried.append(len(pixels))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Splitting().predict(run, views(4))
    assert tried == [4]


class SmallModel(HeldModel):
    """A real model on a device that has no room for more than so many views."""

    room = 1000

    def predict(self, images: NDArray[np.uint8], *, alone: bool = False, explain: bool = False) -> Predictions:
        if len(images) > self.room:
            self.batches.append(-len(images))
            raise RuntimeError(CUDA_SAYS)
        return super().predict(images, alone=alone, explain=explain)


@pytest.fixture
def small() -> Iterator[tuple[Load, list[SmallModel]]]:
    models: list[SmallModel] = []

    def load(folder: ModelFolder, device: Device, start: Start) -> Model:
        model = SmallModel(folder, device, 1, start.precision)
        model.device = Device(CUDA, "pretended")
        models.append(model)
        return model

    yield load, models
    for model in models:
        model.gate.set()


def test_a_device_without_memory_answers_everyone_and_goes_on(
    tmp_path: Path,
    small: tuple[Load, list[SmallModel]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None is to be tried that is larger, however many fit.
    monkeypatch.setattr(app.splitting, "GROWS_AFTER", 1000)
    folder = write_model(tmp_path / "m", outputs=("scores", "uncertainty", "out_of_domain", EVIDENCE))
    load, models = small
    with at_work(load) as (boss, thread):
        boss.start(start_in(folder, max_batch=64))
        (model,) = models
        boss.say(job(0, 8))
        (alone,) = boss.hear(1)
        model.room = 3
        for first in (1, 11, 21):
            model.batches.clear()
            boss.say(*(job(first + each, 8) for each in range(4)))
            answers = boss.hear(4)
            assert [frame.kind for frame in answers] == [Kind.ANSWER] * 4
            assert sum(frame.without_memory for frame in answers) == sum(size < 0 for size in model.batches)
            for frame in answers:
                said, whole = orjson.loads(frame.body), orjson.loads(alone.body)
                assert said["scores"] == pytest.approx(whole["scores"], abs=1e-6)
                assert said["uncertainty"] == pytest.approx(whole["uncertainty"], abs=1e-6)
        # By now nothing is tried that doesn't fit.
        assert min(model.batches) > 0
        assert max(model.batches) in {2, model.room}
        assert thread.is_alive()
    assert "no memory for a run of" in caplog.text
    assert "CUDA failure 2: out of memory" in caplog.text


def test_a_core_without_memory_does_so_too(model_folder: Path) -> None:
    models: list[SmallModel] = []

    def load(folder: ModelFolder, device: Device, start: Start) -> Model:
        assert device.provider == CPU
        models.append(SmallModel(folder, device, 1, start.precision))
        return models[0]

    with at_work(load) as (boss, _):
        boss.start(start_in(model_folder, max_batch=8))
        models[0].room = 1
        boss.say(job(1, 8))
        assert [frame.kind for frame in boss.hear(1)] == [Kind.ANSWER]


def test_who_looks_after_the_service_sees_how_often(model_folder: Path, small: tuple[Load, list[SmallModel]]) -> None:
    load, models = small
    with threaded(Settings(model=model_folder, device="cpu", workers=1, drain_seconds=0), load) as service:
        name = "galaxytree_runs_without_memory_total"
        assert (name, frozenset[tuple[str, str]]()) in Scrape.at(service.url).samples
        models[0].room = 2
        ask = partial(httpx.post, f"{service.url}/classify?views=8", content=jpeg(size=64))
        assert ask().status_code == 200
        # Of eight views, and twice of four.
        assert Scrape.at(service.url).value(name) == 3
        models[0].room = 0
        assert ask().json()["code"] == "internal_error"
        assert Scrape.at(service.url).value(name) == 5
