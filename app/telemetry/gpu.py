"""The memory of GPUs, where there are any: from the driver's own library, if the package that asks it is installed."""

import logging
from dataclasses import dataclass
from types import ModuleType

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """One GPU, now.

    Attributes
    ----------
    number
        The driver's, which ``CUDA_VISIBLE_DEVICES`` changes nothing about.
    used, total
        Bytes of memory.
    busy
        The part of the last moment in which it computed; None if it doesn't say.
    """

    number: int
    used: int
    total: int
    busy: float | None


class Gpus:
    """Looks at all GPUs of the machine, or at none where that can't be done."""

    def __init__(self) -> None:
        self._nvml = _nvml()

    def look(self) -> list[Gpu]:
        """Return what they are doing; a GPU that doesn't answer is left out."""
        if self._nvml is None:
            return []
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError:
            return []
        found = (self._look_at(self._nvml, number) for number in range(count))
        return [each for each in found if each is not None]

    def _look_at(self, nvml: ModuleType, number: int) -> Gpu | None:
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError:
            return None
        try:
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except nvml.NVMLError:
            # A part of a GPU (MIG) doesn't know.
            busy = None
        return Gpu(number, memory.used, memory.total, busy)


def _nvml() -> ModuleType | None:
    try:
        import pynvml  # noqa: PLC0415 (installed on GPU hosts only)
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        _log.info("the memory of the GPU is not measured: %s", error)
        return None
    module: ModuleType = pynvml
    return module
