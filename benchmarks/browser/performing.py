"""A run that measures the page: what can be set of it, and how it is done."""

import datetime as dt
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from benchmarks.browser.measure import measure
from benchmarks.browser.page import DROPS, ROUNDS, PageResults, publish
from benchmarks.images import galaxies
from benchmarks.machine import busy, this_machine
from benchmarks.provenance import commit, model
from benchmarks.settings import PARTIAL_RESULTS, RESULTS
from galaxytree.options import Options

_IMAGES = 100
_LOOK_SECONDS = 2.0


class PageSettings(Options):
    """What `page` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_PAGE_"

    rounds: Annotated[int, Field(gt=0, description="How often the page is opened with an empty cache")] = ROUNDS
    drops: Annotated[int, Field(gt=1, description="Galaxies that are dropped on it each time")] = DROPS
    data: Annotated[
        Path, Field(description="Folder with Galaxy Zoo's pictures; where it has none, galaxies are made up")
    ] = Path("../shared/galaxy-zoo")
    output: Annotated[
        Path | None,
        Field(
            description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of a shorter run"
        ),
    ] = None

    @property
    def shortened(self) -> bool:
        """Whether a run with these is less than what is published."""
        return self.rounds < ROUNDS or self.drops < DROPS


def perform(settings: PageSettings, command: str) -> Path:
    """Measure the page, and return the table.

    Parameters
    ----------
    settings
    command
        What was called, for the table.

    Raises
    ------
    NotMeasuredError
        If there is no browser, or the service does not come up.
    """
    images = galaxies(settings.data, _IMAGES)
    others_use = busy(_LOOK_SECONDS)
    browser, paints, first, others = measure(images.encoded, settings.rounds, settings.drops)
    results = PageResults(
        command=command,
        finished=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=this_machine(),
        commit=commit(),
        model=model(),
        images=images.origin,
        browser=browser,
        busy=others_use,
        paints=paints,
        first=first,
        others=others,
        whole=not settings.shortened,
    )
    return publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS))
