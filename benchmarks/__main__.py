"""``python -m benchmarks``: measure, and write the table anew from what was measured."""

import datetime as dt
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from benchmarks.browser.page import FOLDER as PAGE
from benchmarks.browser.page import PageResults
from benchmarks.browser.page import publish as publish_page
from benchmarks.browser.performing import PageSettings
from benchmarks.browser.performing import perform as perform_page
from benchmarks.environments import PEERS, NotInstalledError, install
from benchmarks.explaining import explaining
from benchmarks.failures import NotMeasuredError, WrkError
from benchmarks.faults.page import FAULTS, FaultResults
from benchmarks.faults.page import publish as publish_faults
from benchmarks.faults.performing import NAMES as FAULT_NAMES
from benchmarks.faults.performing import FaultSettings, run_faults
from benchmarks.fuzzing import FUZZ, FuzzResults, FuzzSettings, run_fuzz
from benchmarks.fuzzing import publish as publish_fuzz
from benchmarks.images import Images, galaxies, made
from benchmarks.machine import this_machine
from benchmarks.performing import SCENARIOS, perform
from benchmarks.provenance import commit, model
from benchmarks.publishing import publish
from benchmarks.results import Results
from benchmarks.rounds import LIMIT, Bodies, Rounds, install_peers, measurable
from benchmarks.settings import PARTIAL_RESULTS, RESULTS, BenchSettings
from benchmarks.soak.page import SOAK, SoakResults
from benchmarks.soak.page import publish as publish_soak
from benchmarks.soak.performing import SoakSettings, run_soak
from benchmarks.survey.page import SURVEYS, SurveyResults
from benchmarks.survey.page import publish as publish_surveys
from benchmarks.survey.performing import SurveySettings
from benchmarks.survey.performing import perform as perform_surveys
from benchmarks.systems import SERVICE
from benchmarks.wrk import require_wrk
from galaxytree.options import options_of, settings_from

_PUBLISH: dict[str, Callable[[bytes, Path], Path]] = {
    SURVEYS: lambda data, folder: publish_surveys(SurveyResults.model_validate_json(data), folder),
    FAULTS: lambda data, folder: publish_faults(FaultResults.model_validate_json(data), folder),
    PAGE: lambda data, folder: publish_page(PageResults.model_validate_json(data), folder),
    SOAK: lambda data, folder: publish_soak(SoakResults.model_validate_json(data), folder),
    FUZZ: lambda data, folder: publish_fuzz(FuzzResults.model_validate_json(data), folder),
}
"""How the page of each folder of results is written, from its figures."""

SYSTEMS = (LIMIT, SERVICE, *PEERS)


@click.group(context_settings={"max_content_width": 120})
def main() -> None:
    """Measure how fast the service is, against the limit of this machine and against peers."""


