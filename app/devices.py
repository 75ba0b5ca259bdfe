"""On which of ONNX Runtime's execution providers the network runs, and why on this one.

ONNX Runtime falls back to the CPU with no more than a line in its log when CUDA doesn't come up. Here CUDA is tried
first, step by step, and what is missing is named.
"""

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnxruntime

from app.providers import CPU, CUDA
from app.refusals import DeviceRefusedError

_WINDOWS = sys.platform == "win32"
DRIVER = "nvcuda.dll" if _WINDOWS else "libcuda.so.1"
PROVIDER_LIBRARY = "onnxruntime_providers_cuda.dll" if _WINDOWS else "libonnxruntime_providers_cuda.so"
SHARED_LIBRARY = "onnxruntime_providers_shared.dll" if _WINDOWS else "libonnxruntime_providers_shared.so"
# ONNX Runtime's CUDA provider loads these by itself, once a network needs them, so that the loader doesn't miss them.
CUDNN_LIBRARY = "cudnn64_9.dll" if _WINDOWS else "libcudnn.so.9"
CUDA_EXTRA = "pip install 'galaxytree[cuda]'"


@dataclass(frozen=True)
class Device:
    """Where the network runs.

    Attributes
    ----------
    provider
        ONNX Runtime's name of the execution provider.
    why
        Why it is this one.
    """

    provider: str
    why: str


def choose(asked: Literal["auto", "cuda", "cpu"], obstacle: Callable[[], str | None] | None = None) -> Device:
    """Choose the execution provider.

    Parameters
    ----------
    asked
        The setting ``device``.
    obstacle
        Says why CUDA doesn't come up, or None where it does; `cuda_obstacle` if not given.

    Raises
    ------
    DeviceRefusedError
        If ``cuda`` is asked for and doesn't come up.
    """
    if asked == "cpu":
        return Device(CPU, "the CPU was asked for")
    missing = (obstacle or cuda_obstacle)()
    if asked == "cuda":
        if missing:
            msg = f"device=cuda was asked for, but {missing}; or set device=cpu or device=auto"
            raise DeviceRefusedError(msg)
        return Device(CUDA, "CUDA was asked for")
    return Device(CPU, f"no CUDA: {missing}") if missing else Device(CUDA, "CUDA comes up on this machine")


def cuda_obstacle() -> str | None:
    """Say why CUDA doesn't come up on this machine and what to do about it, or None where it does."""
    if CUDA not in onnxruntime.get_available_providers():
        return f"this ONNX Runtime is built without CUDA: {CUDA_EXTRA}"
    return driver_obstacle() or library_obstacle()


def cuda_major() -> int:
    """Return the major version of the CUDA that this ONNX Runtime is built for; 0 where it doesn't say."""
    major = str(getattr(onnxruntime, "cuda_version", "") or "").partition(".")[0]
    return int(major) if major.isdecimal() else 0


def driver_obstacle(driver: str = DRIVER) -> str | None:
    """Say what keeps the NVIDIA driver from showing a GPU, or None.

    Parameters
    ----------
    driver
        The driver's library, as the loader finds it.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return f"the NVIDIA driver is missing ({driver} can't be loaded): install it, or start the container with a GPU"
    status = cuda.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver doesn't start (cuInit says {status}): see what nvidia-smi says"
    version = ctypes.c_int(0)
    status = cuda.cuDriverGetVersion(ctypes.byref(version))
    major, minor = version.value // 1000, version.value % 1000 // 10
    if status != 0 or major < cuda_major():
        return (
            f"the NVIDIA driver is too old (it speaks CUDA {major}.{minor}, and this ONNX Runtime is built for CUDA "
            f"{cuda_major()}): install a newer driver"
        )
    count = ctypes.c_int(0)
    status = cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        return "the NVIDIA driver shows no GPU: see what nvidia-smi says"
    return None


def library_obstacle(folder: Path | None = None) -> str | None:
    """Say which library ONNX Runtime's CUDA provider misses, or None.

    Parameters
    ----------
    folder
        Where ONNX Runtime's libraries lie, if not in its package.
    """
    folder = folder or Path(onnxruntime.__file__).parent / "capi"
    preload_cuda()
    try:
        ctypes.CDLL(str(folder / SHARED_LIBRARY), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / PROVIDER_LIBRARY))
    except OSError as error:
        # The loader's own words, "libcublasLt.so.13: cannot open shared object file: …", name the library first.
        return _missing(str(error).partition(":")[0].removeprefix(f"{folder}{os.sep}"))
    # An ONNX Runtime that does not say its CUDA version does not say which cuFFT it wants either.
    cufft = [_cufft_library(cuda_major())] if cuda_major() else []
    for library in (CUDNN_LIBRARY, *cufft):
        try:
            ctypes.CDLL(library)
        except OSError:
            return _missing(library)
    return None


def _missing(library: str) -> str:
    return f"the library {library} is missing or can't be loaded: {CUDA_EXTRA}"


def _cufft_library(major: int) -> str:
    # cuFFT counts its own versions: 11 with CUDA 12, 12 with CUDA 13.
    return f"cufft64_{major - 1}.dll" if _WINDOWS else f"libcufft.so.{major - 1}"


def preload_cuda() -> None:
    """Load the CUDA and cuDNN libraries that came as wheels, where this ONNX Runtime can."""
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it misses on standard output; the caller says it in a sentence.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
