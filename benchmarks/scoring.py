"""Decode and network, with nothing of a service about them: what the limit is made of, and what every peer serves.

Imported in the peers' environments too, so it needs no more than the base of galaxytree and ONNX Runtime.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
from numpy.typing import NDArray

from galaxytree.card import MODEL_FILE, SHIPPED_MODEL, ModelCard
from galaxytree.imaging import EncodedImage

ROOT = Path(__file__).parents[1]
MODEL_FOLDER = ROOT / "models" / SHIPPED_MODEL

MODEL_VARIABLE = "GALAXYTREE_BENCH_MODEL_FILE"
DEVICE_VARIABLE = "GALAXYTREE_BENCH_DEVICE"
THREADS_VARIABLE = "GALAXYTREE_BENCH_THREADS"
BATCH_VARIABLE = "GALAXYTREE_BENCH_BATCH"
PORT_VARIABLE = "GALAXYTREE_BENCH_PORT"
WORKERS_VARIABLE = "GALAXYTREE_BENCH_WORKERS"
SPINNING_VARIABLE = "GALAXYTREE_BENCH_SPINNING"

# As the service has them: float32 in full, and no search for algorithms on a client's request.
_CUDA = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"})


class Scorer:
    """A network in an ONNX Runtime session, and the way from bytes to its input.

    Parameters
    ----------
    file : Path
        The ONNX file; `MODEL_FOLDER` holds its card.
    threads : int
        Threads that one run of the network is divided among.
    device : str
        ``cpu`` or ``cuda``.
    spinning : bool
        Whether threads wait awake for the next run as long as ONNX Runtime has it; for a millisecond else, as those of
        the service do.
    """

    def __init__(self, file: Path, threads: int = 1, device: str = "cpu", *, spinning: bool = False) -> None:
        card = ModelCard.read(MODEL_FOLDER)
        self._framing, self._columns = card.framing, card.columns
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if not spinning:
            options.add_session_config_entry("session.intra_op.spin_duration_us", "1000")
        if device == "cuda":
            onnxruntime.preload_dlls()
        providers = [_CUDA] if device == "cuda" else ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self._input = self._session.get_inputs()[0].name

    @classmethod
    def of_environment(cls, threads: int | None = None) -> "Scorer":
        """Return what the variables of `benchmarks.systems` ask a peer for."""
        file = Path(os.environ.get(MODEL_VARIABLE, MODEL_FOLDER / MODEL_FILE))
        device, spinning = os.environ.get(DEVICE_VARIABLE, "cpu"), bool(number(SPINNING_VARIABLE, 0))
        return cls(file, threads or number(THREADS_VARIABLE, 1), device, spinning=spinning)

    def read(self, data: bytes) -> NDArray[np.uint8]:
        """Decode and frame one image, as the service does: uint8 [size, size, 3]."""
        framed: NDArray[np.uint8] = self._framing.read(EncodedImage(data))[0]
        return framed

    def run(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Score framed images in one run, all outputs that the network has: float32 [N, columns], the scores."""
        scores: NDArray[np.float32] = self._session.run(None, {self._input: np.stack(images)})[0]
        return scores

    def table(self, scores: NDArray[np.float32]) -> dict[str, float]:
        """Return the scores of one image by column name."""
        return dict(zip(self._columns, scores.tolist(), strict=True))

    def answer(self, scores: NDArray[np.float32]) -> bytes:
        """Return the scores of one image as JSON, by column name."""
        return orjson.dumps(self.table(scores))

    def classify(self, images: Sequence[bytes]) -> list[bytes]:
        """Answer for encoded images, in one run of the network."""
        return [self.answer(scores) for scores in self.run([self.read(data) for data in images])]


def number(variable: str, default: int) -> int:
    """Return a number that a peer was given in its environment."""
    return int(os.environ.get(variable, default))
