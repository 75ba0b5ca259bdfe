"""What was asked, and what a run reached: held against each other point by point, with nothing rounded in favour."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.environments import PEERS
from benchmarks.results import Results, Scenarios, Series, find
from benchmarks.scenarios.crowd import Crowd
from benchmarks.systems import FASTAPI, ONE_PROCESS, SERVICE, Precision

BUSY = (8, 32, 128)
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
        None if it was not measured.
    """

    number: int
    asked: str
    reached: str
    met: bool | None


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
    found += _int8(series)
    for each in results.scenarios:
        found += [*_corrupt(each), *_crowds(each), *_attacks(each), *_housekeeping(each, series)]
    found.append(_gpu(results, series))
    return sorted(found, key=lambda point: point.number)


def _at_least(number: int, asked: str, value: float | None, least: float) -> Point:
    if value is None:
        return Point(number, asked, "not measured", None)
    return Point(number, asked, down(value), value >= least)


def _at_most(number: int, asked: str, value: float | None, most: float, unit: str = "") -> Point:
    if value is None or math.isnan(value):
        return Point(number, asked, "not measured", None)
    return Point(number, asked, f"{up(value)}{unit}", value <= most)


def _speed(series: Sequence[Series], precision: Precision) -> Iterator[Point]:
    for connections in BUSY:
        own = find(series, precision, connections, SERVICE, "")
        asked = f"{precision}, {connections} connections: at least {LEAST_OF_LIMIT} of the limit"
        yield _at_least(1, asked, own.ratio if own else None, LEAST_OF_LIMIT)
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
    own, limit = find(series, precision, 32, SERVICE, ""), results.limit_of(precision)
    asked = f"{precision}, 32 connections: p99 at most {MOST_P99} times 32 / limit"
    yield _at_most(2, asked, own.time_ms("p99_ms") / (32_000 / limit) if own and limit else None, MOST_P99)
    for each in results.scenarios:
        if each.precision == precision:
            loop = each.open_loop
            asked = (
                f"{precision}, open loop at 80 % of the limit: p99 at most {MOST_OPEN_LOOP:.0f} times a lone request"
            )
            ratio = loop.times.p99_ms / loop.lone.p50_ms if loop else None
            point = _at_most(2, asked, ratio, MOST_OPEN_LOOP)
            failed = {name: number for name, number in loop.statuses.items() if name != "200"} if loop else {}
            yield Point(2, asked, f"{point.reached}; besides 200: {listed(failed)}", met=False) if failed else point


def _int8(series: Sequence[Series]) -> Iterator[Point]:
    for connections in BUSY:
        asked = f"{connections} connections: int8 at least {LEAST_INT8} times fp32"
        fast, exact = (find(series, precision, connections, SERVICE, "") for precision in ("int8", "fp32"))
        yield _at_least(3, asked, fast.over(exact) if fast and exact else None, LEAST_INT8)


def _corrupt(scenarios: Scenarios) -> Iterator[Point]:
    mixed = scenarios.mixed
    asked = f"{scenarios.precision}, 5 % corrupt: all good ones 200, all bad ones 422, no connection dropped"
    if mixed is None:
        yield Point(4, asked, "not measured", None)
        return
    right = set(mixed.good) == {"200"} and set(mixed.bad) == {"422"}
    yield Point(4, asked, f"good: {listed(mixed.good)}; bad: {listed(mixed.bad)}", right)


def listed(counts: dict[str, int]) -> str:
    """Write counts by name in a line."""
    return ", ".join(f"{number} x {status}" for status, number in counts.items()) or "none"


def _crowds(scenarios: Scenarios) -> Iterator[Point]:
    for name, crowd in (("patient", scenarios.patient_crowd), ("impatient", scenarios.impatient_crowd)):
        about = f"{scenarios.precision}, 2,000 {name} connections"
        if crowd is None:
            yield Point(5, about, "not measured", None)
        else:
            yield from _crowd(about, crowd)


def _crowd(about: str, crowd: Crowd) -> Iterator[Point]:
    yield Point(5, f"{about}: nothing but 200 and 429", listed(crowd.statuses), set(crowd.statuses) <= {"200", "429"})
    asked = f"{about}: p99 of the accepted at most 2 x {crowd.queue_images} / limit, {crowd.allowed_ms:.0f} ms"
    yield _at_most(5, asked, crowd.accepted.p99_ms, crowd.allowed_ms, " ms")
    yield _at_most(5, f"{about}: at most {MOST_CROWD_MIB:.0f} MiB more", crowd.growth_mib, MOST_CROWD_MIB, " MiB")
    slower = crowd.lone_after.p50_ms / crowd.lone_before.p50_ms
    yield _at_most(5, f"{about}: afterwards a lone request at most {SAME_SPEED} times as long", slower, SAME_SPEED)


def _attacks(scenarios: Scenarios) -> Iterator[Point]:
    if not scenarios.attacks:
        yield Point(6, f"{scenarios.precision}, attacks", "not measured", None)
    for each in scenarios.attacks or []:
        about = f"{scenarios.precision}, {each.kind}"
        yield Point(6, f"{about}: refused with {each.rule}", listed(each.outcomes), each.refused_by_rule)
        yield _at_most(6, f"{about}: at most {MOST_ATTACK_MIB:.0f} MiB more", each.growth_mib, MOST_ATTACK_MIB, " MiB")
        for name in ("p50_ms", "p95_ms"):
            slower = getattr(each.times, name) / getattr(each.calm, name)
            asked = f"{about}: others' {name[:3]} at most {MOST_ATTACK_DELAY} times as long"
            yield _at_most(6, asked, slower, MOST_ATTACK_DELAY)
        yield Point(6, f"{about}: others are all answered 200", listed(each.statuses), set(each.statuses) == {"200"})


def _housekeeping(scenarios: Scenarios, series: Sequence[Series]) -> Iterator[Point]:
    run, start, about = scenarios.memory, scenarios.start, scenarios.precision
    held = [each.memory.rss for each in run.held] if run else []
    held += [each.memory.rss for each in series if (each.precision, each.system) == (about, SERVICE)]
    most = max(held, default=None)
    asked = f"{about}: at most {MOST_MIB:.0f} MiB resident under load"
    yield _at_most(7, asked, most, MOST_MIB, " MiB")
    growth = run.growth_mib / run.held[1].memory.rss if run else None
    requests = f"{run.held[-1].requests:,}" if run else "100,000"
    asked = f"{about}: over {requests} requests at most {MOST_GROWTH:.0%} more than after the first tenth of them"
    yield _at_most(7, asked, 100 * growth if growth is not None else None, 100 * MOST_GROWTH, " %")
    asked = f"{about}: ready in at most {MOST_START_SECONDS:.0f} s"
    yield _at_most(7, asked, start.median if start else None, MOST_START_SECONDS, " s")


def _gpu(results: Results, series: Sequence[Series]) -> Point:
    asked = "on a GPU: images a second over HTTP against the limit in one program"
    if results.device != "cuda":
        return Point(8, asked, "not measured: this run is on the CPU", None)
    ratios = [each.ratio for each in series if each.system == SERVICE and each.ratio]
    return Point(8, asked, f"at best {down(max(ratios))} of the limit" if ratios else "not measured", None)
