"""``python -m training experiment``."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import click
from pydantic import Field

from galaxytree.decision_tree import UnknownTreeError
from galaxytree.options import Options, options_of, settings_from
from training.arrays import ArrayFileError, read_galaxies
from training.experiment.perform import Bench
from training.experiment.plan import Experiments, read_experiments
from training.experiment.results import Measured, Result, changes, read_results
from training.experiment.rows import ExperimentError
from training.experiment.table import write_table
from training.lessons import TargetsError
from training.population import BalanceError
from training.runs import RunError
from training.settings import DATA_FILE
from training.votes import WrongHeaderError

_EXPLAINED = (
    ArrayFileError,
    BalanceError,
    ExperimentError,
    FileNotFoundError,
    RunError,
    TargetsError,
    UnknownTreeError,
    WrongHeaderError,
)


class ExperimentSettings(Options):
    """What `experiment` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_EXPERIMENT_"

    data: Annotated[Path, Field(description="Array file made by `prepare`")] = DATA_FILE
    runs: Annotated[Path, Field(description="Folder of the rows' runs")] = Path("runs/experiments")
    file: Annotated[Path, Field(description="File that says what each row is")] = Path("experiments/experiments.toml")
    results: Annotated[Path, Field(description="Folder of what the rows came to")] = Path("experiments/results")
    table: Annotated[Path, Field(description="Page that holds the table, which is written anew after each run")] = Path(
        "docs/experiments.md"
    )
    threads: Annotated[int, Field(ge=0, description="CPU threads; 0 leaves it to PyTorch")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where to train and to measure")] = "auto"
    seed: Annotated[int | None, Field(ge=0, description="Train with this one of a row's seeds only")] = None
    group: Annotated[str | None, Field(description="Perform all rows of this group")] = None
    list: Annotated[bool, Field(description="Only list the rows, and how far they are")] = False
    stale: Annotated[bool, Field(description="Only list the rows whose settings changed since they were performed")] = (
        False
    )
    write_table: Annotated[bool, Field(description="Only write the table anew")] = False


@click.command("experiment")
@click.argument("rows", nargs=-1)
@options_of(ExperimentSettings)
def experiment_command(rows: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Perform experiments: train and measure ROWS of the table in docs/experiments.md.

    What a row needs, as teachers or members of an ensemble, is performed first. What is finished already is not trained
    again, and what was interrupted goes on.
    """
    settings = settings_from(ExperimentSettings, given)
    try:
        experiments = read_experiments(settings.file)
        results = read_results(settings.results, experiments)
        if settings.list or settings.stale:
            _list(experiments, results, only_stale=settings.stale)
            return
        named = [] if settings.write_table else _named(experiments, rows, settings)
        # Before the first hours of training: a page without a place for the table is told now.
        write_table(settings.table, experiments, results)
        if named:
            # Likewise; no row could be performed.
            read_galaxies(settings.data)
            _perform(experiments, named, settings)
    except _EXPLAINED as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on from the last checkpoint.", err=True)
        sys.exit(128 + signal.SIGINT)


def _named(experiments: Experiments, rows: tuple[str, ...], settings: ExperimentSettings) -> list[str]:
    """Return the rows that are asked for.

    Raises
    ------
    ExperimentError
        If there are none.
    """
    if absent := [name for name in rows if name not in experiments.rows]:
        msg = f"there is no row {', '.join(absent)} in {settings.file}; --list shows those that there are"
        raise ExperimentError(msg)
    if settings.group is not None and settings.group not in experiments.groups:
        msg = f"there is no group {settings.group} in {settings.file}, but {', '.join(experiments.groups)}"
        raise ExperimentError(msg)
    named = [name for name, row in experiments.rows.items() if name in rows or row.group == settings.group]
    if not named:
        msg = "name the rows to perform, or a --group of them; --list shows those that there are"
        raise ExperimentError(msg)
    # An ensemble has no seed of its own, and its members would have to be trained with all of theirs.
    seeds = {name: () if (row := experiments.rows[name]).ensemble else row.seeds for name in named}
    fit = [name for name in named if settings.seed is None or settings.seed in seeds[name]]
    if not fit:
        msg = f"no row that is asked for has the seed {settings.seed}"
        raise ExperimentError(msg)
    return fit


def _perform(experiments: Experiments, named: list[str], settings: ExperimentSettings) -> None:
    """Perform rows and what they need; one that can't be performed keeps none from it that does not need it.

    Raises
    ------
    ExperimentError
        At the end, if there was such a one.
    """
    bench = Bench(experiments, settings.data, settings.runs, settings.results, settings.threads, settings.device)
    failed: dict[str, str] = {}
    for name in experiments.order(named):
        if missing := [each for each in experiments.rows[name].needs if each in failed]:
            failed[name] = f"needs {', '.join(missing)}"
            continue
        # What others need is performed with all of its seeds.
        only = None if settings.seed is None or _needed(experiments, named, name) else [settings.seed]
        try:
            for measured in bench.perform(name, only):
                write_table(settings.table, experiments, read_results(settings.results, experiments))
                _say(name, measured)
        except _EXPLAINED as error:
            failed[name] = str(error)
            click.echo(f"{name}: {error}", err=True)
    if failed:
        raise ExperimentError("; ".join(f"{name}: {why}" for name, why in failed.items()))


def _say(name: str, measured: Measured) -> None:
    seed = "" if measured.seed is None else f", seed {measured.seed}"
    click.echo(f"{name}{seed}: RMSE {measured.rmse_one_view:.4f} in one view, {measured.rmse_eight_views:.4f} in eight")


def _needed(experiments: Experiments, named: list[str], name: str) -> bool:
    return any(name in experiments.rows[each].needs for each in experiments.order(named))


def _list(experiments: Experiments, results: dict[str, Result], *, only_stale: bool) -> None:
    for name, row in experiments.rows.items():
        changed = changes(experiments, results, name) if name in results else []
        if changed:
            click.echo(f"{name}: {'; '.join(changed)}")
        elif not only_stale:
            wanted = 1 if row.ensemble else len(row.seeds)
            done = len(results[name].runs) if name in results else 0
            click.echo(f"{name}: {'done' if done >= wanted else f'{done} of {wanted} runs'}")
