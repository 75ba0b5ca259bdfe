"""A run of surveys: what can be set of it, and all of it in turn."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from benchmarks.failures import FAILURES, reason
from benchmarks.images import galaxies
from benchmarks.machine import this_machine
from benchmarks.provenance import commit, model
from benchmarks.settings import PARTIAL_RESULTS, RESULTS
from benchmarks.survey.host import ORIGINALS
from benchmarks.survey.measure import disturbed, steady
from benchmarks.survey.page import ROWS, SurveyResults, publish
from benchmarks.systems import Precision
from galaxytree.options import Options


class SurveySettings(Options):
    """What `survey` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_SURVEY_"

    rows: Annotated[int, Field(gt=0, description="Rows of each catalogue")] = ROWS
    seconds: Annotated[float, Field(gt=0, le=600, description="How long POST /classify is loaded each time")] = 10.0
    precision: Annotated[
        Literal["fp32", "int8", "both"], Field(description="Network that is measured; both, one after the other")
    ] = "both"
    faults: Annotated[bool, Field(description="Whether to measure a survey that everything happens to")] = True
    data: Annotated[
        Path, Field(description="Folder with Galaxy Zoo's pictures; where it has none, galaxies are made up")
    ] = Path("../shared/galaxy-zoo")
    output: Annotated[
        Path | None,
        Field(description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of fewer rows"),
    ] = None

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Networks that are asked for."""
        return ("fp32", "int8") if self.precision == "both" else (self.precision,)

    @property
    def shortened(self) -> bool:
        """Whether a run with these is less than what the page asks for."""
        return self.rows < ROWS or not self.faults or self.precision != "both"


def perform(settings: SurveySettings, command: str, say: Callable[[str], None]) -> Path:
    """Measure surveys, and return the page; however the run ends, what it has measured until then is written.

    Parameters
    ----------
    settings
    command
        What was called, for the page.
    say
        Is told what was measured, and what could not be.
    """
    results = SurveyResults(
        command=command,
        finished="",
        machine=this_machine(),
        commit=commit(),
        model=model(),
        images=galaxies(settings.data, ORIGINALS).origin,
    )
    complete = False
    try:
        for precision in settings.precisions:
            results.steady.append(steady(precision, settings.rows, settings.data, settings.seconds, say))
        if settings.faults:
            # With one network: which one it is matters for speed alone.
            results.disturbed.append(disturbed(settings.precisions[-1], settings.rows, settings.data, say))
        complete = True
    except FAILURES as error:
        say(f"stopped: {reason(error)}")
    except KeyboardInterrupt:
        say("stopped; what was measured until now is written")
    finally:
        results.whole = complete and not settings.shortened
        results.finished = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        page = publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS))
    return page
