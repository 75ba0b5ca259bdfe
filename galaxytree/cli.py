"""The command line: ``galaxytree``.

The service adds commands through the entry points of ``galaxytree.commands``, and the classifying in this process
through those of ``galaxytree.engines``, so that a laptop needs neither FastAPI nor ONNX Runtime.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal, NoReturn, Protocol

import click

from galaxytree.client import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT_SECONDS,
    Client,
    EngineError,
    GalaxytreeError,
    RequestRefusedError,
    UnauthorizedError,
)
from galaxytree.decision_tree import END, DecisionTree, Question, UnknownTreeError, load_tree
from galaxytree.predictions import UNCERTAINTY
from galaxytree.schemas import AnswerScore, Classification
from galaxytree.summary import WARNING
from galaxytree.views import VIEWS, Views

SOME_FAILED = 1
WRONG_CALL = 2
BAR_WIDTH = 20
SERVE_EXTRA = "pip install 'galaxytree[serve]'"


_LATER = {"key": "galaxytree.key_cli:key", "score": "galaxytree.survey_cli:score"}
"""Commands that are loaded when they are asked for, and where they are."""


class WrongCallError(click.ClickException):
    """The call itself was wrong; the message says what to do."""

    exit_code = WRONG_CALL


class Engine(Protocol):
    """What classifies in this process, as the entry points of ``galaxytree.engines`` offer it."""

    def classify(self, data: bytes, *, full: bool, views: Views | None) -> Classification:
        """Classify the bytes of one image, with so many views or as is set; GalaxytreeError if that can't be done."""
        ...

    def close(self) -> None:
        """Let everything go."""
        ...


