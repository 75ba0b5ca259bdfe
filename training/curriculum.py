"""Whom a run learns from, what they teach, whom it is measured on, and what of earlier runs goes into it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.card import sha256_of
from training.arrays import Galaxies
from training.lessons import Lessons, lessons_of, read_targets
from training.population import balance, read_population
from training.report import UNREADABLE
from training.runs import WEIGHTS_FILE, RunError, read_record
from training.settings import TrainSettings
from training.splits import in_fold
from training.trained import trained
from training.votes import WrongHeaderError


@dataclass(frozen=True)
class Curriculum:
    """What a run is made from.

    Attributes
    ----------
    learning, unseen : Galaxies
        Whom to learn from, and whom to measure on.
    lessons : Lessons
        What the first ones teach.
    origin : str
        What the weights were before any galaxy: ImageNet's, or random.
    made_from : dict
        SHA-256 of each file beside the data that goes into the run, by its setting; and the ``teachers``' weights.
    """

    learning: Galaxies
    unseen: Galaxies
    lessons: Lessons
    origin: str
    made_from: dict[str, Any]


def curriculum(galaxies: Galaxies, settings: TrainSettings) -> Curriculum:
    """Put together what a run is made from.

    Raises
    ------
    RunError, TargetsError, BalanceError
        If a file that is named can't be used, or would let the run see what it is to be measured on.
    """
    unseen = in_fold(galaxies, settings.folds, settings.fold) if settings.folds else galaxies.validation
    teaches = galaxies.labelled if settings.bounds else ~np.isnan(galaxies.votes).all(axis=1)
    made_from: dict[str, Any] = {}
    targets = None
    if settings.targets:
        targets, teachers = read_targets(settings.targets, galaxies, fold_of(settings.model_dump()))
        made_from |= {"targets": sha256_of(settings.targets), "teachers": list(teachers)}
        teaches |= ~np.isnan(targets).all(axis=1)
    taken = galaxies.learning & ~unseen & teaches
    learning = galaxies.where(taken)
    weights = None
    if settings.population:
        weights = _weights(learning, settings.population)
        made_from["population"] = sha256_of(settings.population)
    origin = _origin(settings.model_dump())
    if settings.initial:
        # That there is such a run is told before that it has no weights.
        earlier = read_record(settings.initial)
        origin = earlier.get("origin", _origin(earlier["settings"]))
        made_from["initial"] = sha256_of(settings.initial / WEIGHTS_FILE)
    lessons = lessons_of(learning, None if targets is None else targets[taken], settings.targets_weight, weights)
    return Curriculum(learning, galaxies.where(unseen), lessons, origin, made_from)


def _origin(settings: dict[str, Any]) -> str:
    return "ImageNet (TensorFlow's EfficientNet-Lite)" if settings["imagenet"] else "random"


def begun(run: Path, galaxies: Galaxies, settings: TrainSettings) -> dict[str, Any]:
    """Return the averaged weights of a finished run of the same network on the same galaxies.

    Raises
    ------
    RunError
        If there are none, or if the run may have seen what is to be measured or calibrated on.
    """
    model, record = trained(run, galaxies.tree)
    earlier = record["settings"]
    if (earlier["network"], earlier.get("output", "softmax-tree")) != (settings.network, settings.output):
        msg = f"{run} is a run of another network or output"
        raise RunError(msg)
    if record["data"]["sha256"] != galaxies.sha256:
        msg = f"{run} was trained on other data, and may have seen what {settings.data} sets aside"
        raise RunError(msg)
    if fold_of(earlier) != fold_of(settings.model_dump()):
        msg = f"{run} did not hold out the same galaxies"
        raise RunError(msg)
    return model.classifier.state_dict()


def fold_of(settings: dict[str, Any]) -> tuple[int, int] | None:
    """Return which fold a run of these settings holds out, of how many; None if it holds out the validation split."""
    folds = settings.get("folds", 0)
    return (folds, settings["fold"]) if folds else None


def _weights(learning: Galaxies, table: Path) -> NDArray[np.float64]:
    """Return how much each galaxy counts: those with all votes so that they have the means of the population."""
    try:
        means = read_population(table, learning.tree)
    except (*UNREADABLE, WrongHeaderError) as error:
        msg = f"{table} gives no means of a population: {error}"
        raise RunError(msg) from error
    complete = ~np.isnan(learning.votes).any(axis=1)
    weights = np.ones(len(learning))
    weights[complete] = balance(learning.votes[complete], means)
    return weights
