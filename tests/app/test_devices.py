"""Execution providers: which is taken, and what is said where CUDA doesn't come up."""

import ctypes
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from app import devices
from app.devices import Device, choose
from app.loading import load_model
from app.model import Model
from app.model_folder import ModelFolder
from app.providers import CPU, CUDA, cores
from app.refusals import DeviceRefusedError, ModelRefusedError
from app.settings import Settings
from app.starting import start_of
from tests.tiny_model import write_model


def test_the_cpu_is_taken_without_a_look_at_cuda() -> None:
    def look() -> str | None:
        raise AssertionError

    assert choose("cpu", look).provider == CPU


def test_auto_takes_cuda_where_it_comes_up_and_says_why() -> None:
    assert choose("auto", lambda: None) == Device(CUDA, "CUDA comes up on this machine")
    assert choose("auto", lambda: "the driver is missing") == Device(CPU, "no CUDA: the driver is missing")


def test_cuda_is_taken_or_refused() -> None:
    assert choose("cuda", lambda: None).provider == CUDA
    with pytest.raises(DeviceRefusedError, match=r"but the driver is missing; or set device=cpu"):
        choose("cuda", lambda: "the driver is missing")


def test_what_is_said_of_this_machine_is_one_sentence() -> None:
    obstacle = devices.cuda_obstacle()
    assert obstacle is None or "\n" not in obstacle
    assert choose("auto").provider == (CPU if obstacle else CUDA)


def test_an_onnx_runtime_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert "built without CUDA" in str(devices.cuda_obstacle())


class Driver(SimpleNamespace):
    """A driver's library, as far as it is asked."""

    def __init__(self, init: int, status: int, count: int, version: int = 13_000) -> None:
        def says(value: int, status: int) -> Callable[[object], int]:
            def answer(pointer: object) -> int:
                ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = value  # type: ignore[arg-type]
                return status

            return answer

        super().__init__(
            cuInit=lambda _: init, cuDeviceGetCount=says(count, status), cuDriverGetVersion=says(version, 0)
        )


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        (Driver(0, 0, 1), None),
        (Driver(999, 0, 1), "doesn't start (cuInit says 999)"),
        (Driver(0, 0, 0), "shows no GPU"),
        (Driver(0, 100, 1), "shows no GPU"),
        (Driver(0, 0, 1, version=13_020), None),
        (Driver(0, 0, 1, version=12_080), "too old (it speaks CUDA 12.8, and this ONNX Runtime is built for CUDA 13)"),
    ],
)
def test_what_the_driver_says(monkeypatch: pytest.MonkeyPatch, driver: Driver, says: str | None) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    obstacle = devices.driver_obstacle()
    assert obstacle == says if says is None else says in str(obstacle)


@pytest.mark.parametrize(("version", "major"), [("13.0", 13), ("12.8", 12), ("", 0), (None, 0)])
def test_the_cuda_that_onnx_runtime_is_built_for(
    monkeypatch: pytest.MonkeyPatch, version: str | None, major: int
) -> None:
    monkeypatch.setattr(onnxruntime, "cuda_version", version)
    assert devices.cuda_major() == major


def test_a_driver_that_is_not_there() -> None:
    obstacle = devices.driver_obstacle("libnowhere.so.1")
    assert "libnowhere.so.1 can't be loaded" in str(obstacle)


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    assert devices.SHARED_LIBRARY in str(devices.library_obstacle(tmp_path))


def test_a_library_that_the_provider_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: str, mode: int = 0) -> None:  # noqa: ARG001 (ctypes' signature)
        if path.endswith(devices.PROVIDER_LIBRARY):
            msg = "libcublasLt.so.13: cannot open shared object file: No such file or directory"
            raise OSError(msg)

    monkeypatch.setattr(devices, "preload_cuda", lambda: None)
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert "the library libcublasLt.so.13 is missing" in str(devices.library_obstacle())
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: None)
    assert devices.library_obstacle() is None


@pytest.mark.parametrize(
    ("cuda", "missing"), [("13.0", "libcudnn.so.9"), ("13.0", "libcufft.so.12"), ("12.8", "libcufft.so.11")]
)
def test_a_library_that_the_provider_would_miss_later(monkeypatch: pytest.MonkeyPatch, cuda: str, missing: str) -> None:
    def load(path: str, mode: int = 0) -> None:  # noqa: ARG001 (ctypes' signature)
        if path == missing:
            raise OSError

    monkeypatch.setattr(devices, "preload_cuda", lambda: None)
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(onnxruntime, "cuda_version", cuda)
    assert f"the library {missing} is missing" in str(devices.library_obstacle())


