"""The network: load it, hold it against its card, warm it up, predict."""

import json
from time import perf_counter
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from app.devices import Device
from app.explanation import Explainer
from app.model_folder import ModelFolder
from app.ports import EXPORT_AGAIN, INPUT, TOLERANCE, Ports, UnusableScoresError
from app.providers import CPU, CUDA, cores
from app.refusals import DeviceRefusedError, ModelRefusedError
from galaxytree.card import MOST_RISE
from galaxytree.decision_tree import InconsistentScoresError
from galaxytree.evidence import EVIDENCE, Seen
from galaxytree.instructions import EXACT_SUMS, dot_product
from galaxytree.predictions import Predictions

_TRIED = 5
"""So many runs tell whether all cores are faster than one."""

_SPIN_MICROSECONDS = "1000"
"""About as long as the way of an answer to its client and of the next image to here, decoding included."""

Precision = Literal["auto", "fp32", "int8"]

_METADATA = ("name", "version", "tree", "columns", "framing")


# For CUDA. ONNX Runtime's own choices are to try every algorithm for a convolution once for each new size of a batch,
# which would be on the request of a client, and to round factors to the 10 bits of TF32, which moves scores by far more
# than the card says that ONNX Runtime is from PyTorch.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


class Model:
    """A network that is ready to score.

    Parameters
    ----------
    folder : ModelFolder
    device : Device
        The execution provider that it runs on, and no other.
    threads : int
        Cores that a run may have that is alone, on a CPU; other runs have one. 0 for all.
    precision : str
        ``fp32``, ``int8``, or ``auto``: see `app.settings.Settings`.

    Attributes
    ----------
    card, tree, device
    explainer
        Draws where the network looked; None of a network that doesn't say.
    precision, why_precision
        In which the network computes, and why.

    Raises
    ------
    ModelRefusedError
        If the file is no whole ONNX model, its inputs, outputs or metadata are not what the card says, or the scores
        of a warm-up are not consistent with the tree.
    DeviceRefusedError
        If the execution provider doesn't come up with this model.
    """

    def __init__(self, folder: ModelFolder, device: Device, threads: int = 0, precision: Precision = "auto") -> None:
        self.card = folder.card
        self.tree = folder.tree
        self.device = device
        self.precision, self.why_precision = choose_precision(precision, folder, device)
        data = folder.read(self.precision)
        self._session = _session(data, folder, device, 1)
        _verify_provider(self._session, device)
        self._ports = Ports(self._session, folder)
        _verify_metadata(self._session, folder)
        self.explainer = self._explaining(folder)
        # What of the graph is only needed for the evidence is then left out of a run.
        self._plain = onnxruntime.RunOptions()
        self._plain.only_execute_path_to_fetches = True
        threads = threads or cores()
        on_cpu = device.provider == CPU
        self._wide_session = _session(data, folder, device, threads) if on_cpu and threads > 1 else None

    def predict(self, images: NDArray[np.uint8], *, alone: bool = False, explain: bool = False) -> Predictions:
        """Score a batch. On a CPU several threads may do so at a time.

        Parameters
        ----------
        images : array of uint8, shape [N, size, size, 3]
        alone : bool
            Whether all cores are free for this run; on one core else.
        explain : bool
            Whether the evidence is wanted too, of a network that is explainable.

        Returns
        -------
        Predictions
            N rows of what the network answers, all of it finite.

        Raises
        ------
        UnusableScoresError
            If the network answers something else.
        """
        session = self._wide_session if alone and self._wide_session is not None else self._session
        outputs = (*self._ports.outputs, EVIDENCE) if explain else self._ports.outputs
        return self._ports.read(session.run(outputs, {INPUT: images}, self._plain), len(images))

    @property
    def explainable(self) -> bool:
        """Whether the network can say where it looked."""
        return self.explainer is not None

    def _explaining(self, folder: ModelFolder) -> Explainer | None:
        if self._ports.grid is None:
            return None
        said = self._session.get_modelmeta().custom_metadata_map.get(EVIDENCE, "")
        try:
            seen = Seen.model_validate_json(said)
        except ValidationError as error:
            msg = f"{folder.file} doesn't say what of its input the {EVIDENCE} covers: {EXPORT_AGAIN}"
            raise ModelRefusedError(msg) from error
        return Explainer(self.tree.columns, self.card.framing, seen, self._ports.grid)

    @property
    def wide(self) -> bool:
        """Whether a run that is alone has all cores."""
        return self._wide_session is not None

    def choose_width(self) -> None:
        """Have a run on all cores only if that is faster: small networks lose more by it than they gain."""
        if self._wide_session is not None and self._seconds(alone=False) <= self._seconds(alone=True):
            self._wide_session = None

    def _seconds(self, *, alone: bool) -> float:
        """Return the shortest time that a run of one took."""
        size = self.card.framing.size
        image, times = np.zeros((1, size, size, 3), np.uint8), []
        for _ in range(_TRIED):
            started = perf_counter()
            self.predict(image, alone=alone)
            times.append(perf_counter() - started)
        return min(times)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network answers."""
        return self._ports.outputs

    def warm_up(self, views: int = 1, batch: int = 1) -> None:
        """Score made-up batches, so that the first client doesn't wait for it: one image alone, and a full batch.

        Parameters
        ----------
        views
            As many as an image has that doesn't ask for another number.
        batch
            Views in one run, at most.

        Raises
        ------
        ModelRefusedError
            If the network doesn't run, or its answers are of no use or its scores not consistent with the tree.
        """
        size = self.card.framing.size
        random = np.random.default_rng(seed=0)
        # What a session once needed it keeps, so the one for images alone is given no more than an image.
        for count, alone in ((1, False), (views, True), (batch, False)):
            images = random.integers(0, 256, (count, size, size, 3), np.uint8)
            try:
                self.tree.check(self.predict(np.zeros_like(images), alone=alone).scores, TOLERANCE)
                self.tree.check(self.predict(images, alone=alone, explain=self.explainable).scores, TOLERANCE)
            except InconsistentScoresError as error:
                msg = f"the model's scores don't add up as {self.tree.name} says ({error}): {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except UnusableScoresError as error:
                msg = f"the model answers {error}: {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error
            except Exception as error:  # ONNX Runtime's errors have no class in common but this one
                msg = f"the model doesn't run ({first_line(error)}): {EXPORT_AGAIN}"
                raise ModelRefusedError(msg) from error


def choose_precision(asked: Precision, folder: ModelFolder, device: Device) -> tuple[Literal["fp32", "int8"], str]:
    """Choose in which precision the network computes, and say why.

    Raises
    ------
    ModelRefusedError
        If int8 is asked for, and the model has no such file.
    DeviceRefusedError
        If it is asked for on a GPU.
    """
    if asked == "auto":
        obstacle = _int8_obstacle(folder, device)
        reason = f"on a CPU it is faster, and the card says that it raises the RMSE by at most {MOST_RISE}"
        return ("fp32", obstacle) if obstacle else ("int8", reason)
    if asked == "int8":
        if folder.card.int8 is None:
            msg = f"precision=int8 was asked for, but {folder.path} has no int8 file: make it with `python -m training "
            raise ModelRefusedError(msg + "quantise`, or set precision=auto")
        if device.provider != CPU:
            msg = "precision=int8 was asked for, but it is for CPUs: set precision=auto, or device=cpu"
            raise DeviceRefusedError(msg)
    return asked, "it was asked for"


def _int8_obstacle(folder: ModelFolder, device: Device) -> str | None:
    """Say why int8 is not to be used where it is not asked for, or None."""
    int8 = folder.card.int8
    if device.provider != CPU:
        return "int8 is for CPUs"
    if int8 is None:
        return "the model has no int8 file"
    if not int8.by_default:
        return f"the card doesn't say that int8 raises the RMSE by at most {MOST_RISE}"
    if dot_product() is None:
        reason = "int8 gains little without instructions for it (VNNI, or ARM's dot product)"
        return f"{reason}, and none are known of this CPU"
    return None


def _session(data: bytes, folder: ModelFolder, device: Device, threads: int) -> Any:  # noqa: ANN401 (onnxruntime ships no types)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads wait awake for their part of a run, which is fast, and for a moment after it, in which who sends one image
    # after another finds them so. Then they are to leave the cores.
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_MICROSECONDS)
    # Else a CPU without instructions for them would cut off sums of integers, which nobody measured.
    if dot_product() is None:
        options.add_session_config_entry(*EXACT_SUMS)
    # No checksum covers weights in other files. ONNX Runtime would look for them where the process happens to run; let
    # it look in a "folder" that is a file, and so holds none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.file))
    provider = (CUDA, _CUDA_OPTIONS) if device.provider == CUDA else device.provider
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
