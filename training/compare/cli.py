"""``python -m training compare``."""

import signal
import sys
from typing import Any

import click

from galaxytree.decision_tree import UnknownTreeError
from galaxytree.options import options_of, settings_from
from training.arrays import ArrayFileError
from training.compare.compare import compare
from training.compare.page import place_of, see_writable, write_table
from training.compare.results import CompareError
from training.compare.settings import CompareSettings
from training.compare.table import draw, table
from training.runs import RunError


@click.command("compare")
@options_of(CompareSettings)
def compare_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Train and measure other systems and ours on the same galaxies with the same budget.

    Prints the table, writes it and draws it. A system that was finished with the same settings is not trained again,
    so that a comparison that was stopped goes on. With --quick all of it takes minutes, and nothing is said of what
    the systems can do.
    """
    settings = settings_from(CompareSettings, given)
    try:
        # Not only when all is computed.
        place_of(settings.table_file)
        see_writable(settings.table_file, "--table")
        see_writable(settings.plot_file, "--plot")
        results = compare(settings)
        text = table(results)
        draw(results, settings.plot_file)
        write_table(text, settings.table_file, settings.plot_file)
    except (ArrayFileError, CompareError, RunError, UnknownTreeError) as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"Stopped. The same command goes on; finished systems lie in {settings.folder}.", err=True)
        sys.exit(128 + signal.SIGINT)
    click.echo(text)
    click.echo(f"{settings.table_file}, {settings.plot_file}")
