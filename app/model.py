"""The network: load it, hold it against its card, warm it up, predict."""

import json
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.devices import CUDA, Device, cores
from app.model_folder import ModelFolder
from app.ports import EXPORT_AGAIN, INPUT, TOLERANCE, Ports, UnusableScoresError
from app.refusals import DeviceRefusedError, ModelRefusedError
from galaxytree.decision_tree import InconsistentScoresError
from galaxytree.predictions import Predictions

_METADATA = ("name", "version", "tree", "columns", "framing")


# For CUDA. ONNX Runtime's own choices are to try every algorithm for a convolution once for each new size of a batch,
# which would be on the request of a client, and to round factors to the 10 bits of TF32, which moves scores by far more
# than the card says that ONNX Runtime is from PyTorch.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


class Predictor(Protocol):
    """What scores batches of framed images."""

    def predict(self, images: NDArray[np.uint8]) -> Predictions:
        """Score a batch of N images: uint8 [N, size, size, 3]."""
        ...


class Model:
    """A network that is ready to score.

    Parameters
    ----------
    folder : ModelFolder
    device : Device
        The execution provider that it runs on, and no other.
    threads : int
        Threads that run it on a CPU; 0 for one a core.

    Raises
    ------
    ModelRefusedError
        If the file is no whole ONNX model, its inputs, outputs or metadata are not what the card says, or the scores
        of a warm-up are not consistent with the tree.
    DeviceRefusedError
        If the execution provider doesn't come up with this model.
    """

    def __init__(self, folder: ModelFolder, device: Device, threads: int = 0) -> None:
        self.card = folder.card
        self.tree = folder.tree
        self.device = device
        self._session = _session(folder, device, threads or cores())
        _verify_provider(self._session, device)
        self._ports = Ports(self._session, folder)
        _verify_metadata(self._session, folder)

    def predict(self, images: NDArray[np.uint8]) -> Predictions:
        """Score a batch.

        Parameters
        ----------
        images : array of uint8, shape [N, size, size, 3]

        Returns
        -------
        Predictions
            N rows of what the network answers, all of it finite.

        Raises
        ------
        UnusableScoresError
            If the network answers something else.
        """
        return self._ports.read(self._session.run(self._ports.outputs, {INPUT: images}), len(images))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network answers."""
        return self._ports.outputs

    def warm_up(self, *batches: int) -> None:
        """Score a made-up batch of one and others of so many images, so that the first client doesn't wait for it.

        Raises
        ------
        ModelRefusedError
            If the network doesn't run, or its answers are of no use or its scores not consistent with the tree.
        """
        size = self.card.framing.size
        random = np.random.default_rng(seed=0)
        noise = (random.integers(0, 256, (batch, size, size, 3), np.uint8) for batch in batches)
        for images in (np.zeros((1, size, size, 3), np.uint8), *noise):
            try:
                self.tree.check(self.predict(images).scores, TOLERANCE)
            except InconsistentScoresError as error:
                msg = f"the model's scores don't add up as {self.tree.name} says ({error}): {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except UnusableScoresError as error:
                msg = f"the model answers {error}: {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except Exception as error:  # ONNX Runtime's errors have no class in common but this one
                msg = f"the model doesn't run ({first_line(error)}): {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error


def _session(folder: ModelFolder, device: Device, threads: int) -> Any:  # noqa: ANN401 (onnxruntime ships no types)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # No checksum covers weights in other files. ONNX Runtime would look for them where the process happens to run; let
    # it look in a "folder" that is a file, and so holds none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.file))
    provider = (CUDA, _CUDA_OPTIONS) if device.provider == CUDA else device.provider
    data = folder.read()
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors have no class in common but this one
        if "external data" in str(error).lower():
            msg = f"{folder.file} keeps weights in other files, which its checksum doesn't cover: {EXPORT_AGAIN}"
            raise ModelRefusedError(msg) from error
        msg = (
            f"{folder.file} is no whole ONNX model, or none for {device.provider} ({first_line(error)}): {EXPORT_AGAIN}"
        )
        raise ModelRefusedError(msg) from error
    # Kept by ONNX Runtime in case the session has to be made again, which it never is here.
    session._model_bytes = None  # noqa: SLF001
    return session


def _verify_provider(session: Any, device: Device) -> None:  # noqa: ANN401 (onnxruntime ships no types)
    """Hold a session to its execution provider.

    This is about the provider as a whole. ONNX Runtime runs single nodes for which CUDA has no kernel, or whose results
    are shapes, on the CPU beside it; that is by its design, and refusing it would refuse networks that run well.
    """
    session.disable_fallback()
    running = session.get_providers()[0]
    if running != device.provider:
        msg = f"{device.provider} doesn't come up with this model, {running} does: set device=cpu to run on that"
        raise DeviceRefusedError(msg)


def _verify_metadata(session: Any, folder: ModelFolder) -> None:  # noqa: ANN401 (onnxruntime ships no types)
    metadata = session.get_modelmeta().custom_metadata_map
    card = folder.card.model_dump(mode="json")
    for key in _METADATA:
        found = metadata.get(key)
        if found is None or _value(found, plain=isinstance(card[key], str)) != card[key]:
            shown = "nothing" if found is None else repr(found[:80])
            msg = f"{folder.file} says {shown} as its {key}, and its card another: {EXPORT_AGAIN}"
            raise ModelRefusedError(msg)


def _value(text: str, *, plain: bool) -> object:
    try:
        return text if plain else json.loads(text)
    except json.JSONDecodeError:
        return None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; those of ONNX Runtime have many."""
    return (str(error) or type(error).__name__).splitlines()[0]
