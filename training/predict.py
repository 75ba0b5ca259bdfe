"""Scores of many images, from a PyTorch module or from an ONNX file, in one view or in eight."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from galaxytree.instructions import EXACT_SUMS, dot_product
from galaxytree.predictions import AVERAGES
from galaxytree.views import Views
from training.arrays import Images

Pixels = Images | NDArray[np.uint8]

BATCH = 250


@dataclass(frozen=True)
class Predictions:
    """What a model file says of N images, one row an image: the arrays of `galaxytree.predictions.Predictions`.

    It is none of those, whose rows are views of one image and can be averaged.
    """

    scores: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None = None
    uncertainty_95: NDArray[np.float32] | None = None
    out_of_domain: NDArray[np.float32] | None = None

    @property
    def halves(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Half the widths of `training.coverage.INTERVALS`; the wide one is a normal one where the file has none."""
        if self.uncertainty is None:
            return None
        wide = self.uncertainty_95
        return self.uncertainty, self.uncertainty * np.float32(1.96) if wide is None else wide


def orientations(images: NDArray[np.uint8], views: Views) -> Iterator[NDArray[np.uint8]]:
    """Yield images [N, S, S, 3] as they are, or in the eight ways in which a square can lie.

    These are pictures that have been cut and scaled already. The service turns first and scales then
    (`Framing.frame_views`), so that its eight views differ by a grey level here and there.
    """
    if views == 1:
        yield np.ascontiguousarray(images)
        return
    for turned in (np.rot90(images, quarter, axes=(1, 2)) for quarter in range(4)):
        yield np.ascontiguousarray(turned)
        yield np.ascontiguousarray(turned[:, :, ::-1])


def predict(model: nn.Module, images: Pixels, device: torch.device, views: Views = 1) -> NDArray[np.float32]:
    """Score images [N, S, S, 3] with a module in evaluation mode; returns float32 [N, columns]."""
    model.eval()

    def run(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            seen = (model(torch.from_numpy(each).to(device)).double() for each in orientations(batch, views))
            scores: NDArray[np.float32] = (sum(seen) / views).float().cpu().numpy()
        return scores

    return np.concatenate([run(batch) for batch in _batches(images)])


def predict_onnx(model: Path, images: Pixels, views: Views = 1) -> Predictions:
    """Score images [N, S, S, 3] with an ONNX file on the CPU.

    Several views are averaged as the service averages them, of pictures that are turned as in `orientations`.
    """
    options = onnxruntime.SessionOptions()
    # As the service computes too: figures are to be the file's, whatever the CPU.
    if dot_product() is None:
        options.add_session_config_entry(*EXACT_SUMS)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.name in AVERAGES]
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for batch in _batches(images):
        seen = [session.run(names, {"images": each}) for each in orientations(batch, views)]
        for name, values in zip(names, zip(*seen, strict=True), strict=True):
            found[name].append(AVERAGES[name](np.stack(values)))
    return Predictions(**{name: np.concatenate(values).astype(np.float32) for name, values in found.items()})


def _batches(images: Pixels) -> Iterator[NDArray[np.uint8]]:
    for first in range(0, len(images), BATCH):
        yield images[first : first + BATCH]
