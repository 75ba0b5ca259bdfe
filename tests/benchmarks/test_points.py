"""What was asked is held against what was reached, and nothing is rounded or left out in favour."""

import pytest

from benchmarks.hostile import ATTACKS
from benchmarks.percentiles import Percentiles
from benchmarks.points import down, points, up
from benchmarks.processes import Memory
from benchmarks.scenarios.memory import Held, LongRun
from benchmarks.scenarios.mixed import Mixed
from benchmarks.scenarios.open_loop import OpenLoop
from benchmarks.scenarios.start import Start
from benchmarks.systems import ONE_PROCESS
from benchmarks.table import write_table
from tests.benchmarks.made_up import (
    MEMORY,
    TIMES,
    a_crowd,
    attacked,
    limit,
    load,
    results,
    row,
    tail,
    verdicts,
    whole_scenarios,
)


@pytest.mark.parametrize(("value", "below", "above"), [(0.9499, "0.949", "0.95"), (2.0, "2.000", "2.00")])
def test_nothing_is_rounded_in_favour(value: float, below: str, above: str) -> None:
    assert (down(value), up(value)) == (below, above)


def test_speed_is_held_against_limit_and_best_peer() -> None:
    rows = [row(94.9), row(80, "litserve", "each"), row(95.5, "mosec", "batches")]
    said = verdicts(results(*rows, limits=(limit(100),)), 1)
    assert said["fp32, 32 connections: at least 0.95 of the limit"] == ("0.949", False)
    reached, met = said["fp32, 32 connections: at least 1.0 of the best peer, mosec (batches)"]
    assert not met
    assert reached.startswith("0.99")
    assert said["fp32, 8 connections: at least 0.95 of the limit"] == ("not measured", None)


def test_one_connection_is_held_against_plain_fastapi() -> None:
    said = verdicts(results(row(30, connections=1), row(20, "fastapi", ONE_PROCESS, connections=1)), 1)
    (verdict,) = [each for asked, each in said.items() if "1 connection:" in asked]
    assert verdict == ("1.500", True)


def test_failures_under_steady_load_are_not_met() -> None:
    failing = row(98).model_copy(update={"load": load(98, status=3)})
    said = verdicts(results(failing, limits=(limit(100),)), 1)
    assert said["fp32, 32 connections: at least 0.95 of the limit"] == ("0.980; 3 of 983 failed", False)


def test_the_tail_is_by_the_own_client_and_within_a_round() -> None:
    # 32 / limit is 320 ms in the first round and 160 in the second; in the third the limit was not measured.
    tails = [tail(480), tail(240, in_round=2), tail(9999, in_round=3)]
    of = results(row(95), row(190, in_round=2), limits=(limit(100), limit(200, in_round=2)))
    of.tails = tails
    asked = "fp32, 32 connections: p99 at most 1.6 times 32 / limit"
    reached, met = verdicts(of, 2)[asked]
    assert reached.startswith("1.50 by the project's own client, ")
    assert reached.endswith(" by wrk")
    assert met
    of.tails = [tail(513), *tails[1:]]
    assert verdicts(of, 2)[asked][1] is True
    of.tails = [tail(540), tail(270, in_round=2)]
    assert verdicts(of, 2)[asked][1] is False
    of.tails = [tail(300, counts={"200": 9, "unanswered": 1}), tails[1]]
    reached, met = verdicts(of, 2)[asked]
    assert reached.endswith("besides 200: 1 x unanswered")
    assert met is False
    of.tails = []
    assert verdicts(of, 2)[asked] == ("not measured", None)


@pytest.mark.parametrize(
    ("rate", "rise", "met"),
    [(231, 0.0003, True), (231, -0.0001, True), (229, 0.0001, False), (231, 0.00031, False), (231, None, False)],
)
def test_int8_is_to_be_faster_and_as_good(rate: float, rise: float | None, met: bool) -> None:  # noqa: FBT001
    fast = row(rate).model_copy(update={"precision": "int8"})
    of = results(row(100), fast)
    of.model = of.model.model_copy(update={"rmse_rise": rise})
    (said,) = [each for asked, each in verdicts(of, 3).items() if asked.startswith("32 connections")]
    assert said[1] is met
    assert "RMSE" in said[0]
    assert verdicts(results(), 3).keys() == verdicts(of, 3).keys()
    assert {met for _, met in verdicts(results(), 3).values()} == {None}


def test_where_all_is_well_everything_is_met() -> None:
    said = [each for each in points(results(scenarios=(whole_scenarios(),))) if each.number in {4, 5, 6, 7}]
    assert {each.number for each in said} == {4, 5, 6, 7}
    assert all(each.met for each in said), said