class _Commands(click.Group):
    """A group that also holds the commands of the entry points, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = entry_points(group="galaxytree.commands").names
        return sorted({*super().list_commands(ctx), *_LATER, *added})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        if cmd_name in _LATER:
            module, _, name = _LATER[cmd_name].partition(":")
            later: click.Command = getattr(import_module(module), name)
            return later
        for entry in entry_points(group="galaxytree.commands", name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ImportError as error:
                return _missing(cmd_name, error)
            return command
        return None


def _missing(name: str, error: ImportError) -> click.Command:
    """Stand in for a command whose packages are not installed, so that `--help` still lists it."""

    def refuse(**_: object) -> NoReturn:
        raise WrongCallError(_needs(f"galaxytree {name}", error))

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        help=f"Not installed: {SERVE_EXTRA}",
        add_help_option=False,
    )


def _needs(what: str, error: ImportError) -> str:
    return f"{what} needs packages that are not installed ({error.name or error}): {SERVE_EXTRA}"


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="galaxytree")
def main() -> None:
    """Ask what Galaxy Zoo's volunteers would say of a galaxy.

    Exit status: 0 all went well; 1 some items failed, and are listed; 2 the call itself was wrong.
    """


_json_option = click.option(
    "as_json", "--json", is_flag=True, envvar="GALAXYTREE_JSON", show_envvar=True, help="Write JSON, one object a line."
)


@main.command(
    epilog=f"Where the model says how sure it is, ± behind a score is its uncertainty: {UNCERTAINTY}. --json also has "
    "uncertainty_95."
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
@click.option(
    "--server", "servers", multiple=True, default=(DEFAULT_SERVER,), envvar="GALAXYTREE_SERVER", show_default=True,
    show_envvar=True,
    help="Address of the service; give several, here or with commas between them, and they share the work.",
)  # fmt: skip
@click.option(
    "--api-key", envvar="GALAXYTREE_API_KEY", show_envvar=True, metavar="KEY",
    help="Key to show to the service. [default: none]",
)  # fmt: skip
@click.option(
    "--timeout-seconds", default=DEFAULT_TIMEOUT_SECONDS, type=click.FloatRange(min=0, min_open=True),
    envvar="GALAXYTREE_TIMEOUT_SECONDS", show_default=True, show_envvar=True,
    help="How long the service may take for each step of an image, in seconds.",
)  # fmt: skip
@click.option(
    "--local", is_flag=True, envvar="GALAXYTREE_LOCAL", show_envvar=True,
    help="Classify in this process, without a service, with the model that GALAXYTREE_MODEL names or the shipped one.",
)  # fmt: skip
@click.option(
    "--detail", type=click.Choice(["full", "scores"]), default="full", envvar="GALAXYTREE_DETAIL",
    show_default=True, show_envvar=True, help="`scores` leaves out questions, path and summary.",
)  # fmt: skip
@click.option(
    "--views", type=click.Choice(VIEWS), envvar="GALAXYTREE_VIEWS", show_envvar=True,
    help="Average over so many orientations of each image: 1, as it is, or 8, its rotations by 90 degrees and mirror "
    "images. [default: what the service is set to; 1 with --local]",
)  # fmt: skip
@_json_option
def classify(  # noqa: PLR0913 (one parameter an option)
    images: tuple[Path, ...],
    *,
    servers: tuple[str, ...],
    api_key: str | None,
    timeout_seconds: float,
    local: bool,
    detail: Literal["full", "scores"],
    views: Views | None,
    as_json: bool,
) -> None:
    """Classify local images (JPEG or PNG), through a service or, with --local, in this process."""
    engine: Engine = _local_engine() if local else _RemoteEngine(servers, api_key, timeout_seconds)
    failed = 0
    with closing(engine):
        for image in images:
            try:
                answer = engine.classify(image.read_bytes(), full=detail == "full", views=views)
            except UnauthorizedError as error:
                msg = f"{error.code}: {error} Set --api-key or GALAXYTREE_API_KEY."
                raise WrongCallError(msg) from error
            except RequestRefusedError as error:
                msg = f"{error.code}: {error}"
                raise WrongCallError(msg) from error
            except GalaxytreeError as error:
                failed += 1
                _report_failure(image, error.code, str(error), as_json=as_json)
            except OSError as error:
                failed += 1
                _report_failure(image, "unreadable_file", str(error.strerror), as_json=as_json)
            else:
                click.echo(_as_json(image, answer) if as_json else "\n".join(_readable(image, answer)))
    if failed:
        click.echo(f"{failed} of {len(images)} images failed", err=True)
        sys.exit(SOME_FAILED)


class _RemoteEngine:
    def __init__(self, servers: Sequence[str], api_key: str | None, timeout_seconds: float) -> None:
        try:
            # Whoever waits at a terminal is told at once, and can call again.
            self._client = Client(servers, api_key, timeout_seconds, patience_seconds=0)
        except ValueError as error:
            raise WrongCallError(str(error)) from error

    def classify(self, data: bytes, *, full: bool, views: Views | None) -> Classification:
        return self._client.classify(data, detail="full" if full else "scores", views=views)

    def close(self) -> None:
        self._client.close()


def _local_engine() -> Engine:
    found: Iterable[EntryPoint] = entry_points(group="galaxytree.engines", name="local")
    for entry in found:
        try:
            engine: Engine = entry.load()()
        except ImportError as error:
            raise WrongCallError(_needs("--local", error)) from error
        except EngineError as error:
            raise WrongCallError(str(error)) from error
        return engine
    msg = f"no engine for --local is installed: {SERVE_EXTRA}"
    raise WrongCallError(msg)


def _report_failure(image: Path, code: str, detail: str, *, as_json: bool) -> None:
    """Say on standard error which image failed; with --json also on standard output, so that no line is missing."""
    click.echo(f"{image}: {code}: {detail}", err=True)
    if as_json:
        click.echo(json.dumps({"file": str(image), "error": {"code": code, "detail": detail}}))


def _as_json(image: Path, answer: Classification) -> str:
    fields = answer.model_dump_json(exclude_none=True).removeprefix("{")
    return f'{{"file":{json.dumps(str(image))},{fields}'


def _readable(image: Path, answer: Classification) -> Iterator[str]:
    # As it was written: rounded, it could stand at the threshold that it is above.
    unlike = "" if answer.out_of_domain is None else f", out of domain {answer.out_of_domain}"
    yield f"{image}: {'1 view' if answer.views == 1 else f'{answer.views} views'}{unlike}"
    if answer.questions is None or answer.path is None:
        if answer.flagged:
            yield f"  {WARNING}"
        errors = answer.uncertainty or {}
        for name, score in answer.scores.items():
            yield f"  {name:<12} {score:.6f}" + (f" ± {errors[name]:.6f}" if name in errors else "")
        return
    yield f"  {answer.summary}"
    on_path = set(answer.path)
    # In the order in which the questions are asked, which is the path's.
    chosen = {one.id: (question, one) for question in answer.questions for one in question.answers if one.id in on_path}
    for answer_id in answer.path:
        question, one = chosen[answer_id]
        bar = "#" * round(BAR_WIDTH * one.fraction)
        yield f"  {question.text}"
        yield f"    {bar:<{BAR_WIDTH}} {one.fraction:4.0%}  {one.label}{_error_bar(one)}"


def _error_bar(one: AnswerScore) -> str:
    return "" if one.uncertainty is None else f"  (score {one.score:.2f} ± {one.uncertainty:.2f})"


@main.command()
@click.argument("name", default="galaxy-zoo-2")
@_json_option
def tree(name: str, *, as_json: bool) -> None:
    """Print a decision tree: galaxy-zoo-2 (the default) or another NAME."""
    try:
        found = load_tree(name)
    except UnknownTreeError as error:
        raise WrongCallError(str(error)) from error
    click.echo(found.model_dump_json() if as_json else "\n".join(_tree_lines(found)))


def _tree_lines(found: DecisionTree) -> Iterator[str]:
    yield f"{found.title} ({found.name}): {len(found.columns)} scores"
    yield from (f"  {reference}" for reference in found.references)
    width = max(len(column) for column in found.columns)
    for question in found.questions:
        yield ""
        yield f"{question.id}  {question.text}"
        yield f"    {_sum_of(question)}"
        for answer in question.answers:
            then = "the end" if answer.next == END else answer.next
            yield f"    {answer.id:<{width}}  {answer.label} -> {then}"


def _sum_of(question: Question) -> str:
    return "each a fraction of its own" if question.independent else f"add up to {question.adds_up_to}"
