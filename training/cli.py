"""``python -m training``: data to model."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import click
from pydantic import Field

from galaxytree.card import ModelCard
from galaxytree.decision_tree import UnknownTreeError
from galaxytree.options import Options, options_of, settings_from
from training.arrays import ArrayFileError, Galaxies, read_galaxies
from training.evaluate import SHIPPED, ModelFileError, evaluate, plot
from training.export import ExportError, ExportSettings, export
from training.prepare import NothingToPrepareError, PrepareSettings, Report, prepare
from training.processes import own_rank
from training.runs import RunError
from training.settings import DATA_FILE, TrainSettings
from training.train import train

DATA_FOLDER = Path("../shared/galaxy-zoo")
"""Where images and votes are looked for if nothing else is said; they are never a part of the project."""


class EvaluateSettings(Options):
    """What `evaluate` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_EVALUATE_"

    data: Annotated[Path, Field(description="Array file made by `prepare`; its validation split is measured")] = (
        DATA_FILE
    )
    plot: Annotated[
        Path | None, Field(description="Picture of predicted against true scores to draw (PNG or SVG by its ending)")
    ] = None
    format: Annotated[Literal["text", "json"], Field(description="How to print the figures")] = "text"


@click.group(context_settings={"max_content_width": 120})
def main() -> None:
    """Make a model from votes: prepare, train, evaluate, export."""


@main.command("prepare")
@click.argument("sources", nargs=-1, type=click.Path(exists=True, path_type=Path), envvar="GALAXYTREE_PREPARE_SOURCES")
@options_of(PrepareSettings)
def prepare_command(sources: tuple[Path, ...], **given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Turn pictures and tables of votes into one array file.

    SOURCES are folders, zip or tar files of JPEGs, and CSV files (plain, gzipped or zipped): what Kaggle serves for its
    Galaxy Challenge, or Galaxy Zoo 2's own release (gz2_hart16.csv, gz2_filename_mapping.csv and the images). Given
    a folder, all that lies in it is used. Without SOURCES, ../shared/galaxy-zoo is read if it is there.
    """
    settings = settings_from(PrepareSettings, given)
    with _explaining():
        report = prepare(_sources(sources), settings)
    _print(report)
    click.echo(f"{settings.output}: {settings.output.stat().st_size / 1e6:.0f} MB")
    click.echo(f"All that was left out is listed in {settings.report_file}.")


@main.command("train")
@options_of(TrainSettings)
def train_command(**given: Any) -> None:  # noqa: ANN401
    """Train a network, or take up the run that lies in --run where it was left.

    On several GPUs: torchrun --nproc-per-node=4 -m -- training train. Without the two dashes torchrun takes --run for
    an option of its own.
    """
    settings = settings_from(TrainSettings, given)
    with _explaining():
        try:
            record = train(settings)
        except KeyboardInterrupt:
            click.echo(f"Stopped. The same command goes on from the last checkpoint in {settings.run}.", err=True)
            sys.exit(128 + signal.SIGINT)
    if own_rank() == 0:
        for name, value in record["epochs"][-1].items():
            click.echo(f"{name}: {value:.5g}")


@main.command("evaluate")
@click.argument("model", required=False, type=click.Path(path_type=Path), envvar="GALAXYTREE_EVALUATE_MODEL")
@options_of(EvaluateSettings)
def evaluate_command(model: Path | None, **given: Any) -> None:  # noqa: ANN401
    """Measure a model's ONNX file on the validation split.

    MODEL is the folder of model.onnx and card.json; the shipped model if none is named.
    """
    settings = settings_from(EvaluateSettings, given)
    with _explaining():
        folder = model or SHIPPED
        galaxies = _galaxies(settings.data)
        unseen = galaxies.where(galaxies.validation)
        evaluation, scores = evaluate(folder, unseen)
        if settings.plot:
            plot(unseen.tree, scores, unseen.votes, settings.plot)
    if settings.format == "json":
        click.echo(evaluation.json())
    else:
        card = ModelCard.read(folder)
        click.echo("\n".join([f"{card.name} {card.version}", *evaluation.lines(unseen.tree)]))


@main.command("export")
@options_of(ExportSettings)
def export_command(**given: Any) -> None:  # noqa: ANN401
    """Write a finished run as one ONNX file, check it against the network, and write its card."""
    settings = settings_from(ExportSettings, given)
    with _explaining():
        card = export(settings, _galaxies(settings.data))
    click.echo(f"{card.name} {card.version}: RMSE {card.metrics.get('rmse')}, sha256 {card.sha256}")


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn errors that say what to do into a sentence and exit status 2."""
    try:
        yield
    except (ArrayFileError, ExportError, ModelFileError, NothingToPrepareError, RunError, UnknownTreeError) as error:
        raise click.UsageError(str(error)) from error


def _sources(named: tuple[Path, ...]) -> tuple[Path, ...]:
    if not named and not DATA_FOLDER.is_dir():
        msg = f"name the folders and files to read; there is no {DATA_FOLDER}"
        raise click.UsageError(msg)
    if not named:
        click.echo(f"reading {DATA_FOLDER}", err=True)
    return named or (DATA_FOLDER,)


def _galaxies(data: Path) -> Galaxies:
    """Open the array file; the usual one is made first if it is not there but what it is made from is."""
    if data == DATA_FILE and not data.exists() and DATA_FOLDER.is_dir():
        click.echo(f"{data} is not there yet; making it from {DATA_FOLDER}", err=True)
        _print(prepare([DATA_FOLDER], PrepareSettings()))
    return read_galaxies(data)


def _print(report: Report) -> None:
    for what, count in report.counts.most_common():
        click.echo(f"{count:8d}  {what}", err=True)
