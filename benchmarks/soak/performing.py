"""A soak: what can be set of it, and all of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Annotated, ClassVar

import uvloop
from pydantic import Field

from benchmarks.failures import FAILURES, reason
from benchmarks.faults.judging import Asks
from benchmarks.faults.load import Load
from benchmarks.faults.reloading import own_model
from benchmarks.faults.stage import IMAGES, Stage, raise_limit, set_up
from benchmarks.images import galaxies
from benchmarks.limit import measure_limit
from benchmarks.serving import Server, serving
from benchmarks.settings import PARTIAL_RESULTS, RESULTS
from benchmarks.soak.holding import Sample, sample
from benchmarks.soak.mixing import HOSTS, go_wrong, mixed
from benchmarks.soak.page import MINUTES, PART_OF_LIMIT, SoakResults, publish
from benchmarks.systems import MODEL_FILES, Precision, service
from galaxytree.options import Options

_LIMIT_SECONDS = 4.0
_SAMPLE_SECONDS = 2.0
_MOST_SAMPLES = 2000


class SoakSettings(Options):
    """What `soak` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_SOAK_"

    minutes: Annotated[float, Field(gt=0, le=10_080, description="How long it goes on")] = MINUTES
    precision: Annotated[Precision, Field(description="Network that is served")] = "fp32"
    data: Annotated[
        Path, Field(description="Folder with Galaxy Zoo's pictures; where it has none, galaxies are made up")
    ] = Path("../shared/galaxy-zoo")
    output: Annotated[
        Path | None,
        Field(description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of a short run"),
    ] = None


def run_soak(settings: SoakSettings, command: str, say: Callable[[str], None]) -> Path:
    """Measure the limit, load the service for as long as is said, and return the page.

    However the run ends, what it has measured until then is written.
    """
    images = galaxies(settings.data)
    results = SoakResults.begin(command)
    results.images, results.precision = images.origin, settings.precision
    complete = False
    try:
        limit = measure_limit(MODEL_FILES[settings.precision], settings.data, _LIMIT_SECONDS)
        results.limit = limit.images_per_second
        say(f"limit: {results.limit:.0f} images/s")
        prepared = set_up(fetch_hosts=HOSTS, fetch_tries="1")(service(settings.precision, "cpu"))
        with prepared as own, own_model(own) as system, serving(system, images.encoded[0]) as server:
            raise_limit()
            uvloop.run(_soaked(server, images.encoded[:IMAGES], settings.minutes, results))
        complete = True
    except FAILURES as error:
        results.missed.append(reason(error))
        say(f"stopped: {reason(error)}")
    except KeyboardInterrupt:
        say("stopped; what was measured until now is written")
    finally:
        results.finish(whole=complete and settings.minutes >= MINUTES)
        page = publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS))
    return page


async def _soaked(server: Server, images: tuple[bytes, ...], minutes: float, results: SoakResults) -> None:
    asks = await Asks.learn(server.port, server.system.path, images)
    rate = PART_OF_LIMIT * results.limit
    load = Load(server.port, mixed(asks, images, server.system.path), rate)
    scale = min(1.0, minutes / MINUTES)
    stage = Stage(server, load, asks, rate, scale, results.happened, results.missed, results.beside)
    results.accounts = load.accounts
    begun = perf_counter()
    running = asyncio.ensure_future(load.run())
    looking = asyncio.ensure_future(
        _look(stage, results.samples, begun, max(_SAMPLE_SECONDS, 60 * minutes / _MOST_SAMPLES))
    )
    try:
        await go_wrong(stage, 60 * minutes)
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        load.stop()
        await running
        stage.beside.close()
        results.minutes = round((perf_counter() - begun) / 60, 1)


async def _look(stage: Stage, samples: list[Sample], begun: float, pause: float) -> None:
    while True:
        samples.append(sample((perf_counter() - begun) / 60, stage.pid, stage.children()))
        await asyncio.sleep(pause)
