"""Rounds: limit, service and peers in turn, so that whatever else the machine does meets them all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import NotInstalledError, install
from benchmarks.images import Images, as_form
from benchmarks.limit import LimitError, measure_limit
from benchmarks.machine import busy
from benchmarks.results import LimitRow, Results, Row
from benchmarks.scoring import Scorer
from benchmarks.settings import CONNECTIONS, BenchSettings
from benchmarks.systems import (
    MODEL_FILES,
    SERVICE,
    NotServedError,
    Precision,
    Server,
    System,
    check_answer,
    content_type,
    missing,
    peers,
    service,
    serving,
)
from benchmarks.wrk import WrkError, run_wrk, write_bodies

LIMIT = "limit"
_BUSY_SECONDS = 2.0
_WARM_UP_CONNECTIONS, _WARM_UP_SECONDS = 32, 1.0
_FULL_DETAIL_CONNECTIONS = (32,)


@dataclass(frozen=True)
class Bodies:
    """Folders with what is sent, as it is and as forms."""

    plain: Path
    forms: Path

    @classmethod
    def write(cls, images: Images, folder: Path) -> "Bodies":
        """Write both."""
        return cls(
            write_bodies(images.encoded, folder / "plain"),
            write_bodies([as_form(each) for each in images.encoded], folder / "forms"),
        )


def measurable(settings: BenchSettings, results: Results) -> list[Precision]:
    """Return the networks that can be measured; the others are noted as skipped."""
    found: list[Precision] = []
    for precision in settings.precisions:
        reason = missing(precision)
        if reason is None:
            found.append(precision)
        else:
            results.skipped[precision] = reason
    return found


def install_peers(names: Sequence[str], settings: BenchSettings, results: Results) -> tuple[str, ...]:
    """Make the peers' environments; those that cannot be made are noted as skipped."""
    found = []
    for name in names:
        try:
            install(name, settings.device)
        except NotInstalledError as error:
            results.skipped[name] = str(error)
        else:
            found.append(name)
    return tuple(found)


class Rounds:
    """The rounds of a run.

    Parameters
    ----------
    names
        What to measure: ``limit``, ``service``, and peers that are installed.
    results
        Where what is measured is added.
    say
        Is told each result in a line.
    """

    def __init__(
        self,
        settings: BenchSettings,
        names: Sequence[str],
        images: Images,
        bodies: Bodies,
        results: Results,
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._names, self._images = settings, names, images
        self._bodies, self._results, self._say = bodies, results, say

    def measure(self, precisions: Sequence[Precision]) -> None:
        """Measure all rounds."""
        systems = [system for precision in precisions for system in self._systems(precision)]
        for number in self._settings.each_round:
            self._results.busy_before.append(busy(_BUSY_SECONDS))
            for precision in precisions:
                if LIMIT in self._names:
                    self._limit(number, precision)
                for system in systems:
                    if system.precision == precision:
                        self._system(number, system)
            systems = self._worth_another_round(systems)

    def _systems(self, precision: Precision) -> list[System]:
        device = self._settings.device
        own = [service(precision, device), service(precision, device, "full")] if SERVICE in self._names else []
        others = tuple(name for name in self._names if name not in {LIMIT, SERVICE})
        return own + peers(others, precision, device)

    def _limit(self, number: int, precision: Precision) -> None:
        settings = self._settings
        try:
            limit = measure_limit(MODEL_FILES[precision], settings.data, settings.each_seconds, settings.device)
        except LimitError as error:
            self._skip(f"{LIMIT} {precision}", str(error))
            return
        self._results.limits.append(LimitRow(round=number, precision=precision, limit=limit))
        self._say(f"{number} {precision} limit: {limit.images_per_second:.0f}/s ({limit.configuration})")

    def _system(self, number: int, system: System) -> None:
        try:
            with serving(system, self._images.encoded[0]) as server:
                check_answer(server, self._images.encoded[0], self._expected(system))
                self._load(server, _WARM_UP_CONNECTIONS, _WARM_UP_SECONDS)
                for connections in CONNECTIONS if system.variant != "full detail" else _FULL_DETAIL_CONNECTIONS:
                    row = self._load(server, connections, self._settings.each_seconds, number)
                    self._results.rows.append(row)
                    self._say(in_words(row))
        except (NotServedError, WrkError) as error:
            self._skip(f"{system.label} {system.precision}", str(error))

    def _load(self, server: Server, connections: int, seconds: float, number: int = 0) -> Row:
        system = server.system
        bodies = self._bodies.forms if system.form else self._bodies.plain
        load = run_wrk(server.url, system.path, bodies, content_type(system), connections, seconds)
        return Row(
            round=number,
            precision=system.precision,
            system=system.name,
            variant=system.variant,
            load=load,
            memory=server.process.memory(),
        )

    def _expected(self, system: System) -> dict[str, float]:
        scorer = Scorer(MODEL_FILES[system.precision])
        return scorer.table(scorer.run([scorer.read(self._images.encoded[0])])[0])

    def _worth_another_round(self, systems: list[System]) -> list[System]:
        """Drop the ways of setting up a peer that were not the best of its own at any load."""
        best: dict[tuple[str, str, int], Row] = {}
        for row in self._results.rows:
            key = (row.precision, row.system, row.load.connections)
            if key not in best or row.load.good_per_second > best[key].load.good_per_second:
                best[key] = row
        good = {(row.precision, row.system, row.variant) for row in best.values()}
        return [each for each in systems if each.name == SERVICE or (each.precision, each.name, each.variant) in good]

    def _skip(self, what: str, why: str) -> None:
        self._results.skipped[what] = why
        self._say(f"{what} was skipped: {why}")


def in_words(row: Row) -> str:
    """Return a result in a line."""
    load = row.load
    name = f"{row.system} ({row.variant})" if row.variant else row.system
    return (
        f"{row.round} {row.precision} {name}, {load.connections} connections: {load.good_per_second:.0f}/s, p50 "
        f"{load.p50_ms:.1f} p99 {load.p99_ms:.1f} ms, {load.failed} failed, {row.memory.rss:.0f} MiB; "
        f"wrk {load.client_per_thousand:.3f} s of processor a thousand"
    )
