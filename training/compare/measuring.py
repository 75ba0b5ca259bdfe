"""What is said of a trained system: how near it comes to the votes, how large it is, what it costs."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.arrays import Galaxies
from training.compare.fitting import run
from training.compare.settings import CompareSettings
from training.compare.system import System
from training.metrics import Votes, rmse
from training.networks.size import Size, size_of

_BATCH = 125


def scores_of(
    system: System, network: nn.Module, galaxies: Galaxies, settings: CompareSettings, device: torch.device
) -> NDArray[np.float32]:
    """Score galaxies in one plain view each: float32 [N, columns of the system]."""
    network.eval()
    found = []
    with torch.inference_mode():
        for first in range(0, len(galaxies), _BATCH):
            images = torch.from_numpy(galaxies.images[first : first + _BATCH]).to(device)
            found.append(run(network, system.look(images, galaxies.framing, None), settings, device).cpu().numpy())
    return np.concatenate(found)


def errors(system: System, scores: Votes, galaxies: Galaxies) -> dict[str, Any]:
    """Compare scores with votes.

    Returns
    -------
    dict
        ``rmse`` over all columns; None where the system answers one question only. ``accuracy``: part of the galaxies
        whose likeliest answer to question 1 is the volunteers'; None on made-up galaxies, whose answers do not exclude
        each other.
    """
    tree = galaxies.tree
    own = system.columns(tree)
    first = tree.questions[0]
    answers = tree.slices[first.id] if system.question is None else slice(None)
    return {
        "rmse": rmse(scores, galaxies.votes) if system.question is None else None,
        "rmse_of_question": None if system.question is None else rmse(scores, galaxies.votes[:, own]),
        "accuracy": None
        if first.independent
        else accuracy(scores[:, answers], galaxies.votes[:, tree.slices[first.id]]),
    }


def accuracy(fractions: Votes, votes: Votes) -> float:
    """Part of the galaxies whose likeliest answer is the volunteers'.

    Parameters
    ----------
    fractions, votes : float32, shape [N, answers]
        Of one question; galaxies with a vote that is NaN are left out.

    Returns
    -------
    float
        NaN if no galaxy is left.
    """
    known = ~np.isnan(votes).any(axis=1)
    same = fractions[known].argmax(axis=1) == votes[known].argmax(axis=1)
    return float(same.mean()) if known.any() else math.nan


def size(system: System, network: nn.Module, galaxies: Galaxies, device: torch.device) -> Size:
    """Count parameters, and multiply-adds for one galaxy with all its views."""
    network.eval()
    images = torch.from_numpy(galaxies.images[:1]).to(device)
    return size_of(network, system.look(images, galaxies.framing, None))
