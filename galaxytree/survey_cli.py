"""``galaxytree score``: the options of a survey. What it needs besides click is loaded when it begins."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from galaxytree.cli import SOME_FAILED, WrongCallError
from galaxytree.client import DEFAULT_SERVER, DEFAULT_TIMEOUT_SECONDS, GalaxytreeError
from galaxytree.survey_place import has_scores
from galaxytree.views import VIEWS

if TYPE_CHECKING:
    from galaxytree.survey import Summary

SURVEY_EXTRA = "pip install 'galaxytree[survey]'"

Command = TypeVar("Command", bound=Callable[..., Any])


def _option(*names: str, shared: bool = False, **more: Any) -> Callable[[Command], Command]:  # noqa: ANN401
    """Return an option that is a variable too: ``GALAXYTREE_SCORE_...``, or one that it shares with other commands."""
    long = next(name for name in names if name.startswith("--"))
    variable = long.removeprefix("--").upper().replace("-", "_")
    more.setdefault("show_default", True)
    return click.option(
        *names, envvar=f"GALAXYTREE_{variable}" if shared else f"GALAXYTREE_SCORE_{variable}", show_envvar=True, **more
    )


_COUNT = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0, min_open=True)


@click.command("score")
@click.argument("catalogue", type=click.Path(path_type=Path, dir_okay=False))
@_option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="The table to write: CSV, Parquet, FITS or VOTable, by its name. Until all is done OUTPUT.ledger is there.",
)  # fmt: skip
@_option(
    "--url-column", metavar="NAME",
    help="Images are at the URLs of this column. [default: url, image_url or cutout_url, in whatever case, if there is "
    "one of them]",
)  # fmt: skip
@_option("--path-column", metavar="NAME", help="Images are the files of this column, seen from the catalogue's folder.")
@_option(
    "--survey", type=click.Choice(["sdss", "legacy", "panstarrs", "hips"]),
    help="Images are this sky survey's cut-outs about the positions.",
)  # fmt: skip
@_option(
    "--ra-column",
    metavar="NAME",
    help="Right ascension (ICRS), for --survey, in degrees if it has no unit. [default: ra, in whatever case]",
)
@_option(
    "--dec-column",
    metavar="NAME",
    help="Declination (ICRS), for --survey, in degrees if it has no unit. [default: dec, in whatever case]",
)
@_option(
    "--radius-column", metavar="NAME",
    help="Radius that holds 90 % of the light, in arcsec if it has no unit. [default: petroR90_r, in whatever case, if "
    "there]",
)  # fmt: skip
@_option("--hips", metavar="ID", help="Which HiPS, for --survey hips. [default: CDS/P/DSS2/color]")
@_option("--where", metavar="SQL", help="Only the rows for which this holds, such as 'petroMag_r < 17'. [default: all]")
@_option("--limit", type=_COUNT, metavar="ROWS", help="At most so many rows, the first ones. [default: all]")
@_option(
    "--columns", metavar="NAMES",
    help="The catalogue's columns to keep, with commas between them; quote a name with a comma in it. [default: all]",
)  # fmt: skip
@_option(
    "--prefix", default="", metavar="TEXT", show_default="none",
    help="What the names of the new columns begin with: for catalogues that have columns of such names.",
)  # fmt: skip
@_option(
    "--detail", shared=True, type=click.Choice(["full", "scores"]), default="scores",
    help="`full` adds the columns path and summary.",
)  # fmt: skip
@_option(
    "--views", shared=True, type=click.Choice(VIEWS),
    help="Average over so many orientations of each image: 1, as it is, or 8, its rotations by 90 degrees and mirror "
    "images. [default: what the service is set to]",
)  # fmt: skip
@_option(
    "--server", "servers", shared=True, multiple=True, default=(DEFAULT_SERVER,),
    help="Address of a service; give several, here or with commas between them, and they share the work.",
)  # fmt: skip
@_option("--api-key", shared=True, metavar="KEY", help="Key to show to the service. [default: none]")
@_option(
    "--timeout-seconds", shared=True, type=_SECONDS, default=DEFAULT_TIMEOUT_SECONDS,
    help="How long the service may be silent, in seconds.",
)  # fmt: skip
@_option(
    "--patience-seconds", type=_SECONDS, default=300.0,
    help="How long to wait for a service when none answers, in seconds.",
)  # fmt: skip
@_option(
    "--engine", "engine_name", type=click.Choice(["service", "ray"]), default="service",
    help="What scores: a service, or a Ray cluster that runs the network itself.",
)  # fmt: skip
@_option(
    "--address",
    metavar="ADDRESS",
    help="Of the Ray cluster, for --engine ray. [default: RAY_ADDRESS, or one of its own]",
)
@_option(
    "--concurrency", type=_COUNT, default=4, metavar="CHUNKS",
    help="So many chunks' worth of rows are asked for at a time; what was, when all is stopped, is scored again.",
)  # fmt: skip
@_option(
    "--chunk-rows", type=_COUNT, default=256, metavar="ROWS", help="How many rows are asked for and kept together."
)
@_option("--retry-failed", is_flag=True, help="Try the rows again that failed.")
@_option("--overwrite", is_flag=True, help="Replace OUTPUT if it is there without its ledger, or not of this survey.")
@_option(
    "--dry-run",
    is_flag=True,
    help="Show the first requests and what would be done, and send none; a service is only asked for its model.",
)
@_option(
    "--progress-seconds", type=_SECONDS, default=10.0,
    help="How often a line tells how far it is where there is no terminal, in seconds.",
)  # fmt: skip
@_option("--json", "as_json", shared=True, is_flag=True, help="Write what came of it as JSON.")
def score(**given: Any) -> None:  # noqa: ANN401 (options of every type)
    """Score a CATALOGUE of galaxies (CSV, Parquet, FITS or VOTable), and lose no row.

    The same command goes on where it was left, whatever stopped it. Exit status: 0 every row has scores; 1 the table is
    written, and some of its rows failed; 2 the call was wrong or could not be carried out, or was stopped.
    """
    try:
        from galaxytree import survey_call  # noqa: PLC0415 (needs the extra)

        if given["dry_run"]:
            for line in survey_call.dry_run(given):
                click.echo(line)
            return
        summary = survey_call.conducted(given)
    except ImportError as error:
        # Some are first needed by a catalogue's format, or a condition.
        msg = f"galaxytree score needs packages that are not installed ({error.name or error}): {SURVEY_EXTRA}"
        raise WrongCallError(msg) from error
    except KeyboardInterrupt:
        kept = "What was scored is kept beside the output: the same command goes on from there"
        msg = f"stopped. {kept if has_scores(given['output']) else 'Nothing was scored'}"
        raise WrongCallError(msg) from None
    except GalaxytreeError as error:
        msg = f"{error.code}: {error}{survey_call.hint(error, given['output'])}"
        raise WrongCallError(msg) from error
    _tell(summary, as_json=given["as_json"])


def _tell(summary: "Summary", *, as_json: bool) -> None:
    """Say what came of a survey; exit with 1 if rows failed."""
    failed = summary.failed.total()
    if as_json:
        fields = {"output": str(summary.output), "rows": summary.rows, "ok": summary.ok, "failed": dict(summary.failed)}
        click.echo(json.dumps(fields))
    else:
        done = "was done already" if summary.was_done else "is written"
        click.echo(f"{summary.output} {done}: {summary.rows:,} rows, {summary.ok:,} with scores, {failed:,} failed")
    if not failed:
        return
    for code, number in summary.failed.most_common():
        click.echo(f"  {number:,} {code}", err=True)
    for line in summary.failures:
        click.echo(f"  {line}", err=True)
    if failed > len(summary.failures):
        click.echo("  ...", err=True)
    again = "The same command with --retry-failed tries these again."
    gone = "Their ledger is gone: to try these again, all rows are to be scored again, with --overwrite."
    click.echo(f"Rows are counted from 1. {again if summary.has_ledger else gone}", err=True)
    sys.exit(SOME_FAILED)