@pytest.mark.parametrize(
    ("number", "changed"),
    [
        (4, {"mixed": Mixed(good={"200": 9, "dropped": 1}, bad={"422": 1}, closed=0, good_times=TIMES, per_second=1,
                            client_per_thousand=0)}),
        (4, {"mixed": Mixed(good={"200": 9}, bad={"422": 1, "500": 1}, closed=0, good_times=TIMES, per_second=1,
                            client_per_thousand=0)}),
        (4, {"mixed": Mixed(good={"200": 9}, bad={"422": 1}, closed=1, good_times=TIMES, per_second=1,
                            client_per_thousand=0)}),
        (5, {"patient_crowd": a_crowd(counts={"200": 1, "503": 1})}),
        (5, {"patient_crowd": a_crowd(counts={"429": 7})}),
        (5, {"patient_crowd": a_crowd().model_copy(update={"accepted": Percentiles.of([])})}),
        (5, {"patient_crowd": a_crowd().model_copy(update={"lone_after": Percentiles.of([])})}),
        (5, {"impatient_crowd": a_crowd().model_copy(update={"most": Memory(rss=1, pss=1, uss=1, peak=401)})}),
        (5, {"patient_crowd": a_crowd().model_copy(update={"limit": 100_000.0})}),
        (6, {"attacks": [attacked(kind, {"413": 1, "unfinished": 99}) for kind in ATTACKS]}),
        (7, {"start": None, "ended": {"start-up": "it did not come up"}}),
        (7, {"start": Start(seconds=[1.0, 2.0, 3.1])}),
        (7, {"memory": LongRun(held=[Held(requests=n, memory=MEMORY.model_copy(update={"rss": 100 + n}))
                                     for n in (0, 10, 50, 100)], statuses={"200": 100})}),
        (7, {"memory": LongRun(held=[Held(requests=n, memory=MEMORY) for n in (0, 10, 50, 100)],
                               statuses={"200": 99, "unanswered": 1})}),
        (7, {"memory": LongRun(held=[Held(requests=n, memory=MEMORY.model_copy(update={"peak": 361}))
                                     for n in (0, 10, 50, 100)], statuses={"200": 100})}),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said(number: int, changed: dict[str, object]) -> None:
    said = verdicts(results(scenarios=(whole_scenarios(**changed),)), number)
    assert False in [met for _, met in said.values()]


def test_pages_that_processes_share_count_once() -> None:
    memory = MEMORY.model_copy(update={"rss": 300, "pss": 250, "peak": 400})
    run = LongRun(held=[Held(requests=n, memory=memory) for n in (0, 10, 50, 100)], statuses={"200": 100})
    said = verdicts(results(scenarios=(whole_scenarios(memory=run),)), 7)
    (reached,) = (found for asked, found in said.items() if "350 MiB" in asked)
    assert reached == ("350.00 MiB; counted in each 400.00 MiB", True)


def test_an_attack_that_was_not_measured_is_said_to_be_so() -> None:
    said = verdicts(results(scenarios=(whole_scenarios(attacks=[attacked("huge-image")]),)), 6)
    assert [asked for asked, (_, met) in said.items() if met is None] == [
        f"fp32, {kind}" for kind in ATTACKS if kind != "huge-image"
    ]


def test_an_attack_that_is_answered_otherwise_is_not_refused_by_rule() -> None:
    assert attacked().refused_by_rule
    for outcomes in ({"413": 3, "dropped": 1}, {"200": 1}, {"unfinished": 4}, {"413": 1, "unfinished": 1}):
        assert not attacked(outcomes=outcomes).refused_by_rule


def test_an_open_loop_with_refusals_is_not_met() -> None:
    loop = OpenLoop(rate=1, seconds=1, times=TIMES, lone=TIMES, statuses={"200": 9, "429": 1}, client_per_thousand=0)
    (verdict,) = [
        each for asked, each in verdicts(results(scenarios=(whole_scenarios(open_loop=loop),)), 2).items()
        if "open loop" in asked
    ]  # fmt: skip
    assert verdict == ("1.50; besides 200: 1 x 429", False)


def test_a_gpu_that_was_not_there_is_not_met_and_not_missed() -> None:
    ((reached, met),) = verdicts(results(row(50), limits=(limit(100),)), 8).values()
    assert (reached, met) == ("not measured: this run is on the CPU", None)
    assert {met for _, met in verdicts(results(device="cuda"), 8).values()} == {None}
    of = results(row(50), row(70, connections=128), limits=(limit(100),), device="cuda")
    found = [each for each in points(of) if each.number == 8]
    assert [each.reached for each in found] == ["0.500 of the limit", "0.700 of the limit"]
    assert [each.asked.rpartition(", ")[2] for each in found] == ["32 connections", "128 connections"]
    assert write_table(of).count("of the limit | measured |") == 2
