"""What a network makes of galaxies before error bars: all that these are fitted to."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training.arrays import Galaxies
from training.networks.classifier import View, ViewClassifier
from training.predict import BATCH


@dataclass(frozen=True)
class Seen:
    """What a network makes of N galaxies.

    Attributes
    ----------
    features, statistics, scores : Tensor
        float32, shapes [N, features], [N, statistics], [N, columns].
    """

    features: Tensor
    statistics: Tensor
    scores: Tensor


@torch.inference_mode()
def look(view: View, classifier: ViewClassifier, galaxies: Galaxies, device: torch.device) -> Seen:
    """Run a network on galaxies, and bring what it makes of them back to the CPU."""
    parts = []
    classifier = classifier.to(device)
    for first in tqdm(range(0, len(galaxies), BATCH), unit="batch"):
        images = torch.from_numpy(np.ascontiguousarray(galaxies.images[first : first + BATCH]))
        views = view(images.to(device))
        features, statistics = classifier.with_statistics(views.contiguous(memory_format=torch.channels_last))
        scores = classifier.scored(features)
        parts.append((features.cpu(), statistics.cpu(), scores.cpu()))
    return Seen(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))
