"""Rounds: limit, service and peers in turn, so that whatever else the machine does meets them all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.choice import Loads, worth_more_rounds
from benchmarks.client import post, run
from benchmarks.environments import NotInstalledError, install, version_of
from benchmarks.failures import FAILURES, NotMeasuredError, reason
from benchmarks.images import Images, as_form
from benchmarks.limit import measure_limit
from benchmarks.loads import closed_loop, in_turn, statuses
from benchmarks.machine import busy
from benchmarks.percentiles import Percentiles
from benchmarks.results import LimitRow, Results, Row, TailRow
from benchmarks.scoring import Scorer
from benchmarks.serving import Server, check_answer, serving
from benchmarks.settings import CONNECTIONS, BenchSettings
from benchmarks.systems import INT8_ON_CUDA, MODEL_FILES, SERVICE, Precision, System, missing, peers, service
from benchmarks.wrk import run_wrk, write_bodies

LIMIT = "limit"
_BUSY_SECONDS = 0.4
_WARM_UP_CONNECTIONS, _WARM_UP_SECONDS = 32, 1.0
_FULL_DETAIL_CONNECTIONS = (32,)
_TAIL_CONNECTIONS = 32


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
        why = missing(precision, settings.device)
        if why is None:
            found.append(precision)
        else:
            # A run is whole without what cannot be, not without a file that should be there.
            results.skip(precision, NotMeasuredError(why), peer=why == INT8_ON_CUDA)
    return found


def install_peers(names: Sequence[str], settings: BenchSettings, results: Results) -> tuple[str, ...]:
    """Make the peers' environments; those that cannot be made are noted as skipped."""
    found = []
    for name in names:
        try:
            install(name, settings.device)
        except NotInstalledError as error:
            results.skip(name, error, peer=True)
        else:
            results.peers[name] = version_of(name)
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
        self._scores: dict[Precision, dict[str, float]] = {}

    def measure(self, precisions: Sequence[Precision]) -> None:
        """Measure all rounds."""
        rounds = self._settings.each_round
        loads = [each for precision in precisions for each in self._loads(precision)]
        for number in rounds:
            for precision in precisions:
                turns = [partial(self._limit, number, precision)] if LIMIT in self._names else []
                turns += [partial(self._system, number, *each) for each in loads if each[0].precision == precision]
                # Each round begins elsewhere, so that nothing always comes first, or always after the same.
                first = (number - 1) * len(turns) // len(rounds)
                for turn in turns[first:] + turns[:first]:
                    turn()
            if number == 1:
                loads = worth_more_rounds(self._results.rows, loads)

    def _loads(self, precision: Precision) -> Loads:
        device = self._settings.device
        found: Loads = []
        if SERVICE in self._names:
            found.append((service(precision, device), CONNECTIONS))
            found.append((service(precision, device, "full"), _FULL_DETAIL_CONNECTIONS))
        others = tuple(name for name in self._names if name not in {LIMIT, SERVICE})
        return found + [(each, CONNECTIONS) for each in peers(others, precision, device)]

    def _limit(self, number: int, precision: Precision) -> None:
        settings, others = self._settings, busy(_BUSY_SECONDS)
        try:
            limit = measure_limit(MODEL_FILES[precision], settings.data, settings.each_seconds, settings.device)
        except FAILURES as error:
            self._skip(f"{LIMIT} {precision}, round {number}", error)
            return
        self._results.limits.append(LimitRow(round=number, precision=precision, limit=limit, busy=others))
        self._say(f"{number} {precision} limit: {limit.images_per_second:.0f}/s ({limit.configuration})")

    def _system(self, number: int, system: System, connections: Sequence[int]) -> None:
        where = what = f"{system.label} {system.precision}, round {number}"
        others = busy(_BUSY_SECONDS)
        try:
            with serving(system, self._images.encoded[0]) as server:
                check_answer(server, self._images.encoded[0], self._expected(system.precision))
                self._load(server, _WARM_UP_CONNECTIONS, _WARM_UP_SECONDS)
                for each in connections:
                    where = f"{what}, {each} connections"
                    row = self._load(server, each, self._settings.each_seconds)
                    self._results.rows.append(row.model_copy(update={"round": number, "busy": others}))
                    self._say(in_words(self._results.rows[-1]))
                if system.name == SERVICE and not system.variant:
                    where = f"{what}, {_TAIL_CONNECTIONS} connections of the own client"
                    self._results.tails.append(self._tail(server, number))
        except FAILURES as error:
            self._skip(where, error, peer=system.name != SERVICE)

    def _load(self, server: Server, connections: int, seconds: float) -> Row:
        system = server.system
        bodies = self._bodies.forms if system.form else self._bodies.plain
        server.process.forget_peak()
        load = run_wrk(server.url, system.path, bodies, system.content_type, connections, seconds)
        return Row(
            round=0,
            precision=system.precision,
            system=system.name,
            variant=system.variant,
            load=load,
            memory=server.process.memory(),
        )

    def _tail(self, server: Server, number: int) -> TailRow:
        jobs = in_turn([post(server.system.path, image) for image in self._images.encoded])
        seconds = self._settings.each_seconds
        exchanges, spent = run(closed_loop(server.port, jobs, _TAIL_CONNECTIONS, seconds=seconds))
        return TailRow(
            round=number,
            precision=server.system.precision,
            connections=_TAIL_CONNECTIONS,
            times=Percentiles.of([each.seconds for each in exchanges]),
            statuses=statuses(exchanges),
            client_per_thousand=1000 * spent / max(len(exchanges), 1),
        )

    def _expected(self, precision: Precision) -> dict[str, float]:
        if precision not in self._scores:
            scorer = Scorer(MODEL_FILES[precision])
            self._scores[precision] = scorer.table(scorer.run([scorer.read(self._images.encoded[0])])[0])
        return self._scores[precision]

    def _skip(self, what: str, error: Exception, *, peer: bool = False) -> None:
        self._results.skip(what, error, peer=peer)
        self._say(f"{what} was skipped: {reason(error)}")


def in_words(row: Row) -> str:
    """Return a result in a line."""
    load = row.load
    name = f"{row.system} ({row.variant})" if row.variant else row.system
    return (
        f"{row.round} {row.precision} {name}, {load.connections} connections: {load.good_per_second:.0f}/s, p50 "
        f"{load.p50_ms:.1f} p99 {load.p99_ms:.1f} ms, {load.failed} failed, {row.memory.peak:.0f} MiB; "
        f"wrk {load.client_per_thousand:.3f} s of processor a thousand"
    )
