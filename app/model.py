"""The network: load it, hold it against its card, warm it up, predict."""

import json
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.devices import CUDA, Device, cores
from app.model_folder import ModelFolder
from app.refusals import DeviceRefusedError, ModelRefusedError
from galaxytree.decision_tree import InconsistentScoresError

INPUT = "images"
OUTPUT = "scores"
TOLERANCE = 1e-5
"""By how much the scores of a warm-up may miss the tree's sums; answers are normalised again, in float64."""

_METADATA = ("name", "version", "tree", "columns", "framing")
_EXPORT_AGAIN = "export the model again"


# For CUDA. ONNX Runtime's own choice is to try every algorithm for a convolution once for each new size of a batch,
# which would be on the request of a client.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC"}


class UnusableScoresError(Exception):
    """The network answered something else than one finite row of scores for each image."""


class Predictor(Protocol):
    """What scores batches of framed images."""

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score a batch: uint8 [N, size, size, 3] to float32 [N, columns]."""
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
        _verify_shapes(self._session, folder)
        _verify_metadata(self._session, folder)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score a batch.

        Parameters
        ----------
        images : array of uint8, shape [N, size, size, 3]

        Returns
        -------
        array of float32, shape [N, columns]
            All of it finite.

        Raises
        ------
        UnusableScoresError
            If the network answers something else.
        """
        (scores,) = self._session.run([OUTPUT], {INPUT: images})
        result: NDArray[np.float32] = scores
        wanted = (len(images), len(self.tree.columns))
        if result.shape != wanted:
            msg = f"scores of the shape {list(result.shape)}, not {list(wanted)}"
            raise UnusableScoresError(msg)
        if not np.isfinite(result).all():
            msg = "scores that are not finite"
            raise UnusableScoresError(msg)
        return result

    def warm_up(self, batch: int) -> None:
        """Score a made-up batch of one and one of `batch` images, so that the first client doesn't wait for it.

        Raises
        ------
        ModelRefusedError
            If the network doesn't run, or its scores are of no use or not consistent with the tree.
        """
        size = self.card.framing.size
        noise = np.random.default_rng(seed=0).integers(0, 256, (batch, size, size, 3), np.uint8)
        for images in (np.zeros((1, size, size, 3), np.uint8), noise):
            try:
                self.tree.check(self.predict(images), TOLERANCE)
            except InconsistentScoresError as error:
                msg = f"the model's scores don't add up as {self.tree.name} says ({error}): {_EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except UnusableScoresError as error:
                msg = f"the model answers {error}: {_EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except Exception as error:  # ONNX Runtime's errors have no class in common but this one
                msg = f"the model doesn't run ({first_line(error)}): {_EXPORT_AGAIN}"
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
            msg = f"{folder.file} keeps weights in other files, which its checksum doesn't cover: {_EXPORT_AGAIN}"
            raise ModelRefusedError(msg) from error
        msg = (
            f"{folder.file} is no whole ONNX model, or none for {device.provider} ({first_line(error)}): "
            f"{_EXPORT_AGAIN}"
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


def _verify_shapes(session: Any, folder: ModelFolder) -> None:  # noqa: ANN401 (onnxruntime ships no types)
    size = folder.card.framing.size
    for kind, ports, name, dtype, shape in (
        ("input", session.get_inputs(), INPUT, "tensor(uint8)", (size, size, 3)),
        ("output", session.get_outputs(), OUTPUT, "tensor(float)", (len(folder.tree.columns),)),
    ):
        found = [(port.name, port.type, list(port.shape)) for port in ports]
        wanted = f"{name} {dtype} {['N', *shape]}"
        if len(found) != 1 or not _fits(found[0], name, dtype, shape):
            shown = "; ".join(" ".join(map(str, port)) for port in found)
            msg = f"{folder.file} has the {kind} {shown}, not {wanted}: {_EXPORT_AGAIN}"
            raise ModelRefusedError(msg)


def _fits(port: tuple[str, str, list[Any]], name: str, dtype: str, shape: tuple[int, ...]) -> bool:
    """Whether a port is what it is to be; a size that the graph leaves free (a name or None) fits any but N's."""
    found_name, found_dtype, found_shape = port
    return (
        (found_name, found_dtype) == (name, dtype)
        and len(found_shape) == len(shape) + 1
        and not isinstance(found_shape[0], int)
        and all(
            not isinstance(found, int) or found == wanted for found, wanted in zip(found_shape[1:], shape, strict=True)
        )
    )


def _verify_metadata(session: Any, folder: ModelFolder) -> None:  # noqa: ANN401 (onnxruntime ships no types)
    metadata = session.get_modelmeta().custom_metadata_map
    card = folder.card.model_dump(mode="json")
    for key in _METADATA:
        found = metadata.get(key)
        if found is None or _value(found, plain=isinstance(card[key], str)) != card[key]:
            shown = "nothing" if found is None else repr(found[:80])
            msg = f"{folder.file} says {shown} as its {key}, and its card another: {_EXPORT_AGAIN}"
            raise ModelRefusedError(msg)


def _value(text: str, *, plain: bool) -> object:
    try:
        return text if plain else json.loads(text)
    except json.JSONDecodeError:
        return None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; those of ONNX Runtime have many."""
    return (str(error) or type(error).__name__).splitlines()[0]
