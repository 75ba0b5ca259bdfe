"""What was asked, and what a run reached: held against each other point by point, with nothing rounded in favour."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.environments import PEERS
from benchmarks.hostile import ATTACKS
from benchmarks.results import Results, Scenarios, Series, find
from benchmarks.scenarios.attacks import Attacked
from benchmarks.scenarios.crowd import Crowd
from benchmarks.settings import BUSY
from benchmarks.systems import FASTAPI, ONE_PROCESS, SERVICE, Precision
from galaxytree.card import MOST_RISE

LEAST_OF_LIMIT = 0.95
LEAST_OF_PEERS = 1.0
MOST_P99 = 1.6
MOST_OPEN_LOOP = 8.0
LEAST_INT8 = 2.3
MOST_CROWD_MIB = 300.0
MOST_ATTACK_MIB = 50.0
MOST_ATTACK_DELAY = 1.2
MOST_MIB = 350.0
MOST_GROWTH = 0.05
MOST_START_SECONDS = 3.0
SAME_SPEED = 1.1


@dataclass(frozen=True)
class Point:
    """One thing that was asked.

    Attributes
    ----------
    number
        Of the list that it is from.
    met
        None if it was not measured, or nothing was asked of it but a figure.
    figure
        Whether it was measured and nothing else was asked.
    """

    number: int
    asked: str
    reached: str
    met: bool | None
    figure: bool = False

    def unless(self, failed: object) -> "Point":
        """Return this as not met, with what failed, if anything did."""
        if not failed or self.met is None:
            return self
        return replace(self, reached=f"{self.reached}; {failed}", met=False)


def down(value: float, digits: int = 3) -> str:
    """Write a number, cut off and not rounded: for what is to be at least something."""
    return f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}" if math.isfinite(value) else "-"


def up(value: float, digits: int = 2) -> str:
    """Write a number, rounded up: for what is to be at most something."""
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}" if math.isfinite(value) else "-"


def points(results: Results) -> list[Point]:
    """Hold results against everything that was asked."""
    series = results.series()
    found: list[Point] = []
    for precision in results.precisions:
        found += _speed(series, precision)
        found += _tail(results, series, precision)
    found += _int8(results, series)
    for each in results.scenarios:
        found += [*_open_loop(each), *_corrupt(each), *_crowds(each), *_attacks(each), *_housekeeping(each, series)]
    found += _gpu(results, series)
    return sorted(found, key=lambda point: point.number)


def _at_least(number: int, asked: str, value: float | None, least: float) -> Point:
    if value is None:
        return Point(number, asked, "not measured", None)
    return Point(number, asked, down(value), value >= least)


def _at_most(number: int, asked: str, value: float | None, most: float, unit: str = "") -> Point:
    if value is None:
        return Point(number, asked, "not measured", None)
    if math.isnan(value):
        return Point(number, asked, "no answer", met=False)
    return Point(number, asked, f"{up(value)}{unit}", value <= most)


def _speed(series: Sequence[Series], precision: Precision) -> Iterator[Point]:
    for connections in BUSY:
        own = find(series, precision, connections, SERVICE, "")
        asked = f"{precision}, {connections} connections: at least {LEAST_OF_LIMIT} of the limit"
        failed = f"{own.failed} of {own.requests} failed" if own and own.failed else None
        yield _at_least(1, asked, own.ratio if own else None, LEAST_OF_LIMIT).unless(failed)
        others = [find(series, precision, connections, name) for name in PEERS]
        best = max((each for each in others if each), key=lambda each: each.median, default=None)
        asked = f"{precision}, {connections} connections: at least {LEAST_OF_PEERS} of the best peer"
        yield _against(1, f"{asked}{f', {best.label}' if best else ''}", own, best)
    plain = find(series, precision, 1, FASTAPI, ONE_PROCESS)
    asked = f"{precision}, 1 connection: at least {LEAST_OF_PEERS} of plain FastAPI in {ONE_PROCESS}"
    yield _against(1, asked, find(series, precision, 1, SERVICE, ""), plain)


def _against(number: int, asked: str, own: Series | None, other: Series | None) -> Point:
    return _at_least(number, asked, own.over(other) if own and other else None, LEAST_OF_PEERS)


def _tail(results: Results, series: Sequence[Series], precision: Precision) -> Iterator[Point]:
    asked = f"{precision}, 32 connections: p99 at most {MOST_P99} times 32 / limit"
    point = _at_most(2, asked, results.tail_ratio(precision), MOST_P99)
    wrk = find(series, precision, 32, SERVICE, "")
    if point.met is not None and wrk and wrk.tail_ratio is not None:
        point = replace(point, reached=f"{point.reached} by the project's own client, {up(wrk.tail_ratio)} by wrk")
    counts = Counter[str]()
    for row in results.tails:
        if row.precision == precision:
            counts.update(row.statuses)
    yield point.unless(_besides(counts))


def _besides(counts: Mapping[str, int]) -> str | None:
    """Return what there is besides answers of 200, which there are to be."""
    others = {status: number for status, number in counts.items() if status != "200"}
    return f"besides 200: {listed(others)}" if others else None if counts else "nothing was answered"


def _int8(results: Results, series: Sequence[Series]) -> Iterator[Point]:
    rise = results.model.rmse_rise
    for connections in BUSY:
        asked = f"{connections} connections: int8 at least {LEAST_INT8} times fp32, RMSE at most {MOST_RISE} more"
        fast, exact = (find(series, precision, connections, SERVICE, "") for precision in ("int8", "fp32"))
        point = _at_least(3, asked, fast.over(exact) if fast and exact else None, LEAST_INT8)
        if rise is None:
            yield point.unless("what it costs in RMSE is not known")
        elif rise > MOST_RISE:
            yield point.unless(f"RMSE {up(rise, 6)} more")
        else:
            yield replace(point, reached=f"{point.reached}; RMSE {rise:+.6f}") if point.met is not None else point


def _lacking(number: int, asked: str, scenarios: Scenarios, name: str) -> Point:
    """Return what is said of a scenario of which there are no figures: a service that it ended has not met it."""
    ended = scenarios.ended.get(name)
    return Point(number, asked, ended or "not measured", met=False if ended else None)


def _open_loop(scenarios: Scenarios) -> Iterator[Point]:
    loop = scenarios.open_loop
    asked = (
        f"{scenarios.precision}, open loop at 80 % of the limit: p99 at most {MOST_OPEN_LOOP:.0f} times a lone request"
    )
    if loop is None:
        yield _lacking(2, asked, scenarios, "open-loop")
        return
    point = _at_most(2, asked, loop.times.p99_ms / loop.lone.p50_ms, MOST_OPEN_LOOP)
    yield point.unless(_besides(loop.statuses))


def _corrupt(scenarios: Scenarios) -> Iterator[Point]:
    mixed = scenarios.mixed
    asked = f"{scenarios.precision}, 5 % corrupt: all good ones 200, all bad ones 422, no connection dropped"
    if mixed is None:
        yield _lacking(4, asked, scenarios, "mixed")
        return
    right = set(mixed.good) == {"200"} and set(mixed.bad) == {"422"} and not mixed.closed
    said = f"good: {listed(mixed.good)}; bad: {listed(mixed.bad)}; connections closed: {mixed.closed}"
    yield Point(4, asked, said, right)


def listed(counts: Mapping[str, int]) -> str:
    """Write counts by name in a line."""
    return ", ".join(f"{number} x {status}" for status, number in counts.items()) or "none"


def _crowds(scenarios: Scenarios) -> Iterator[Point]:
    for name, crowd in (("patient", scenarios.patient_crowd), ("impatient", scenarios.impatient_crowd)):
        about = f"{scenarios.precision}, 2,000 {name} connections"
        if crowd is None:
            yield _lacking(5, about, scenarios, f"{name}-crowd")
        else:
            yield from _crowd(about, crowd)


def _crowd(about: str, crowd: Crowd) -> Iterator[Point]:
    right = {"200"} <= set(crowd.statuses) <= {"200", "429"}
    yield Point(5, f"{about}: some 200, and nothing else but 429", listed(crowd.statuses), right)
    asked = f"{about}: p99 of the accepted at most 2 x {crowd.queue_images} / limit, {crowd.allowed_ms:.0f} ms"
    yield _at_most(5, asked, crowd.accepted.p99_ms, crowd.allowed_ms, " ms")
    yield _at_most(5, f"{about}: at most {MOST_CROWD_MIB:.0f} MiB more", crowd.growth_mib, MOST_CROWD_MIB, " MiB")
    slower = crowd.lone_after.p50_ms / crowd.lone_before.p50_ms
    yield _at_most(5, f"{about}: afterwards a lone request at most {SAME_SPEED} times as long", slower, SAME_SPEED)


def _attacks(scenarios: Scenarios) -> Iterator[Point]:
    measured = {each.kind: each for each in scenarios.attacks}
    for kind in ATTACKS:
        about = f"{scenarios.precision}, {kind}"
        if kind in measured:
            yield from _attack(about, measured[kind])
        else:
            yield _lacking(6, about, scenarios, kind)


def _attack(about: str, attacked: Attacked) -> Iterator[Point]:
    asked = f"{about}: refused with {attacked.rule}, {attacked.lines} times or more"
    yield Point(6, asked, listed(attacked.outcomes), attacked.refused_by_rule)
    asked = f"{about}: at most {MOST_ATTACK_MIB:.0f} MiB more"
    yield _at_most(6, asked, attacked.growth_mib, MOST_ATTACK_MIB, " MiB")
    for name in ("p50_ms", "p95_ms"):
        slower = getattr(attacked.times, name) / getattr(attacked.calm, name)
        asked = f"{about}: others' {name[:3]} at most {MOST_ATTACK_DELAY} times as long"
        yield _at_most(6, asked, slower, MOST_ATTACK_DELAY)
    right = set(attacked.statuses) == {"200"}
    yield Point(6, f"{about}: others are all answered 200", listed(attacked.statuses), right)


def _housekeeping(scenarios: Scenarios, series: Sequence[Series]) -> Iterator[Point]:
    run, start, about = scenarios.memory, scenarios.start, scenarios.precision
    held = [each.memory for each in run.held[1:]] if run else []
    held += [each.memory for each in series if (each.precision, each.system) == (about, SERVICE)]
    asked = f"{about}: at most {MOST_MIB:.0f} MiB resident under load, pages that processes share counted once"
    point = _at_most(7, asked, max((each.peak_once for each in held), default=None), MOST_MIB, " MiB")
    if held:
        point = replace(point, reached=f"{point.reached}; counted in each {up(max(each.peak for each in held))} MiB")
    yield point
    requests = f"{run.held[-1].requests:,}" if run else "100,000"
    asked = f"{about}: over {requests} requests at most {MOST_GROWTH:.0%} more than after the first tenth of them"
    if run is None:
        yield _lacking(7, asked, scenarios, "memory")
    else:
        growth = 100 * run.growth_mib / run.held[1].memory.rss
        yield _at_most(7, asked, growth, 100 * MOST_GROWTH, " %").unless(_besides(run.statuses))
    asked = f"{about}: ready in at most {MOST_START_SECONDS:.0f} s, each time"
    if start is None:
        yield _lacking(7, asked, scenarios, "start-up")
    else:
        yield _at_most(7, asked, start.most, MOST_START_SECONDS, " s")


def _gpu(results: Results, series: Sequence[Series]) -> Iterator[Point]:
    asked = "on a GPU: images a second over HTTP against the limit in one program"
    if results.device != "cuda":
        yield Point(8, asked, "not measured: this run is on the CPU", None)
        return
    own = [each for each in series if (each.system, each.variant) == (SERVICE, "") and each.ratio is not None]
    for each in sorted(own, key=lambda one: one.connections):
        ratio = f"{down(each.ratio or 0.0)} of the limit"
        yield Point(8, f"{asked}, {each.connections} connections", ratio, None, figure=True)
    if not own:
        yield Point(8, asked, "not measured", None)
