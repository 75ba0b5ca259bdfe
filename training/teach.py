"""Scores of trained networks where the volunteers' votes are not known: what a student learns from.

References
----------
Xie et al. 2020, CVPR, "Self-training with Noisy Student improves ImageNet classification".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from tqdm import tqdm

from galaxytree.card import sha256_of
from galaxytree.options import Options
from galaxytree.views import MOST_VIEWS, VIEWS
from training.arrays import Galaxies
from training.bounds import agree
from training.curriculum import fold_of
from training.lessons import Taught, write_targets
from training.predict import BATCH, predict
from training.processes import joined
from training.runs import WEIGHTS_FILE, RunError
from training.settings import DATA_FILE
from training.trained import hold_to_data, trained

TARGETS_FILE = Path("data/targets.h5")


class TeachSettings(Options):
    """What `teach` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_TEACH_"

    data: Annotated[Path, Field(description="Array file made by `prepare`")] = DATA_FILE
    output: Annotated[Path, Field(description="File of scores to write")] = TARGETS_FILE
    one_view: Annotated[bool, Field(description="Look at each galaxy once, not in eight orientations")] = False
    agreeing: Annotated[bool, Field(description="Move scores to where what is known allows them")] = True
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where to score")] = "auto"


def teach(runs: Sequence[Path], galaxies: Galaxies, settings: TeachSettings) -> dict[str, Any]:
    """Score all galaxies that may be learnt from and of which a vote is not known; the mean over networks and views.

    Returns
    -------
    dict
        ``galaxies``: how many were scored; ``moved``: by how much what is known moved the scores, as an RMSE.

    Raises
    ------
    RunError
        If a run is missing, not finished, or was trained on other data, if runs did not hold out the same galaxies, or
        if the file can't be written.
    """
    with joined(settings.device) as process:
        if process.world > 1:
            msg = "teach is for one process"
            raise RunError(msg)
        teachers, folds = [], set()
        for run in runs:
            model, record = trained(run, galaxies.tree)
            hold_to_data(run, record, galaxies, settings.data)
            folds.add(fold_of(record["settings"]))
            teachers.append(model.to(process.device).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        if len(folds) != 1:
            msg = "the runs did not hold out the same galaxies; each would teach what another must not know"
            raise RunError(msg)
        taught = Taught(galaxies.sha256, folds.pop(), tuple(sha256_of(run / WEIGHTS_FILE) for run in runs))
        try:
            settings.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{settings.output} can't be written: {error.strerror}"
            raise RunError(msg) from error
        if settings.output.is_dir():
            msg = f"{settings.output} is a folder; name a file"
            raise RunError(msg)
        pupils = galaxies.where(galaxies.learning & np.isnan(galaxies.votes).any(axis=1))
        views = min(VIEWS) if settings.one_view else MOST_VIEWS
        parts = [np.empty((0, len(galaxies.tree.columns)), np.float32)]
        for first in tqdm(range(0, len(pupils), BATCH), unit="batch"):
            images = pupils.images[first : first + BATCH]
            parts.append(np.mean([predict(model, images, process.device, views) for model in teachers], axis=0))
        said = np.concatenate(parts)
    scores = agree(galaxies.tree, said, pupils.lower, pupils.upper) if settings.agreeing else said
    write_targets(settings.output, pupils, scores, taught)
    moved = float(np.sqrt(np.square(scores.astype(np.float64) - said).mean())) if len(pupils) else 0.0
    return {"galaxies": len(pupils), "moved": moved}
