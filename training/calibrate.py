"""Smoothing, error bars and the flag for strange pictures, fitted to a finished run with galaxies set aside for it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from galaxytree.card import sha256_of
from galaxytree.options import Options
from training.arrays import Galaxies
from training.coverage import INTERVALS, WEIGHT, coverage
from training.metrics import rmse
from training.networks.classifier import CalibratedClassifier, GalaxyClassifier
from training.networks.error_bars import ErrorBars
from training.networks.out_of_domain import OutOfDomain
from training.networks.smoothing import smoothed
from training.processes import joined
from training.runs import WEIGHTS_FILE, RunError, git_commit, machine, read_checkpoint, write_checkpoint, write_json
from training.seen import Seen, look
from training.settings import DATA_FILE
from training.trained import hold_to_data, hold_to_sums, trained

CALIBRATION_FILE = "calibration.pt"
CALIBRATION_RECORD = "calibration.json"

SMOOTHINGS = (0.0, 0.03, 0.06, 0.09, 0.12)
"""Weights of neighbouring pixels that are tried."""

_COMPONENTS = 32
_AXES = 128
_EPOCHS = 60
_RATE = 3e-3
_BATCH = 256
_DRAWN = 200
_MOST = 0.84
_SMALL = 1e-3


class CalibrateSettings(Options):
    """What `calibrate` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_CALIBRATE_"

    run: Annotated[Path, Field(description="Folder of the finished run")] = Path("runs/first")
    data: Annotated[Path, Field(description="Array file that the run was trained on")] = DATA_FILE
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where to run the network")] = "auto"
    false_alarms: Annotated[
        float, Field(gt=0, lt=1, description="Part of the galaxies set aside that may be flagged as out of domain")
    ] = 0.01
    smoothing: Annotated[
        float | None,
        Field(
            ge=0,
            le=0.25,
            description="Weight of each neighbour, along rows and along columns, in the pixels that the network sees; "
            f"not set: of {', '.join(f'{each:g}' for each in SMOOTHINGS)} the best for the galaxies set aside",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, description="Seed of all that is random")] = 1


def calibrate(settings: CalibrateSettings, galaxies: Galaxies) -> dict[str, Any]:
    """Smooth what a network sees and fit error bars to its residuals on the training galaxies.

    By how much is smoothed, and how wide error bars are, is told by the galaxies set aside for calibration.

    Returns
    -------
    dict
        The facts that are also written into the run's folder: how many galaxies, smoothing, coverage on those set
        aside.

    Raises
    ------
    RunError
        If the run is missing, not finished, of other data, or if no galaxies are set aside.
    """
    model, record = trained(settings.run, galaxies.tree)
    hold_to_data(settings.run, record, galaxies, settings.data)
    aside = galaxies.where(galaxies.calibration)
    if not len(aside):
        msg = f"{settings.data} sets no galaxies aside for calibration; prepare it with --calibration-part"
        raise RunError(msg)
    hold_to_sums(settings.run, record, model)
    torch.manual_seed(settings.seed)
    # Those of which nothing is known stay out, so that how many of them are flagged says something.
    learnt = galaxies.where(galaxies.learning & galaxies.labelled)
    with joined(settings.device) as process:
        tried = SMOOTHINGS if settings.smoothing is None else (settings.smoothing,)
        found = {each: look(model.view, smoothed(model.classifier, each), aside, process.device) for each in tried}
        errors = {each: rmse(seen.scores.numpy(), aside.votes) for each, seen in found.items()}
        smoothing = _best(errors)
        kept = found[smoothing]
        seen = look(model.view, smoothed(model.classifier, smoothing), learnt, process.device)

    error_bars = _fitted(galaxies, seen, torch.from_numpy(learnt.votes))
    _scale(error_bars, (seen, torch.from_numpy(learnt.votes)), (kept, torch.from_numpy(aside.votes)))
    strange = OutOfDomain(seen.statistics.shape[1], _axes(seen.statistics))
    strange.fit(seen.statistics)
    with torch.no_grad():
        distances = strange.distance(seen.statistics), strange.distance(kept.statistics)
        strange.usual.copy_(_usual(*distances, settings.false_alarms))
        narrow, wide = error_bars(kept.features, kept.scores)
    facts = {
        "settings": settings.model_dump(mode="json"),
        "commit": git_commit(),
        "machine": machine(),
        "data": galaxies.sha256,
        "fitted_on": len(learnt),
        "calibrated_on": len(aside),
        "smoothing": smoothing,
        "rmse_on_those": {
            f"{each:g}": None if math.isnan(error) else round(error, 5) for each, error in errors.items()
        },
        "coverage_on_those": coverage(galaxies.tree, kept.scores.numpy(), (narrow.numpy(), wide.numpy()), aside.votes),
    }
    write_checkpoint(
        settings.run / CALIBRATION_FILE,
        {
            "error_bars": error_bars.state_dict(),
            "out_of_domain": strange.state_dict(),
            "smoothing": smoothing,
            "weights": sha256_of(settings.run / WEIGHTS_FILE),
        },
    )
    write_json(settings.run / CALIBRATION_RECORD, facts)
    return facts


