"""A run of faults: what can be set of it, and all of it in turn."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from benchmarks.failures import FAILURES, reason
from benchmarks.faults import clients, processes, reloading, surroundings
from benchmarks.faults.accounts import in_words
from benchmarks.faults.page import FaultResults, publish
from benchmarks.faults.stage import Fault, FaultRow, perform, set_up
from benchmarks.images import galaxies
from benchmarks.settings import PARTIAL_RESULTS, RESULTS
from benchmarks.systems import Precision, System, service
from galaxytree.options import Options

BODY_TIMEOUT_SECONDS = 10

EVERY = (
    Fault("sigterm", "SIGTERM", processes.end, processes.draining, repeats=5),
    Fault("reload", "a good model in the place of another", reloading.good, reloading.own_model),
    Fault("bad-reload", "a bad model in the place of another", reloading.bad, reloading.own_model),
    Fault("killed-worker", "workers killed", processes.kill_workers),
    Fault("full-disk", "a full disk under log and temporary files", surroundings.fill_disk, surroundings.small_disk),
    Fault("half-open", "half-open connections", clients.half_open),
    Fault("vanishing", "clients that vanish in mid-upload", clients.vanish),
    Fault("slow-heads", "slow clients, in the head", clients.slow_heads),
    Fault(
        "slow-bodies",
        "slow clients, in the body",
        clients.slow_bodies,
        set_up(body_timeout_seconds=str(BODY_TIMEOUT_SECONDS)),
    ),
    Fault("stalled-host", "a host of images that stalls", surroundings.stall, surroundings.stalling_host),
    Fault("clock", "a clock that jumps", surroundings.jump, surroundings.faked_clock),
)
NAMES = tuple(each.name for each in EVERY)


class FaultSettings(Options):
    """What `faults` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_FAULTS_"

    scale: Annotated[float, Field(gt=0, le=10, description="By how much all is longer, or shorter: 0.1 for a look")] = 1
    precision: Annotated[Precision, Field(description="Network that is served")] = "fp32"
    data: Annotated[
        Path, Field(description="Folder with Galaxy Zoo's pictures; where it has none, galaxies are made up")
    ] = Path("../shared/galaxy-zoo")
    output: Annotated[
        Path | None,
        Field(
            description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of part of a run"
        ),
    ] = None


def run_faults(names: Sequence[str], settings: FaultSettings, command: str, say: Callable[[str], None]) -> Path:
    """Let faults happen, and return the page; however the run ends, what it has measured until then is written.

    Parameters
    ----------
    names
        Of `NAMES`; all, if there is none.
    settings
    command
        What was called, for the page.
    say
        Is told what was measured, and what could not be.
    """
    images = galaxies(settings.data)
    results = FaultResults.begin(command)
    results.images = images.origin
    complete = not names
    try:
        for fault in EVERY:
            if not names or fault.name in names:
                row = _one(fault, service(settings.precision, "cpu"), images.encoded, settings.scale)
                results.rows.append(row)
                say(said_of(row))
    except KeyboardInterrupt:
        complete = False
        say("stopped; what was measured until now is written")
    finally:
        results.finish(whole=complete and settings.scale >= 1)
        page = publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS))
    return page


def _one(fault: Fault, system: System, images: tuple[bytes, ...], scale: float) -> FaultRow:
    try:
        return perform(fault, system, images, scale)
    except FAILURES as error:
        # A service that did not live through it is none that can't be measured.
        return FaultRow(fault=fault.name, title=fault.title, missed=[reason(error)])


def said_of(row: FaultRow) -> str:
    """Say in a line how it went."""
    if row.absent is not None:
        return f"{row.fault}: not done, {row.absent}"
    accounts, missed = row.accounts, "".join(f"; {each}" for each in row.missed)
    return (
        f"{row.fault}: {accounts.accepted:,} accepted, lost {in_words(accounts.lost)}; refused "
        f"{in_words(accounts.refused)}; never taken {in_words(accounts.away)}; {row.happened}{missed}"
    )
