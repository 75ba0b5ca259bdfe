"""The command ``python -m training explore``."""

from typing import Any

import click

from galaxytree.options import options_of, settings_from
from training.arrays import ArrayFileError
from training.evaluate import ModelFileError
from training.explore.report import OutputError, explore
from training.explore.settings import ExploreSettings


@click.command("explore")
@options_of(ExploreSettings)
def explore_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Show your data, and what a model makes of them, as one HTML page.

    The page holds the votes of each question, the clearest galaxy of each answer, which answers go together, what a
    network's first layer sees, where the model is wrong, and whether its scores and error bars can be relied on. It
    needs no network and no other file.
    """
    settings = settings_from(ExploreSettings, given)
    try:
        written = explore(settings)
    except (ArrayFileError, ModelFileError, OutputError) as error:
        raise click.UsageError(str(error)) from error
    for note in written.notes:
        click.echo(note, err=True)
    click.echo(f"{written.galaxies} galaxies, of which the model scored {written.scored}")
    click.echo(f"{written.path}: {written.size / 1e6:.1f} MB")
