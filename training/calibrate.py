"""Error bars and the flag for strange pictures, fitted to a finished run, calibrated on galaxies set aside for it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from galaxytree.options import Options
from training.arrays import Galaxies
from training.coverage import INTERVALS, coverage
from training.networks.classifier import CalibratedClassifier, GalaxyClassifier
from training.networks.error_bars import KNOTS, ErrorBars
from training.networks.out_of_domain import OutOfDomain
from training.predict import BATCH
from training.runs import RunError, write_checkpoint, write_json
from training.settings import DATA_FILE
from training.trained import trained

CALIBRATION_FILE = "calibration.pt"
CALIBRATION_RECORD = "calibration.json"

_COMPONENTS = 32
_AXES = 128
_EPOCHS = 60
_RATE = 3e-3
_BATCH = 256
_FACTORS = torch.logspace(math.log10(0.3), math.log10(3.0), 121)


class CalibrateSettings(Options):
    """What `calibrate` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_CALIBRATE_"

    run: Annotated[Path, Field(description="Folder of the finished run")] = Path("runs/first")
    data: Annotated[Path, Field(description="Array file that the run was trained on")] = DATA_FILE
    false_alarms: Annotated[
        float, Field(gt=0, lt=1, description="Part of the galaxies set aside that may be flagged as out of domain")
    ] = 0.01
    seed: Annotated[int, Field(ge=0, description="Seed of all that is random")] = 1


@dataclass(frozen=True)
class _Seen:
    """What a network makes of galaxies: features [N, F], statistics [N, S], scores [N, C]."""

    features: Tensor
    statistics: Tensor
    scores: Tensor


def calibrate(settings: CalibrateSettings, galaxies: Galaxies) -> dict[str, Any]:
    """Fit error bars to the residuals on the training galaxies, and scale them on those set aside for calibration.

    Returns
    -------
    dict
        The facts that are also written into the run's folder: how many galaxies, coverage on those set aside.

    Raises
    ------
    RunError
        If the run is missing, not finished, of other data, or if no galaxies are set aside.
    """
    model, record = trained(settings.run, galaxies.tree)
    if galaxies.sha256 != record["data"]["sha256"]:
        msg = f"{settings.data} is not the file that {settings.run} was trained on; name that one with --data"
        raise RunError(msg)
    aside = galaxies.where(galaxies.calibration)
    if not len(aside):
        msg = f"{settings.data} sets no galaxies aside for calibration; prepare it with --calibration-part"
        raise RunError(msg)
    torch.manual_seed(settings.seed)
    learnt = galaxies.where(galaxies.learning)
    seen, kept = _look(model, learnt), _look(model, aside)

    error_bars = _fitted(galaxies, seen, torch.from_numpy(learnt.votes))
    _scale(error_bars, kept, torch.from_numpy(aside.votes))
    strange = OutOfDomain(seen.statistics.shape[1], min(_AXES, seen.statistics.shape[1] - 1))
    strange.fit(seen.statistics)
    with torch.no_grad():
        strange.usual.copy_(torch.quantile(strange.distance(kept.statistics), 1 - settings.false_alarms))
        uncertainty = error_bars(kept.features, kept.scores)
    facts = {
        "settings": settings.model_dump(mode="json"),
        "fitted_on": len(learnt),
        "calibrated_on": len(aside),
        "coverage_on_those": coverage(galaxies.tree, kept.scores.numpy(), uncertainty.numpy(), aside.votes),
    }
    write_checkpoint(
        settings.run / CALIBRATION_FILE, {"error_bars": error_bars.state_dict(), "out_of_domain": strange.state_dict()}
    )
    write_json(settings.run / CALIBRATION_RECORD, facts)
    return facts


