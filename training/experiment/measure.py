"""Figures of finished runs on the galaxies that they did not see."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.arrays import Galaxies
from training.experiment.rows import ExperimentError
from training.metrics import Votes, rmse
from training.networks.size import size_of
from training.predict import predict
from training.splits import in_fold
from training.trained import trained


@dataclass(frozen=True)
class Scored:
    """What one or several networks say of N galaxies.

    Attributes
    ----------
    votes : float32, shape [N, columns]
        The volunteers'; NaN where not known.
    one_view, eight_views : float32, shape [N, columns]
        The networks' scores.
    parameters, multiply_adds : int
        Of all networks; multiply-adds for one image in one view.
    """

    votes: Votes
    one_view: Votes
    eight_views: Votes
    parameters: int
    multiply_adds: int

    @property
    def rmse_one_view(self) -> float:
        """RMSE in one view."""
        return _rounded(rmse(self.one_view, self.votes))

    @property
    def rmse_eight_views(self) -> float:
        """RMSE in eight views."""
        return _rounded(rmse(self.eight_views, self.votes))


def score(run: Path, galaxies: Galaxies, device: torch.device) -> Scored:
    """Score what a run was measured on with its averaged network: the fold it held out, or the validation split.

    Raises
    ------
    RunError
        If the run is not finished.
    ExperimentError
        If no galaxies were held out.
    """
    model, record = trained(run, galaxies.tree)
    side = galaxies.framing.size
    size = size_of(model, torch.zeros(1, side, side, 3, dtype=torch.uint8))
    settings: dict[str, Any] = record["settings"]
    folds = settings.get("folds", 0)
    unseen = galaxies.where(in_fold(galaxies, folds, settings["fold"]) if folds else galaxies.validation)
    if not len(unseen):
        msg = f"there are no galaxies to measure {run} on: the data set none aside"
        raise ExperimentError(msg)
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one_view, eight_views = predict(model, unseen.images, device, 1), predict(model, unseen.images, device, 8)
    return Scored(unseen.votes, one_view, eight_views, size.parameters, size.multiply_adds)


def mean_of(members: Sequence[Scored]) -> Scored:
    """Return the mean of the scores of networks that looked at the same galaxies."""
    return Scored(
        members[0].votes,
        _mean([each.one_view for each in members]),
        _mean([each.eight_views for each in members]),
        sum(each.parameters for each in members),
        sum(each.multiply_adds for each in members),
    )


def joined_of(folds: Sequence[Scored]) -> Scored:
    """Return the scores of all folds, each by the network that held it out; the size is that of one network."""
    return Scored(
        np.concatenate([each.votes for each in folds]),
        np.concatenate([each.one_view for each in folds]),
        np.concatenate([each.eight_views for each in folds]),
        folds[0].parameters,
        folds[0].multiply_adds,
    )


def _mean(scores: Sequence[Votes]) -> Votes:
    mean: Votes = np.stack(scores).astype(np.float64).mean(axis=0).astype(np.float32)
    return mean


def _rounded(value: float) -> float:
    """Keep what could matter: the last digits of an RMSE are those of a machine's rounding."""
    return round(value, 6)
