"""``python -m training``: data to model."""

from pathlib import Path
from typing import Any

import click

from galaxytree.options import options_of, settings_from
from training.arrays import ArrayFileError
from training.prepare import NothingToPrepareError, PrepareSettings, prepare
from training.runs import RunError
from training.settings import TrainSettings
from training.train import train

DATA_FOLDER = Path("../shared/galaxy-zoo")
"""Where images and votes are looked for if nothing else is said; they are never a part of the project."""


@click.group(context_settings={"max_content_width": 120})
def main() -> None:
    """Make a model from votes: prepare, train, evaluate, export."""


@main.command("prepare")
@click.argument("sources", nargs=-1, type=click.Path(exists=True, path_type=Path), envvar="GALAXYTREE_PREPARE_SOURCES")
@options_of(PrepareSettings)
def prepare_command(sources: tuple[Path, ...], **given: Any) -> None:  # noqa: ANN401
    """Turn pictures and tables of votes into one array file.

    SOURCES are folders, zip or tar files of JPEGs, and CSV files (plain, gzipped or zipped): what Kaggle serves for its
    Galaxy Challenge, or Galaxy Zoo 2's own release (gz2_hart16.csv, gz2_filename_mapping.csv and the images). Given
    a folder, all that lies in it is used.
    """
    try:
        report = prepare(sources or (DATA_FOLDER,), settings_from(PrepareSettings, given))
    except NothingToPrepareError as error:
        raise click.UsageError(str(error)) from error
    for what, count in report.counts.most_common():
        click.echo(f"{count:8d}  {what}")


@main.command("train")
@options_of(TrainSettings)
def train_command(**given: Any) -> None:  # noqa: ANN401
    """Train a network, or take up the run that lies in --run where it was left."""
    try:
        record = train(settings_from(TrainSettings, given))
    except (RunError, ArrayFileError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"trained; validation RMSE {record['epochs'][-1].get('validation_rmse', float('nan')):.4f}")