@main.command("run", epilog=f"NAMES are systems ({', '.join(SYSTEMS)}) and scenarios ({', '.join(SCENARIOS)}).")
@click.argument("names", nargs=-1, type=click.Choice([*SYSTEMS, *SCENARIOS]), metavar="[NAMES]...")
@options_of(BenchSettings)
def run_command(names: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Measure everything, or what NAMES say, and write the table.

    What is written of a part of a run, or a shortened one, goes to another folder than what is published. However a run
    ends, what it has measured until then is written.
    """
    settings = settings_from(BenchSettings, given)
    try:
        require_wrk()
    except WrkError as error:
        raise click.UsageError(str(error)) from error
    _end_in_good_order()
    asked = set(names or (*SYSTEMS, *SCENARIOS))
    images = galaxies(settings.data)
    results = Results(
        command=_command(),
        finished="",
        machine=this_machine(settings.device),
        device=settings.device,
        images=images.origin,
        seconds=settings.each_seconds,
        rounds=len(settings.each_round),
        commit=commit(),
        model=model(),
    )
    try:
        _measure(asked, settings, images, results)
        results.whole = not names and not settings.shortened and results.complete
    except KeyboardInterrupt:
        click.echo("Stopped; what was measured until now is written.", err=True)
    finally:
        results.finished = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        click.echo(publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS)))


def _measure(asked: set[str], settings: BenchSettings, images: Images, results: Results) -> None:
    others = install_peers([name for name in PEERS if name in asked], settings, results)
    precisions = measurable(settings, results)
    systems = [name for name in SYSTEMS if name in asked and (name in others or name in {LIMIT, SERVICE})]
    with tempfile.TemporaryDirectory(prefix="bodies") as bodies:
        written = Bodies.write(images, Path(bodies))
        Rounds(settings, systems, images, written, results, _say).measure(precisions)
    if settings.scenarios:
        for precision in precisions:
            perform([name for name in SCENARIOS if name in asked], precision, settings, images, results, _say)


@main.command("survey")
@options_of(SurveySettings)
def survey_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Measure whole surveys: `galaxytree score` of a catalogue of URLs on this machine, undisturbed and disturbed."""
    settings = settings_from(SurveySettings, given)
    try:
        require_wrk()
    except WrkError as error:
        raise click.UsageError(str(error)) from error
    _end_in_good_order()
    click.echo(perform_surveys(settings, _command(), _say))


@main.command("faults", epilog=f"NAMES are {', '.join(FAULT_NAMES)}.")
@click.argument("names", nargs=-1, type=click.Choice(FAULT_NAMES), metavar="[NAMES]...")
@options_of(FaultSettings)
def faults_command(names: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Count what becomes of requests while everything goes wrong: all faults, or those that NAMES say."""
    settings = settings_from(FaultSettings, given)
    _end_in_good_order()
    click.echo(run_faults(names, settings, _command(), _say))


@main.command("soak")
@options_of(SoakSettings)
def soak_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Load the service for long, with faults mixed in, and look at what it holds."""
    settings = settings_from(SoakSettings, given)
    _end_in_good_order()
    click.echo(run_soak(settings, _command(), _say))


@main.command("fuzz")
@options_of(FuzzSettings)
def fuzz_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Try very many inputs on decoder, forms and lines, and Schemathesis on every route; count them."""
    settings = settings_from(FuzzSettings, given)
    try:
        click.echo(run_fuzz(settings, _command(), _say))
    except NotMeasuredError as error:
        raise click.UsageError(str(error)) from error


@main.command("explain")
@click.option("--count", type=click.IntRange(min=10), default=1000, show_default=True, help="Requests of each kind")
def explain_command(count: int) -> None:
    """Measure what it costs to ask where the network looked, with both networks; print the table."""
    click.echo(explaining([made(seed) for seed in range(16)], count))


@main.command("page")
@options_of(PageSettings)
def page_command(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Measure the page in a browser: how soon it is painted, and how soon an answer is drawn; write the table."""
    settings = settings_from(PageSettings, given)
    try:
        table = perform_page(settings, _command())
    except NotMeasuredError as error:
        raise click.UsageError(str(error)) from error
    click.echo(table.read_text("utf-8"))
    click.echo(table)


@main.command("table")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def table_command(files: tuple[Path, ...]) -> None:
    """Write table and plot anew beside FILES of results; all in benchmarks/results if none is named."""
    for file in files or (*sorted(RESULTS.glob("*.json")), *sorted(RESULTS.glob("*/*.json"))):
        kind = file.parent.name
        folder = file.parent.parent if kind in _PUBLISH else file.parent
        _PUBLISH.get(kind, _publish)(file.read_bytes(), folder)
        click.echo(file.with_suffix(".md"))


@main.command("install")
@click.argument("names", nargs=-1, type=click.Choice(PEERS))
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="With cuda, CUDA's libraries come along"
)
def install_command(names: tuple[str, ...], device: str) -> None:
    """Make the environments of peers: all, or those that NAMES say."""
    for name in names or PEERS:
        try:
            install(name, device)
        except NotInstalledError as error:
            click.echo(str(error), err=True)
        else:
            click.echo(f"{name} is installed")


def _publish(data: bytes, folder: Path) -> Path:
    return publish(Results.model_validate_json(data), folder)


def _end_in_good_order() -> None:
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # As Ctrl-C does: what was started is ended, and what was measured is written.
    raise KeyboardInterrupt


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