def calibration_of(run: Path) -> dict[str, Any] | None:
    """Return the facts that `calibrate` wrote into a run's folder, but for paths; None if it was not calibrated."""
    path = run / CALIBRATION_RECORD
    if not path.exists():
        return None
    facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
    settings = {key: value for key, value in facts["settings"].items() if key not in {"run", "data"}}
    return facts | {"settings": settings}


def calibrated(run: Path, model: GalaxyClassifier) -> CalibratedClassifier | None:
    """Return a run's network, smoothed, with its error bars; None if it was not calibrated.

    Raises
    ------
    RunError
        If the error bars are those of other weights.
    """
    state = read_checkpoint(run / CALIBRATION_FILE)
    if state is None:
        return None
    if state.get("weights") != sha256_of(run / WEIGHTS_FILE):
        msg = f"{run} was calibrated with other weights; do it again: python -m training calibrate --run {run}"
        raise RunError(msg)
    bars, strange = state["error_bars"], state["out_of_domain"]
    error_bars = ErrorBars(model.classifier.scores.tree, *bars["components"].shape)
    error_bars.load_state_dict(bars)
    out_of_domain = OutOfDomain(*strange["axes"].shape)
    out_of_domain.load_state_dict(strange)
    # Runs that were calibrated before there was smoothing have none.
    classifier = smoothed(model.classifier, state.get("smoothing", 0.0))
    return CalibratedClassifier(model.view, classifier, error_bars, out_of_domain).eval()


def _best(errors: dict[float, float]) -> float:
    """Return the smoothing of the smallest error; the least where no vote is known to tell them apart."""
    return min(errors, key=lambda each: (math.isnan(errors[each]), errors[each], each))


