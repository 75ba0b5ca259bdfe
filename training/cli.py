"""``python -m training``: data to model."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import click
from pydantic import Field

from galaxytree.card import MOST_RISE, ModelCard
from galaxytree.decision_tree import UnknownTreeError
from galaxytree.options import Options, options_of, settings_from
from galaxytree.views import VIEWS
from training.arrays import ArrayFileError, Galaxies, read_galaxies
from training.calibrate import CalibrateSettings, calibrate
from training.compare.cli import compare_command
from training.evaluate import SHIPPED, ModelFileError, Precision, as_json, coverage_lines, evaluate, flagged
from training.experiment.cli import experiment_command
from training.explain import ExplanationError
from training.explore.cli import explore_command
from training.export import ExportError, ExportSettings, export
from training.lessons import TargetsError
from training.plots import plot_reliability, plot_scores
from training.population import BalanceError
from training.prepare import NothingToPrepareError, PrepareSettings, Report, prepare
from training.processes import own_rank
from training.quantise import QuantisationError, QuantiseSettings, quantise
from training.rewrite import RewriteError, RewriteSettings, rewrite
from training.runs import RunError
from training.settings import DATA_FILE, TrainSettings
from training.teach import TeachSettings, teach
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
    reliability: Annotated[
        Path | None, Field(description="Picture of how far the error bars hold to draw (PNG or SVG by its ending)")
    ] = None
    views: Annotated[
        Literal["1", "8", "both"], Field(description="Views of each galaxy that are averaged; both measures each way")
    ] = "both"
    precision: Annotated[Precision, Field(description="Which of the model's files; int8 is what quantise makes")] = (
        "fp32"
    )
    format: Annotated[Literal["text", "json"], Field(description="How to print the figures")] = "text"


@click.group(context_settings={"max_content_width": 120})
def main() -> None:
    """Make a model from votes (prepare, train, teach, calibrate, export, quantise), and look at it and the data."""


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


@main.command("teach")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@options_of(TeachSettings)
def teach_command(runs: tuple[Path, ...], **given: Any) -> None:  # noqa: ANN401
    """Let finished runs score the galaxies whose votes are not known, for others to learn from (train --targets).

    RUNS are their folders; their mean over eight views is what is taught.
    """
    settings = settings_from(TeachSettings, given)
    with _explaining():
        facts = teach(runs, _galaxies(settings.data), settings)
    click.echo(f"{settings.output}: {facts['galaxies']} galaxies, moved by {facts['moved']:.4f} to what is known")


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
        asked = [views for views in VIEWS if settings.views in {"both", str(views)}]
        measured = [evaluate(folder, unseen, views, settings.precision) for views in asked]
        evaluations, first = [evaluation for evaluation, _ in measured], measured[0][1]
        strange = flagged(folder, galaxies, asked[0], settings.precision)
        if settings.plot:
            plot_scores(unseen.tree, first.scores, unseen.votes, settings.plot)
        if settings.reliability:
            if first.halves is None:
                msg = f"{folder} gives no error bars to draw"
                raise ModelFileError(msg)
            plot_reliability(unseen.tree, first.scores, first.halves, unseen.votes, settings.reliability)
    if settings.format == "json":
        click.echo(as_json(evaluations, strange))
        return
    card = ModelCard.read(folder)
    lines = [f"{card.name} {card.version}" + (", int8" if settings.precision == "int8" else "")]
    for evaluation in evaluations:
        lines += [*evaluation.lines(unseen.tree), ""]
    lines += [
        f"flagged as out of domain: {part:6.1%} of {count:4d} x {what}" for what, (part, count) in strange.items()
    ]
    click.echo("\n".join(lines).rstrip())


@main.command("calibrate")
@options_of(CalibrateSettings)
def calibrate_command(**given: Any) -> None:  # noqa: ANN401
    """Fit smoothing, error bars and the flag for what is no galaxy to a finished run; export takes them along."""
    settings = settings_from(CalibrateSettings, given)
    with _explaining():
        facts = calibrate(settings, _galaxies(settings.data))
    for weight, error in facts["rmse_on_those"].items():
        taken = ", taken" if weight == f"{facts['smoothing']:g}" else ""
        click.echo(f"smoothing {weight}: RMSE {error} on the galaxies set aside{taken}")
    click.echo(
        f"fitted to {facts['fitted_on']} galaxies, scaled on {facts['calibrated_on']} others; on these themselves:"
    )
    click.echo("\n".join(coverage_lines(facts["coverage_on_those"])))


@main.command("export")
@options_of(ExportSettings)
def export_command(**given: Any) -> None:  # noqa: ANN401
    """Write a finished run as one ONNX file, check it against the network, and write its card."""
    settings = settings_from(ExportSettings, given)
    with _explaining():
        card = export(settings, _galaxies(settings.data))
    rmse = card.metrics.get("rmse")
    shown = f"{rmse:.5f}" if isinstance(rmse, float) else rmse
    click.echo(f"{card.name} {card.version}: RMSE {shown}, sha256 {card.sha256}")
    click.echo(f"Its int8 file, for CPUs: python -m training quantise {settings.models / settings.name}")


@main.command("quantise")
@click.argument("model", required=False, type=click.Path(path_type=Path), envvar="GALAXYTREE_QUANTISE_MODEL")
@options_of(QuantiseSettings)
def quantise_command(model: Path | None, **given: Any) -> None:  # noqa: ANN401
    """Write a model's network in 8 bit integers beside it, for CPUs, and measure what it costs in accuracy.

    MODEL is the folder of model.onnx and card.json; the shipped model if none is named.
    """
    settings = settings_from(QuantiseSettings, given)
    with _explaining():
        card = quantise(model or SHIPPED, _galaxies(settings.data), settings)
    int8 = card.int8
    assert int8 is not None  # noqa: S101  (it was just made)
    if int8.rmse_rise is None:
        click.echo("Nothing to measure it on: it will be used on CPUs by choice only.")
        return
    used = "by default" if int8.by_default else "by choice only"
    click.echo(
        f"{card.name} {card.version}, int8: RMSE {int8.metrics['rmse']:.5f}, {int8.rmse_rise:+.6f} to that of "
        f"model.onnx (at most {MOST_RISE:+} to be used by default): used on CPUs with instructions for it {used}"
    )


@main.command("rewrite")
@click.argument("model", required=False, type=click.Path(path_type=Path), envvar="GALAXYTREE_REWRITE_MODEL")
@options_of(RewriteSettings)
def rewrite_command(model: Path | None, **given: Any) -> None:  # noqa: ANN401
    """Write a model's files as export and quantise would today, from the files alone, and check that they say the same.

    MODEL is the folder of model.onnx and card.json; the shipped model if none is named. Scores stay the same to the
    last bit, and so the card's figures; its version, sums and provenance change.
    """
    settings = settings_from(RewriteSettings, given)
    with _explaining():
        card = rewrite(model or SHIPPED, _galaxies(settings.data), settings)
    for name, sha256, provenance in (
        ("model.onnx", card.sha256, card.provenance),
        *([("model.int8.onnx", card.int8.sha256, card.int8.provenance)] if card.int8 else []),
    ):
        compared = provenance["rewritten"][-1]["against_before"]
        shown = ", ".join(f"{output} {apart:.2g}" for output, apart in compared["largest_difference"].items())
        click.echo(f"{card.name} {card.version}, {name}: sha256 {sha256}")
        click.echo(f"largest differences to the file of before on {compared['images']} galaxies: {shown}")


_EXPLAINED = (
    ArrayFileError,
    ExplanationError,
    ExportError,
    ModelFileError,
    NothingToPrepareError,
    BalanceError,
    QuantisationError,
    RewriteError,
    RunError,
    TargetsError,
    UnknownTreeError,
)


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn errors that say what to do into a sentence and exit status 2."""
    try:
        yield
    except _EXPLAINED as error:
        raise click.UsageError(str(error)) from error


main.add_command(compare_command)
main.add_command(experiment_command)
main.add_command(explore_command)


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
