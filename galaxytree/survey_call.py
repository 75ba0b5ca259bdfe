"""From the options of ``galaxytree score`` to a survey, and what it would do."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from galaxytree.batch_calls import BatchCaller
from galaxytree.calls import authorization
from galaxytree.client import GalaxytreeError, UnauthorizedError
from galaxytree.cutouts import AngleUnitError, CutoutError
from galaxytree.servers import addresses_of
from galaxytree.service_engine import ServiceEngine
from galaxytree.stopping import run_stoppable, stoppable
from galaxytree.survey import Summary, conduct
from galaxytree.survey_engine import Engine, ModelFacts
from galaxytree.survey_errors import EngineMissingError, SurveyError, WrongOptionError
from galaxytree.survey_place import has_scores
from galaxytree.survey_plan import Plan, SurveyCall
from galaxytree.survey_progress import progress_to
from galaxytree.survey_sources import Unusable, Wanted
from galaxytree.tables.errors import CatalogueError

FIRST_REQUESTS = 5
"""How many requests a dry run shows."""

DRY_PATIENCE_SECONDS = 2.0
"""How long a dry run waits for a service: it has something to show without one."""

_CENTURY_SECONDS = 3e9

_WANTED = ("url_column", "path_column", "survey", "ra_column", "dec_column", "radius_column", "hips")
_CALL = (
    "catalogue", "output", "where", "limit", "columns", "prefix", "detail", "views", "chunk_rows", "retry_failed",
    "overwrite",
)  # fmt: skip


def conducted(given: Mapping[str, Any]) -> Summary:
    """Conduct a survey as the options say; see `galaxytree.survey.conduct`."""
    progress = progress_to(seconds=given["progress_seconds"])
    engine = _engine(given, given["patience_seconds"], progress.say)
    with stoppable():
        plan = _plan(given)
        if plan.source.warning:
            progress.say(f"Warning: {plan.source.warning}")
        return conduct(plan, engine, progress)


def dry_run(given: Mapping[str, Any]) -> Iterator[str]:
    """Say what a survey would do, and show its first requests."""
    engine = _engine(given, min(DRY_PATIENCE_SECONDS, given["patience_seconds"]))
    plan = _plan(given)
    call, source = plan.call, plan.source
    if source.warning:
        yield f"Warning: {source.warning}"
    chunks = -(-plan.rows.count // call.chunk_rows)
    yield (
        f"{call.catalogue} ({plan.catalogue.format}, {plan.catalogue.rows:,} rows): {plan.rows.count:,} to score, in "
        f"{chunks:,} {'chunk' if chunks == 1 else 'chunks'} of {call.chunk_rows:,}, {given['concurrency']} in flight"
    )
    yield f"The table: {call.output}; the ledger until then: {call.ledger}"
    yield f"Scored by: {', '.join(given['servers']) if given['engine_name'] == 'service' else 'Ray'}"
    try:
        model = run_stoppable(_model_of(engine))
    except GalaxytreeError as error:
        yield f"Model: not known, since nothing answers ({error})"
    else:
        plan.table_schema(plan.begin(model))
        yield f"Model: {model.name} {model.version}, tree {model.tree}"
    yield "The first requests (rows are counted from 1):"
    shown = (image for _, table in plan.rows.chunks(call.chunk_rows, source.columns) for image in source.images(table))
    for number, image in enumerate(islice(shown, FIRST_REQUESTS), 1):
        yield f"  row {number}: " + (
            f"none ({image.code}: {image.detail})" if isinstance(image, Unusable) else f"{image}"
        )


def hint(error: GalaxytreeError, output: Path) -> str:
    """Return how to go on after an error that doesn't say so itself, where `output` was to be the table."""
    if isinstance(error, UnauthorizedError):
        return " Set --api-key or GALAXYTREE_API_KEY."
    if isinstance(error, SurveyError | CatalogueError | CutoutError | AngleUnitError):
        return ""
    kept = "What was scored is kept: the same command goes on from there."
    return f"{'' if str(error).endswith('.') else '.'} {kept if has_scores(output) else 'Nothing was scored.'}"


async def _model_of(make: Callable[[], Engine]) -> ModelFacts:
    engine = make()
    try:
        return await engine.model()
    finally:
        await engine.aclose()


def _plan(given: Mapping[str, Any]) -> Plan:
    wanted = Wanted(**{name: given[name] for name in _WANTED})
    return Plan.of(SurveyCall(wanted=wanted, **{name: given[name] for name in _CALL}))


def _engine(
    given: Mapping[str, Any], patience_seconds: float, say: Callable[[str], object] = lambda _: None
) -> Callable[[], Engine]:
    """Return what makes the engine; the wrong is said at once, and what is waited for to `say`."""
    if given["engine_name"] == "ray":
        try:
            ray = import_module("galaxytree.ray_engine")
        except ImportError as error:
            msg = f"--engine ray needs packages that are not installed ({error.name}): pip install 'galaxytree[ray]'"
            raise EngineMissingError(msg) from error
        return lambda: ray.RayEngine(given["address"])
    try:
        addresses = addresses_of(given["servers"])
        authorization(given["api_key"])
    except ValueError as error:
        raise WrongOptionError(str(error)) from error

    def service() -> Engine:
        until = datetime.now(UTC).astimezone() + timedelta(seconds=min(patience_seconds, _CENTURY_SECONDS))

        def waiting(trouble: GalaxytreeError | None) -> None:
            which = ", ".join(addresses)
            why = f" ({trouble})" if trouble else ""
            say(f"{which} has not answered yet{why}: it is tried until {until:%Y-%m-%d %H:%M:%S} (--patience-seconds)")

        caller = BatchCaller(
            given["servers"],
            api_key=given["api_key"],
            timeout_seconds=given["timeout_seconds"],
            patience_seconds=patience_seconds,
        )
        return ServiceEngine(caller, given["concurrency"], waiting)

    return service
