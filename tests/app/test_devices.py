"""Execution providers: which is taken, and what is said where CUDA doesn't come up."""

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from app import devices
from app.devices import CPU, CUDA, Device, choose
from app.model import Model
from app.model_folder import ModelFolder
from app.refusals import DeviceRefusedError


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

    def __init__(self, init: int, status: int, count: int) -> None:
        def count_devices(pointer: object) -> int:
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = count  # type: ignore[arg-type]
            return status

        super().__init__(cuInit=lambda _: init, cuDeviceGetCount=count_devices)


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        (Driver(0, 0, 1), None),
        (Driver(999, 0, 1), "doesn't start (cuInit says 999)"),
        (Driver(0, 0, 0), "shows no GPU"),
        (Driver(0, 100, 1), "shows no GPU"),
    ],
)
def test_what_the_driver_says(monkeypatch: pytest.MonkeyPatch, driver: Driver, says: str | None) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    obstacle = devices.driver_obstacle()
    assert obstacle == says if says is None else says in str(obstacle)


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


def test_preloading_says_nothing_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load this"), raising=False)
    devices.preload_cuda()
    monkeypatch.delattr(onnxruntime, "preload_dlls")
    devices.preload_cuda()
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(devices.cuda_obstacle() is None, reason="CUDA comes up here")
def test_onnx_runtime_never_falls_back_in_silence(model_folder: Path) -> None:
    # As if the look at CUDA had missed an obstacle: the session itself is held to the provider.
    with pytest.raises(DeviceRefusedError, match="CUDAExecutionProvider doesn't come up with this model"):
        Model(ModelFolder.open(model_folder), Device(CUDA, "asked for"))


def test_cores() -> None:
    assert devices.cores() >= 1
