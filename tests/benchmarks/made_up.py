"""What runs are made up of, whose figures a test knows."""

import sys
from pathlib import Path

from benchmarks.hostile import ATTACKS
from benchmarks.limit import Limit
from benchmarks.machine import Machine
from benchmarks.percentiles import Percentiles
from benchmarks.points import points
from benchmarks.processes import Memory
from benchmarks.provenance import Measured
from benchmarks.results import LimitRow, Results, Row, Scenarios, TailRow
from benchmarks.scenarios.attacks import Attacked
from benchmarks.scenarios.crowd import Crowd
from benchmarks.scenarios.memory import Held, LongRun
from benchmarks.scenarios.mixed import Mixed
from benchmarks.scenarios.open_loop import OpenLoop
from benchmarks.scenarios.start import Start
from benchmarks.systems import System
from benchmarks.wrk import Load

MEMORY = Memory(rss=100, pss=90, uss=80, peak=120)
TIMES = Percentiles(number=9, p50_ms=4, p95_ms=5, p99_ms=6, most_ms=7)


def load(rate: float, connections: int = 32, status: int = 0, p99_ms: float = 9.0) -> Load:
    """Make up what wrk measured in ten seconds."""
    return Load(
        connections=connections,
        seconds=10,
        requests=round(10 * rate) + status,
        p50_ms=1,
        p95_ms=2,
        p99_ms=p99_ms,
        most_ms=10,
        errors={"status": status, "timeout": 0},
        client_seconds=0.5,
    )


def row(rate: float, system: str = "service", variant: str = "", in_round: int = 1, connections: int = 32) -> Row:
    """Make up a row of fp32."""
    of_load = load(rate, connections)
    return Row(round=in_round, precision="fp32", system=system, variant=variant, load=of_load, memory=MEMORY)


def limit(rate: float, in_round: int = 1) -> LimitRow:
    """Make up a limit of fp32."""
    return LimitRow(
        round=in_round, precision="fp32", limit=Limit(images_per_second=rate, configuration="threads", tried={})
    )


def tail(p99_ms: float, in_round: int = 1, counts: dict[str, int] | None = None) -> TailRow:
    """Make up what the own client measured at 32 connections with fp32."""
    times = TIMES.model_copy(update={"p99_ms": p99_ms})
    return TailRow(
        round=in_round,
        precision="fp32",
        connections=32,
        times=times,
        statuses=counts or {"200": 9},
        client_per_thousand=0.05,
    )


def results(
    *rows: Row, limits: tuple[LimitRow, ...] = (), scenarios: tuple[Scenarios, ...] = (), device: str = "cpu"
) -> Results:
    """Make up a run."""
    machine = Machine(
        processor="Some CPU (R)", cores=2, gpu=None, memory_gib=8, kernel="Linux 6", python="3.11", versions={"a": "1"}
    )
    return Results(
        command="python -m benchmarks run",
        finished="2026-01-01 00:00 UTC",
        machine=machine,
        device=device,
        images="made up",
        seconds=5,
        rounds=3,
        whole=True,
        commit="0123456789ab",
        model=Measured(name="tiny", version="1", sha256={"fp32": "ab" * 32}, rmse_rise=0.0001),
        peers={"mosec": "0.9"},
        limits=list(limits),
        rows=list(rows),
        scenarios=list(scenarios),
    )


def verdicts(of: Results, number: int) -> dict[str, tuple[str, bool | None]]:
    """Return what is said of one of the things that were asked."""
    return {each.asked: (each.reached, each.met) for each in points(of) if each.number == number}


def attacked(kind: str = "long-upload", outcomes: dict[str, int] | None = None) -> Attacked:
    """Make up an attack on two connections that was refused as it should be."""
    return Attacked(
        kind=kind,
        seconds=12,
        lines=2,
        outcomes=outcomes or {"413": 9, "unfinished": 1},
        rule="413",
        calm=TIMES,
        times=TIMES,
        statuses={"200": 99},
        before=MEMORY,
        during=MEMORY,
        attacker_seconds=1,
    )


def whole_scenarios(**changed: object) -> Scenarios:
    """Make up scenarios in which all is well."""
    well = Scenarios(
        precision="fp32",
        open_loop=OpenLoop(rate=80, seconds=60, times=TIMES, lone=TIMES, statuses={"200": 9}, client_per_thousand=0.05),
        mixed=Mixed(
            good={"200": 95}, bad={"422": 5}, closed=0, good_times=TIMES, per_second=9, client_per_thousand=0.05
        ),
        patient_crowd=a_crowd(),
        impatient_crowd=a_crowd(patient=False),
        attacks=[attacked(kind) for kind in ATTACKS],
        memory=LongRun(held=[Held(requests=n, memory=MEMORY) for n in (0, 10, 50, 100)], statuses={"200": 100}),
        start=Start(seconds=[1.0, 2.9, 3.0]),
    )
    return well.model_copy(update=changed)


def a_crowd(*, patient: bool = True, counts: dict[str, int] | None = None) -> Crowd:
    """Make up a crowd."""
    return Crowd(
        patient=patient,
        lines=2000,
        queue_images=256,
        limit=100,
        statuses=counts or {"200": 5, "429": 6},
        per_second=90,
        accepted=TIMES,
        refused=TIMES,
        before=MEMORY,
        most=MEMORY,
        after=MEMORY,
        lone_before=TIMES,
        lone_after=TIMES,
        client_per_thousand=0.1,
    )


FAKE = Path(__file__).with_name("fake.py")


def fake(manner: str, name: str = "mosec", *, ready: bool = True) -> System:
    """Return a system that answers in some manner of ``fake.py``."""
    command = (sys.executable, str(FAKE), "{port}", manner)
    return System(name, "", "fp32", command, ready="/health/ready" if ready else None)
