"""What a row says, done: teachers teach, runs are trained, what they came to is measured and kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from galaxytree.card import sha256_of
from training.arrays import Galaxies, read_galaxies
from training.average import average
from training.experiment.measure import Scored, joined_of, mean_of, score
from training.experiment.plan import NOT_DECISIVE, Experiments
from training.experiment.results import (
    Fold,
    Measured,
    Result,
    read_results,
    settings_changed,
    write_result,
)
from training.experiment.rows import ExperimentError, Run
from training.processes import joined
from training.runs import (
    RECORD_FILE,
    WEIGHTS_FILE,
    differences,
    git_commit,
    machine,
    members_of,
    read_record,
    write_safely,
)
from training.settings import TrainSettings
from training.teach import teach
from training.train import train

_MADE_FROM_FILE = "made_from.json"

# What a run is made from is told by the weights that `made_from.json` names, not by where it lies.
_TOLD_OTHERWISE = NOT_DECISIVE | {"initial", "targets"}


@dataclass(frozen=True)
class Bench:
    """Where rows are performed.

    Attributes
    ----------
    experiments : Experiments
    data : Path
        Array file.
    runs, results : Path
        Folders of all runs, and of what is kept of them.
    threads : int
        CPU threads; 0 leaves it to PyTorch.
    device
        Where to train and to measure.
    """

    experiments: Experiments
    data: Path
    runs: Path
    results: Path
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @cached_property
    def galaxies(self) -> Galaxies:
        """All of the array file."""
        return read_galaxies(self.data)

    def perform(self, name: str, seeds: Sequence[int] | None = None) -> Iterator[Measured]:
        """Perform a row whose needs are performed, and keep its result; yield the figures of each seed as they come.

        Nothing that is there already is trained or measured again.

        Parameters
        ----------
        name : str
            Of the row.
        seeds : sequence of int, optional
            Those to train with; by default, all of the row. An ensemble has none.

        Raises
        ------
        ExperimentError, RunError, TargetsError, ArrayFileError
            If there are runs of other settings where these belong, or training can't start.
        """
        torch.set_num_threads(self.threads or torch.get_num_threads())
        row = self.experiments.rows[name]
        made_from = {run.label: sha256_of(self._weights(run)) for run in self.experiments.made_from(name)}
        if made_from and row.trains:
            self._prepare(name, made_from)
        for seed in (None,) if row.ensemble else seeds or row.seeds:
            runs = self.experiments.runs(name) if seed is None else self._runs(name, seed)
            for run in () if seed is None else runs:
                if row.average:
                    self._average(run, list(made_from.values()))
                else:
                    self._train(run)
            weights = {} if seed is None else {run.label: sha256_of(self._weights(run)) for run in runs}
            kept = self._kept(name).of(seed)
            if kept is None or (kept.weights, kept.made_from) != (weights, made_from):
                kept = self._measured(name, runs, seed, weights, made_from)
                self._keep(name, kept)
            yield kept

    def _runs(self, name: str, seed: int) -> tuple[Run, ...]:
        return tuple(run for run in self.experiments.runs(name) if run.seed == seed)

    def _weights(self, run: Run) -> Path:
        return self.runs / run.label / WEIGHTS_FILE

    def _prepare(self, name: str, made_from: dict[str, str]) -> None:
        """Write down whose weights a row is made from, and let its teachers teach."""
        folder = self.runs / name
        settings = self.experiments.teaching(name, self.runs, self.data, self.device)
        facts = {
            "weights": made_from,
            "teach": settings.model_dump(mode="json", exclude={"data", "output", "device"}),
            "data": self.galaxies.sha256,
        }
        note, teachers = folder / _MADE_FROM_FILE, self.experiments.rows[name].teachers
        same = note.exists() and json.loads(note.read_bytes()) == facts
        if same and (not teachers or settings.output.exists()):
            return
        if not same and any(folder.glob(f"seed-*/{RECORD_FILE}")):
            msg = f"{folder} holds runs that were made from others than there are now; remove it to make them again"
            raise ExperimentError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever is killed while writing the scores must not find them noted as whole.
        note.unlink(missing_ok=True)
        if teachers:
            runs = [run for run in self.experiments.made_from(name) if run in self._taught_by(name)]
            teach([self.runs / run.label for run in runs], self.galaxies, settings)
        write_safely(note, lambda file: file.write(json.dumps(facts, indent=2).encode()))

    def _taught_by(self, name: str) -> set[Run]:
        return {run for teacher in self.experiments.rows[name].teachers for run in self.experiments.runs(teacher)}

    def _train(self, run: Run) -> None:
        """Train one run, or go on with it; one that is finished stays as it is."""
        settings = self.experiments.settings(run, self.runs, data=self.data, threads=self.threads, device=self.device)
        if not (settings.run / RECORD_FILE).exists():
            train(settings)
            return
        record = read_record(settings.run)
        if changed := differences(record["settings"], settings.model_dump(mode="json"), _TOLD_OTHERWISE):
            msg = f"{settings.run} was trained with other settings ({', '.join(changed)}); remove it to train it again"
            raise ExperimentError(msg)
        if record["data"]["sha256"] != self.galaxies.sha256:
            msg = (
                f"{settings.run} was trained on other data than {self.data}; name those with --data, or another --runs"
            )
            raise ExperimentError(msg)
        if record["finished"] is not True or not self._weights(run).exists():
            train(settings)

    def _average(self, run: Run, weights: list[str]) -> None:
        """Average the weights of a row's members, unless that is done."""
        folder = self.runs / run.label
        made = read_record(folder) if (folder / RECORD_FILE).exists() else None
        if made is not None and "averaged" not in made:
            msg = f"{folder} holds a run that was trained; remove it to put an average in its place"
            raise ExperimentError(msg)
        if made is None or made["made_from"] != {"average": weights} or not self._weights(run).exists():
            members = [self.runs / each.label for each in self.experiments.made_from(run.row)]
            average(members, folder, self.galaxies, self.data)

    def _kept(self, name: str) -> Result:
        """Return what is kept of a row, or nothing if it was made with other settings."""
        settings = self.experiments.decisive(name)
        kept = read_results(self.results, self.experiments).get(name)
        if kept is None or settings_changed(kept.settings, settings):
            return Result(row=name, settings=settings, runs=())
        return kept

    def _keep(self, name: str, measured: Measured) -> None:
        row, kept = self.experiments.rows[name], self._kept(name)
        order: tuple[int | None, ...] = (None,) if row.ensemble else row.seeds
        found = {each.seed: each for each in (*kept.runs, measured)}
        runs = tuple(found[seed] for seed in order if seed in found)
        write_result(self.results, Result(row=name, settings=self.experiments.decisive(name), runs=runs))

    def _measured(
        self, name: str, runs: tuple[Run, ...], seed: int | None, weights: dict[str, str], made_from: dict[str, str]
    ) -> Measured:
        with joined(self.device) as process:
            scored = [score(self.runs / run.label, self.galaxies, process.device) for run in runs]
        averaged = bool(self.experiments.rows[name].average)
        records = [read_record(self.runs / run.label) for run in runs]
        seconds = sum(_seconds(record) for record in records)
        whole = scored[0] if len(runs) == 1 else mean_of(scored) if seed is None else joined_of(scored)
        figures: dict[str, Any] = {
            "seed": seed,
            "rmse_one_view": whole.rmse_one_view,
            "rmse_eight_views": whole.rmse_eight_views,
            "measured": len(whole.votes),
            "parameters": whole.parameters,
            "multiply_adds": whole.multiply_adds,
            "minutes": round(seconds / 60, 2),
            "data": self.galaxies.sha256,
            "weights": weights,
            "made_from": made_from,
        }
        if seed is None or averaged:
            of_training = dict.fromkeys(("images_per_second", "training_rmse", "galaxies", "views_seen"))
            return Measured(**figures, **of_training, commit=git_commit(), machine=machine())
        views = [_views_seen(record) for record in records]
        folds = tuple(
            _fold(run.fold, part, record)
            for run, part, record in zip(runs, scored, records, strict=True)
            if run.fold is not None
        )
        return Measured(
            **figures,
            images_per_second=round(sum(views) / seconds, 1),
            training_rmse=round(_mean([record["epochs"][-1]["training_rmse"] for record in records]), 6),
            galaxies=round(_mean([record["data"]["training"] for record in records])),
            views_seen=round(_mean(views)),
            commit=records[0]["commit"],
            machine=records[0]["machine"],
            folds=folds,
        )


def _fold(fold: int, part: Scored, record: dict[str, Any]) -> Fold:
    return Fold(
        fold=fold,
        rmse_one_view=part.rmse_one_view,
        rmse_eight_views=part.rmse_eight_views,
        measured=len(part.votes),
        galaxies=record["data"]["training"],
    )


def _seconds(record: dict[str, Any]) -> float:
    """Return how long a run was trained, or all of those that it is the mean of."""
    return float(sum(each["epochs"][-1]["seconds"] for each in members_of(record)))


def _views_seen(record: dict[str, Any]) -> int:
    """Return how many views a finished run was trained on."""
    settings = TrainSettings.model_validate(record["settings"])
    return settings.steps(record["data"]["training"]) * settings.batch_size


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
