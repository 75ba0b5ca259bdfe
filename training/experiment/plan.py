"""All experiments together: one settings file, in which rows name others that they are made from."""

import graphlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from training.experiment.rows import ExperimentError, Group, Name, Row, Run, Written
from training.settings import TrainSettings
from training.teach import TeachSettings

TARGETS_FILE = "targets.h5"

NOT_DECISIVE = {"run", "data", "threads", "device", "seed", "checkpoint_steps", "validate_epochs"}
"""Settings of a run that do not decide what a row's result is."""

_TEACHING_FROM_THE_COMMAND = {"data", "output", "device"}


class Experiments(Written):
    """All groups and rows.

    Attributes
    ----------
    groups, rows
        By name, in the order of the file.
    """

    groups: dict[Name, Group]
    rows: dict[Name, Row]

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        for name, row in self.rows.items():
            if row.group not in self.groups:
                msg = f"rows.{name}: there is no group {row.group}"
                raise ValueError(msg)
            if absent := [each for each in row.needs if each not in self.rows]:
                msg = f"rows.{name}: there is no row {', '.join(absent)}"
                raise ValueError(msg)
        self.order(self.rows)
        for name in self.order(self.rows):
            self._check(name)
        return self

    def _check(self, name: str) -> None:
        """Hold a row's settings against what they are for; ValueError if one does not fit."""
        row = self.rows[name]
        try:
            if row.trains:
                folds = self.settings(Run(name, row.seeds[0]), Path()).folds
                if row.cross_validate and folds < 2:
                    msg = f"rows.{name}: a cross-validation wants train.folds of 2 or more"
                    raise ValueError(msg)
            self.teaching(name, Path(), Path())
        except ValidationError as error:
            raise ValueError(complaints(error, f"rows.{name}: ")) from error
        if row.average and (wrong := [each for each in row.average if self.rows[each].ensemble]):
            msg = f"rows.{name}: {', '.join(wrong)} is an ensemble, which has no weights of its own"
            raise ValueError(msg)
        if row.average and len(self.made_from(name)) < 2:
            msg = f"rows.{name}: an average is of two runs or more"
            raise ValueError(msg)
        for each in row.needs:
            if self.rows[each].cross_validate:
                msg = f"rows.{name}: {each} is a cross-validation, which no other row can be made from"
                raise ValueError(msg)
        if len({self.held_out(each) for each in (name, *row.needs)}) > 1:
            msg = f"rows.{name}: what it is made from holds out other galaxies (train.folds and train.fold)"
            raise ValueError(msg)

    def order(self, names: Iterable[str]) -> list[str]:
        """Return these rows and all that they need, in an order in which they can be performed.

        Raises
        ------
        ValueError
            If rows need each other in a circle.
        """
        needed: dict[str, tuple[str, ...]] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed[name] = self.rows[name].needs
                waiting += needed[name]
        # In the order of the file as far as they do not need each other.
        graph = {name: needed[name] for name in self.rows if name in needed}
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            msg = f"rows need each other in a circle: {' <- '.join(error.args[1])}"
            raise ValueError(msg) from error

    def runs(self, name: str) -> tuple[Run, ...]:
        """Return the runs of a row; of an ensemble, those of its members."""
        row = self.rows[name]
        if row.ensemble:
            return tuple(dict.fromkeys(run for member in row.ensemble for run in self.runs(member)))
        if row.average:
            return (Run(name, row.seeds[0]),)
        folds = range(self.settings(Run(name, row.seeds[0]), Path()).folds) if row.cross_validate else (None,)
        return tuple(Run(name, seed, fold) for seed in row.seeds for fold in folds)

    def made_from(self, name: str) -> tuple[Run, ...]:
        """Return the runs of other rows that a row is made from."""
        row = self.rows[name]
        first = () if row.initial is None else self.runs(row.initial)[:1]
        others = (*row.teachers, *row.ensemble, *row.average)
        return tuple(dict.fromkeys((*first, *(run for each in others for run in self.runs(each)))))

    def held_out(self, name: str) -> tuple[int, int]:
        """Return the number of folds and which of them a row is measured on; (0, 0) for the validation split."""
        row = self.rows[name]
        if members := row.ensemble or row.average:
            return self.held_out(members[0])
        settings = self.settings(Run(name, row.seeds[0]), Path())
        return (settings.folds, settings.fold) if settings.folds else (0, 0)

    def settings(self, run: Run, folder: Path, **place: Any) -> TrainSettings:  # noqa: ANN401  (values of settings)
        """Return what one run is trained with.

        Parameters
        ----------
        run : Run
        folder : Path
            Of all runs.
        place
            What the command decides: data, threads and device.
        """
        row = self.rows[run.row]
        values = self.groups[row.group].train | row.train | place | {"run": folder / run.label, "seed": run.seed}
        if run.fold is not None:
            values["fold"] = run.fold
        if row.teachers:
            values["targets"] = folder / run.row / TARGETS_FILE
        if row.initial is not None:
            values["initial"] = folder / self.runs(row.initial)[0].label
        return TrainSettings(**values)

    def teaching(
        self, name: str, folder: Path, data: Path, device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> TeachSettings:
        """Return how a row's teachers teach; ValidationError if the file sets what there is not, or a path."""
        values = {
            f"teach.{key}" if key in _TEACHING_FROM_THE_COMMAND else key: each
            for key, each in self.rows[name].teach.items()
        }
        return TeachSettings(**{"data": data, "output": folder / name / TARGETS_FILE, "device": device, **values})

    def decisive(self, name: str) -> dict[str, Any]:
        """Return all that decides a row's result, ready for JSON, but for the runs that it is made from."""
        row = self.rows[name]
        if row.ensemble:
            return {"ensemble": list(row.ensemble)}
        if row.average:
            return {"average": list(row.average)}
        left_out = NOT_DECISIVE | ({"fold"} if row.cross_validate else set())
        left_out |= ({"targets"} if row.teachers else set()) | ({"initial"} if row.initial is not None else set())
        values = self.settings(Run(name, row.seeds[0]), Path()).model_dump(mode="json")
        facts: dict[str, Any] = {"train": {key: each for key, each in values.items() if key not in left_out}}
        if row.teachers:
            teach = self.teaching(name, Path(), Path()).model_dump(mode="json", exclude=_TEACHING_FROM_THE_COMMAND)
            facts |= {"teachers": list(row.teachers), "teach": teach}
        if row.initial is not None:
            facts["initial"] = row.initial
        if row.cross_validate:
            facts["cross_validate"] = True
        return facts


def read_experiments(path: Path) -> Experiments:
    """Read the settings file.

    Raises
    ------
    ExperimentError
        If it is missing, or anything in it does not fit.
    """
    try:
        with path.open("rb") as file:
            return Experiments.model_validate(tomllib.load(file))
    except OSError as error:
        msg = f"there is no file of experiments {path}; name it with --file"
        raise ExperimentError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}"
        raise ExperimentError(msg) from error
    except ValidationError as error:
        raise ExperimentError(complaints(error, f"{path}: ")) from error


def complaints(error: ValidationError, before: str) -> str:
    """Put what pydantic found wrong into one sentence."""
    found = []
    for each in error.errors():
        place = ".".join(str(part) for part in each["loc"])
        found.append(f"{place}: {each['msg']}" if place else each["msg"])
    return before + "; ".join(each.replace("Value error, ", "") for each in found)