def _fitted(galaxies: Galaxies, seen: Seen, votes: Tensor) -> ErrorBars:
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
    # What hardly differs from galaxy to galaxy is the last bits of floats, and these differ from runtime to runtime.
    smallest = max(1e-2 * float(spread[0]), 1e-6)
    error_bars.components.copy_(axes[:components].T / spread[:components].clamp(min=smallest))
    squared = torch.where(known, scores - votes.nan_to_num(), 0.0).square()
    optimizer = torch.optim.AdamW(error_bars.parameters(), lr=_RATE, weight_decay=0.01)
    steps = _EPOCHS * -(-len(features) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    error_bars.train()
    for _ in range(_EPOCHS):
        for chosen in torch.split(torch.randperm(len(features)), _BATCH):
            spread = error_bars.spread(features[chosen], scores[chosen])
            nll = spread.log() + squared[chosen] / (2 * spread.square())
            loss = nll[known[chosen]].mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return error_bars.eval()


@torch.no_grad()
def _scale(error_bars: ErrorBars, fitted: tuple[Seen, Tensor], kept: tuple[Seen, Tensor]) -> None:
    """Set the factors under which intervals hold as many votes as they promise.

    How votes scatter about scores, in units of the spread, is told question by question by the many galaxies that were
    learnt from; how much further they scatter about those of galaxies that were not, by the few that were kept. A
    question's own difference counts as far as questions differ by more than the chance of which galaxies were kept.
    """
    usual = {key: _log_widths(apart) for key, apart in _apart(error_bars, *fitted).items()}
    further = {
        key: (_log_widths(apart) - usual[key], _variance(apart))
        for key, apart in _apart(error_bars, *kept).items()
        if key in usual
    }
    for interval in range(len(INTERVALS)):
        found = {key: (more[interval].item(), of[interval].item()) for key, (more, of) in further.items()}
        common, between = _pooled(list(found.values()))
        for (question, asked), width in usual.items():
            more, variance = found.get((question, asked), (common, 1.0))
            trust = between / (between + variance)
            own = error_bars.tree.slices[question]
            factor = math.exp(width[interval].item() + trust * more + (1 - trust) * common)
            error_bars.factors[interval, asked, own] = factor


def _pooled(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean of several measurements, and the variance between what was measured: a random-effects model.

    Each has a value and the variance of its error, more than zero. The variance between them is estimated by moments,
    as DerSimonian & Laird 1986 (Controlled Clinical Trials 7, 177) do, and is zero where the values scatter no further
    than their errors would make them.
    """
    if not found:
        return 0.0, 0.0
    values, variances = np.array(found).T
    weights = 1 / variances
    scatter = weights @ np.square(values - np.average(values, weights=weights))
    spare = weights.sum() - np.square(weights).sum() / weights.sum()
    between = max(0.0, float((scatter - (len(found) - 1)) / spare)) if len(found) > 1 else 0.0
    return float(np.average(values, weights=1 / (variances + between))), between


def _axes(statistics: Tensor) -> int:
    """Return how many principal components so many galaxies bear."""
    return min(_AXES, statistics.shape[1] - 1, len(statistics) // 4)


def _usual(learnt: Tensor, kept: Tensor, false_alarms: float) -> Tensor:
    """Return the distance beyond which so small a part of galaxies lies that were not learnt from.

    Few are kept, and a hundredth of them is a handful. The many that were learnt from tell how far out the tail of the
    logarithms reaches, in units of how far most of them spread; those that were kept tell where they lie, and how far
    most spread.
    """
    middle, upper = torch.quantile(learnt.log(), torch.tensor([0.5, _MOST]))
    tail = (torch.quantile(learnt.log(), 1 - false_alarms) - middle) / (upper - middle)
    middle, upper = torch.quantile(kept.log(), torch.tensor([0.5, _MOST]))
    usual: Tensor = (middle + tail * (upper - middle)).exp()
    return usual


def _apart(error_bars: ErrorBars, seen: Seen, votes: Tensor) -> dict[tuple[str, int], Tensor]:
    """Return |vote - score| / spread by question, where it is rarely asked (0) and where it is asked (1).

    Each is [galaxies, answers], NaN where a vote is not known; of every galaxy one is.
    """
    apart = (seen.scores - votes).abs() / error_bars.spread(seen.features, seen.scores)
    asked = error_bars.weights(seen.scores) > WEIGHT
    found = {}
    for question, own in error_bars.tree.slices.items():
        for side in (0, 1):
            there = apart[:, own].where(asked[:, own] == bool(side), torch.nan)
            there = there[~there.isnan().all(dim=1)]
            if len(there):
                found[question, side] = there
    return found


def _log_widths(apart: Tensor) -> Tensor:
    """Return the logarithms of the quantiles that `INTERVALS` are to be: [intervals]."""
    parts = torch.tensor([part for part, _ in INTERVALS])
    return apart[~apart.isnan()].quantile(parts).clamp(min=_SMALL).log()


def _variance(apart: Tensor) -> Tensor:
    """Return the variance of `_log_widths` over which galaxies happen to be there: [intervals].

    By the bootstrap: the answers of a galaxy depend on each other and are not normal, so that no formula has it.
    """
    count = len(apart)
    drawn = torch.stack([_log_widths(apart[torch.randint(count, (count,))]) for _ in range(_DRAWN)])
    # A handful of galaxies says less than it shows of how much it may be off.
    return drawn.var(dim=0).clamp(min=1 / count**2)
