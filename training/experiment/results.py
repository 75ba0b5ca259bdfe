"""What is kept of a row: a small file for each, which remembers the settings that it was made with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from training.experiment.plan import NOT_DECISIVE, Experiments
from training.experiment.rows import ExperimentError
from training.runs import differences, write_safely


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fold(_Kept):
    """Figures of one fold of a cross-validation.

    Attributes
    ----------
    fold : int
        Which, from 0.
    rmse_one_view, rmse_eight_views : float
        On the galaxies that were held out.
    measured, galaxies : int
        Galaxies held out, and learnt from.
    """

    fold: int
    rmse_one_view: float
    rmse_eight_views: float
    measured: int
    galaxies: int


class Measured(_Kept):
    """Figures of a row with one seed, of an ensemble, or of an average.

    Attributes
    ----------
    seed : int or None
        None for an ensemble.
    rmse_one_view, rmse_eight_views : float
        Of the averaged weights, on galaxies that were not trained on; over all folds together for a cross-validation.
    measured : int
        So many galaxies.
    parameters, multiply_adds : int
        Multiply-adds for one image in one view. Of all networks of an ensemble, of one network of a cross-validation.
    minutes : float
        Of training, in all networks.
    images_per_second, training_rmse, galaxies, views_seen
        Of training, where there was one: views seen a second, RMSE of the last epoch's views, number of galaxies learnt
        from, number of views; means over the networks of a cross-validation.
    commit, machine
        On which it was trained, or an ensemble or an average was measured.
    data : str
        SHA-256 of the array file.
    weights : dict
        Run -> SHA-256 of its averaged weights; empty for an ensemble.
    made_from : dict
        The same of runs of other rows that taught it, that it started from, or that it is the ensemble or average of.
    folds : tuple of Fold
        Of a cross-validation.
    """

    seed: int | None
    rmse_one_view: float
    rmse_eight_views: float
    measured: int
    parameters: int
    multiply_adds: int
    minutes: float
    images_per_second: float | None
    training_rmse: float | None
    galaxies: int | None
    views_seen: int | None
    commit: str
    machine: dict[str, Any]
    data: str
    weights: dict[str, str]
    made_from: dict[str, str]
    folds: tuple[Fold, ...] = ()


class Result(_Kept):
    """What a row came to.

    Attributes
    ----------
    row : str
    settings : dict
        All that decided it, as `Experiments.decisive` has it.
    runs : tuple of Measured
        One for each seed that was performed.
    """

    row: str
    settings: dict[str, Any]
    runs: tuple[Measured, ...]

    def of(self, seed: int | None) -> Measured | None:
        """Return the figures with one seed, if there are any."""
        return next((each for each in self.runs if each.seed == seed), None)


def result_file(folder: Path, name: str) -> Path:
    """Return where the result of a row is kept."""
    return folder / f"{name}.json"


def write_result(folder: Path, result: Result) -> None:
    """Keep a result."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    write_safely(result_file(folder, result.row), lambda file: file.write(text.encode()))


def read_results(folder: Path, experiments: Experiments) -> dict[str, Result]:
    """Read the results of all rows that have one.

    Raises
    ------
    ExperimentError
        If a file holds no result.
    """
    results = {}
    for name in experiments.rows:
        path = result_file(folder, name)
        if path.exists():
            try:
                results[name] = Result.model_validate_json(path.read_bytes())
            except ValidationError as error:
                msg = f"{path} holds no result of an experiment; remove it, and perform {name} again"
                raise ExperimentError(msg) from error
    return results


def settings_changed(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Say in what the settings of a row, as `Experiments.decisive` has them, differ."""
    found = differences(saved.get("train", {}), current.get("train", {}), NOT_DECISIVE)
    others = [key for key in {**current, **saved} if key != "train" and saved.get(key) != current.get(key)]
    return found + [f"{key} was {saved.get(key)}, now {current.get(key)}" for key in others]


def changes(experiments: Experiments, results: Mapping[str, Result], name: str) -> list[str]:
    """Say what changed since a row's result was made: nothing, if it would come out the same again."""
    result = results[name]
    found = settings_changed(result.settings, experiments.decisive(name))
    for need in experiments.rows[name].needs:
        if need in results and changes(experiments, results, need):
            found.append(f"{need} changed")
    expected = {
        run.label: next(
            (each.weights[run.label] for each in _runs(results, run.row) if run.label in each.weights), None
        )
        for run in experiments.made_from(name)
    }
    if any(each.made_from != expected for each in result.runs):
        found.append("the runs that it was made from are others now")
    return found


def _runs(results: Mapping[str, Result], name: str) -> tuple[Measured, ...]:
    return results[name].runs if name in results else ()
