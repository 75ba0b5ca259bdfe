"""Scores of many images, from a PyTorch module or from an ONNX file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from training.arrays import Images

Pixels = Images | NDArray[np.uint8]

BATCH = 250


def predict(model: nn.Module, images: Pixels, device: torch.device) -> NDArray[np.float32]:
    """Score images [N, S, S, 3] with a module in evaluation mode; returns float32 [N, columns]."""
    model.eval()

    def run(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = model(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        return scores

    return _in_batches(run, images)


def predict_onnx(model: Path, images: Pixels) -> NDArray[np.float32]:
    """Score images [N, S, S, 3] with an ONNX file on the CPU; returns float32 [N, columns]."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = session.run(["scores"], {"images": batch})[0]
        return scores

    return _in_batches(run, images)


def _in_batches(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: Pixels) -> NDArray[np.float32]:
    return np.concatenate(
        [run(np.ascontiguousarray(images[first : first + BATCH])) for first in range(0, len(images), BATCH)]
    )
