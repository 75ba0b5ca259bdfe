"""The folder of a model -> one that is ready to score; and who is to blame where that fails, the model or the GPU."""

import logging
import re

from app.devices import Device
from app.model import Model, first_line
from app.model_folder import ModelFolder
from app.providers import CPU
from app.refusals import DeviceRefusedError, StartRefusedError
from app.starting import Start

_log = logging.getLogger(__name__)

_CUDA_SAYS = re.compile(r"CU[A-Z]+ failure \d+: [^;]*[^;\s]")
"""The part of ONNX Runtime's words that says what CUDA or cuDNN said; the rest names hosts and source files."""


def load_model(folder: ModelFolder, device: Device, start: Start) -> Model:
    """Load a model and warm it up. What fails on a GPU and works on the CPU is the GPU's fault.

    Parameters
    ----------
    folder
    device
        Where it is to run, as `choose` says.
    start
        With ``device=auto`` the model runs on the CPU where the GPU fails.

    Raises
    ------
    ModelRefusedError
        If the model is no good anywhere.
    DeviceRefusedError
        If it is good, but not on the device that was asked for.
    """
    try:
        return _warm(folder, device, start)
    except StartRefusedError as error:
        if device.provider == CPU:
            raise
        said = first_line(error.__cause__ or error)
        found = _CUDA_SAYS.search(said)
        reason = f"this model doesn't run on CUDA, but does on the CPU ({found[0] if found else said})"
        on_cpu = _warm(folder, Device(CPU, f"no CUDA: {reason}"), start)
        if start.device != "auto":
            msg = f"device=cuda was asked for, but {reason}: see what nvidia-smi says, or set device=cpu or device=auto"
            raise DeviceRefusedError(msg) from error
        _log.warning("%s runs instead of %s: %s", CPU, device.provider, reason, exc_info=error)
        return on_cpu


def _warm(folder: ModelFolder, device: Device, start: Start) -> Model:
    model = Model(folder, device, 1 if start.wide is False else start.cores, start.precision)
    # A request alone, as most are, and as many as there may be.
    model.warm_up(start.views, start.batch_on(device.provider))
    if start.wide is None:
        # Others that start now would be in the way: who starts by itself does this for all of them.
        model.choose_width()
    return model