def test_preloading_says_nothing_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load this"), raising=False)
    devices.preload_cuda()
    monkeypatch.delattr(onnxruntime, "preload_dlls")
    devices.preload_cuda()
    assert capsys.readouterr().out == ""


ON_CUDA = Device(CUDA, "asked for")


@pytest.mark.skipif(devices.cuda_obstacle() is None, reason="CUDA comes up here")
def test_onnx_runtime_never_falls_back_in_silence(model_folder: Path) -> None:
    # As if the look at CUDA had missed an obstacle: the session itself is held to the provider.
    with pytest.raises(DeviceRefusedError, match="CUDAExecutionProvider doesn't come up with this model"):
        Model(ModelFolder.open(model_folder), ON_CUDA)


OLD_DRIVER = (
    "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/cuda_call.cc:129 CUDA failure 35: CUDA driver version is "
    "insufficient for CUDA runtime version ; GPU=0 ; hostname=secret ; expr=cudaSetDevice(info_.device_id);\nmore"
)


@pytest.fixture(params=["session", "first run"])
def broken_cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have CUDA fail as ONNX Runtime has it fail, when a session is made or when it first runs."""
    make = onnxruntime.InferenceSession

    class Session:
        def __init__(self, *args: object, providers: list[object], **options: object) -> None:
            self.on_cuda = providers != [CPU]
            if self.on_cuda and request.param == "session":
                raise RuntimeError(OLD_DRIVER)
            self.real = make(*args, providers=[CPU], **options)

        def get_providers(self) -> list[str]:
            return [CUDA if self.on_cuda else CPU]

        def run(self, *args: object) -> object:
            if self.on_cuda:
                raise RuntimeError(OLD_DRIVER)
            return self.real.run(*args)

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)


@pytest.mark.usefixtures("broken_cuda")
def test_a_gpu_that_fails_is_not_the_model_s_fault(model_folder: Path) -> None:
    settings = Settings(model=model_folder, device="cuda", max_batch=2)
    with pytest.raises(DeviceRefusedError, match=r"\(CUDA failure 35: CUDA driver .* runtime version\): see") as said:
        load_model(ModelFolder.open(model_folder), ON_CUDA, start_of(settings))
    assert "export" not in str(said.value)


@pytest.mark.usefixtures("broken_cuda")
def test_auto_runs_on_the_cpu_where_the_gpu_fails_and_says_so(
    model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(model=model_folder, device="auto", max_batch=2)
    model = load_model(ModelFolder.open(model_folder), ON_CUDA, start_of(settings))
    assert model.device.provider == CPU
    assert "CUDA failure 35" in model.device.why
    assert "secret" not in model.device.why
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "CUDA failure 35" in warning.getMessage()


@pytest.mark.usefixtures("broken_cuda")
def test_a_model_that_is_no_good_anywhere_is_to_blame(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", consistent=False)
    with pytest.raises(ModelRefusedError, match="don't add up"):
        load_model(ModelFolder.open(folder), ON_CUDA, start_of(Settings(model=folder, device="auto", max_batch=2)))


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what ONNX Runtime is asked to run on, in place of running on it."""
    given: list[Any] = []

    def note(*_: object, providers: list[object], **__: object) -> None:
        given.extend(providers)
        raise RuntimeError

    monkeypatch.setattr(onnxruntime, "InferenceSession", note)
    return given


def test_a_new_size_of_a_batch_costs_no_search_on_a_gpu(model_folder: Path, providers: list[Any]) -> None:
    with pytest.raises(ModelRefusedError):
        Model(ModelFolder.open(model_folder), ON_CUDA)
    ((provider, options),) = providers
    assert provider == CUDA
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"


def test_a_gpu_computes_in_as_many_digits_as_a_cpu(model_folder: Path, providers: list[Any]) -> None:
    with pytest.raises(ModelRefusedError):
        Model(ModelFolder.open(model_folder), ON_CUDA)
    ((_, options),) = providers
    assert options["use_tf32"] == "0"


def test_cores() -> None:
    assert cores() >= 1