def calibrated(run: Path, model: GalaxyClassifier) -> CalibratedClassifier | None:
    """Return a run's network with its error bars; None if it was not calibrated."""
    if not (run / CALIBRATION_FILE).exists():
        return None
    state = torch.load(run / CALIBRATION_FILE, map_location="cpu", weights_only=True)
    bars, strange = state["error_bars"], state["out_of_domain"]
    error_bars = ErrorBars(model.classifier.scores.tree, *bars["components"].shape)
    error_bars.load_state_dict(bars)
    out_of_domain = OutOfDomain(*strange["axes"].shape)
    out_of_domain.load_state_dict(strange)
    return CalibratedClassifier(model.view, model.classifier, error_bars, out_of_domain).eval()


@torch.inference_mode()
def _look(model: GalaxyClassifier, galaxies: Galaxies) -> _Seen:
    parts = []
    for first in tqdm(range(0, len(galaxies), BATCH), unit="batch"):
        views = model.view(torch.from_numpy(np.ascontiguousarray(galaxies.images[first : first + BATCH])))
        features, statistics = model.classifier.with_statistics(views.contiguous(memory_format=torch.channels_last))
        scores = model.classifier.scores(model.classifier.classifier(features))
        parts.append((features, statistics, scores))
    return _Seen(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))


def _fitted(galaxies: Galaxies, seen: _Seen, votes: Tensor) -> ErrorBars:
    """Fit the spread of the residuals: a normal likelihood, whose mean is the score."""
    known = ~votes.isnan()
    taught = known.any(dim=1)
    features, scores, votes, known = seen.features[taught], seen.scores[taught], votes[taught], known[taught]
    components = min(_COMPONENTS, features.shape[1], len(features))
    error_bars = ErrorBars(galaxies.tree, features.shape[1], components)
    centre = features.mean(dim=0)
    error_bars.mean.copy_(centre)
    _, spread, axes = torch.linalg.svd(features - centre, full_matrices=False)
    spread = spread / math.sqrt(len(features))
    error_bars.components.copy_(axes[:components].T / spread[:components].clamp(min=1e-6))
    squared = torch.where(known, scores - votes.nan_to_num(), 0.0).square()
    optimizer = torch.optim.AdamW(error_bars.parameters(), lr=_RATE, weight_decay=0.01)
    steps = _EPOCHS * -(-len(features) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    error_bars.train()
    for _ in range(_EPOCHS):
        for chosen in torch.split(torch.randperm(len(features)), _BATCH):
            spread = error_bars.uncalibrated(features[chosen], scores[chosen])
            nll = spread.log() + squared[chosen] / (2 * spread.square())
            loss = nll[known[chosen]].mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return error_bars.eval()


@torch.no_grad()
def _scale(error_bars: ErrorBars, kept: _Seen, votes: Tensor) -> None:
    """Set the factors under which intervals hold as many votes as they promise, question by question.

    From the lowest weight up, one knot after the other: it is set by the galaxies nearest to it.
    """
    spread = error_bars.uncalibrated(kept.features, kept.scores)
    apart = (kept.scores - votes).abs() / spread
    weights, known = error_bars.weights(kept.scores), ~votes.isnan()
    for question, own in error_bars.tree.slices.items():
        del question
        nearest = (weights[:, own, None] - torch.tensor(KNOTS)).abs().argmin(dim=2)
        whole = _factor(apart[:, own][known[:, own]])
        for knot in range(len(KNOTS)):
            chosen = (nearest == knot) & known[:, own]
            count = int(chosen.sum())
            # Few galaxies do not say much: they are held to what all say.
            trust = count / (count + _BATCH)
            own_factor = _factor(apart[:, own][chosen]) if count else whole
            error_bars.factors[knot, own] = math.exp(trust * math.log(own_factor) + (1 - trust) * math.log(whole))


def _factor(apart: Tensor) -> float:
    """Return the factor whose intervals are least off the parts they promise, each in units of what is tolerable."""
    held = [(apart[None] <= (_FACTORS * width)[:, None]).float().mean(dim=1) for _, width, _ in INTERVALS]
    off = sum(
        ((part - promised) / tolerable).square() for part, (promised, _, tolerable) in zip(held, INTERVALS, strict=True)
    )
    assert isinstance(off, Tensor)  # noqa: S101  (there are intervals)
    return float(_FACTORS[off.argmin()])
