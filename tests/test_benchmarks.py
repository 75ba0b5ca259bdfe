"""The benchmarks count right: what they read, add up and conclude. How fast anything is, no test says."""

import contextlib
import itertools
import math
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import environments
from benchmarks.__main__ import main
from benchmarks.client import post, run
from benchmarks.environments import NotInstalledError, install
from benchmarks.hostile import attack
from benchmarks.images import Images, as_form, corrupt, galaxies, huge_png, made
from benchmarks.limit import Limit, best
from benchmarks.loads import Exchange, Job, arrivals, closed_loop, crowd, in_turn, mixed, open_loop, statuses
from benchmarks.machine import Machine, busy, this_machine
from benchmarks.percentiles import Percentiles, nearest
from benchmarks.points import down, points, up
from benchmarks.processes import Memory, descendants, memory_of, started
from benchmarks.results import LimitRow, Results, Row, Scenarios, find
from benchmarks.rounds import Bodies, Rounds, measurable
from benchmarks.scenarios.attacks import Attacked
from benchmarks.scenarios.crowd import Crowd
from benchmarks.scenarios.memory import Held, LongRun
from benchmarks.scenarios.mixed import Mixed
from benchmarks.scenarios.open_loop import OpenLoop
from benchmarks.scenarios.start import Start
from benchmarks.settings import BenchSettings
from benchmarks.systems import ONE_PROCESS, Precision, peers, service
from benchmarks.table import write_table
from benchmarks.wrk import Load, WrkError, parse, write_bodies
from galaxytree.imaging import EncodedImage, UndecodableImageError, decode

PRINTED = """Running 1s test @ http://127.0.0.1:8000
  250 requests in 2.00s, 1.00MB read
RESULT {"requests": 250, "microseconds": 2000000, "p50": 1500.0, "p95": 2500.5, "p99": 9000.0, "most": 12000.0, \
"connect": 1, "read": 2, "write": 3, "status": 10, "timeout": 4}
"""
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
        limits=list(limits),
        rows=list(rows),
        scenarios=list(scenarios),
    )


def verdicts(of: Results, number: int) -> dict[str, tuple[str, bool | None]]:
    """Return what is said of one of the things that were asked."""
    return {each.asked: (each.reached, each.met) for each in points(of) if each.number == number}


def test_what_wrk_measured_is_read() -> None:
    read = parse(PRINTED, connections=8, client_seconds=0.25)
    assert (read.p50_ms, read.p95_ms, read.p99_ms, read.most_ms) == (1.5, 2.5005, 9.0, 12.0)
    assert read.good_per_second == (250 - 10) / 2
    assert read.failed == 1 + 2 + 3 + 10 + 4
    assert read.client_per_thousand == 1.0


def test_a_wrk_that_says_nothing_is_an_error_with_its_words() -> None:
    with pytest.raises(WrkError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1", connections=1, client_seconds=0)


def test_the_script_for_wrk_finds_every_body(tmp_path: Path) -> None:
    folder = write_bodies([b"one", b"two"], tmp_path / "bodies")
    listed = (folder / "list").read_text("utf-8").split()
    assert [(folder / name).read_bytes() for name in listed] == [b"one", b"two"]


def test_percentiles_are_values_that_were_measured() -> None:
    values = [each / 1000 for each in range(1, 101)]
    read = Percentiles.of(values[::-1])
    assert (read.number, read.p50_ms, read.p95_ms, read.p99_ms, read.most_ms) == (100, 50, 95, 99, 100)
    assert nearest([3.0], 0.01) == 3.0
    assert math.isnan(Percentiles.of([]).p99_ms)
    assert str(Percentiles.of([])) == "none"


def test_arrivals_are_poisson() -> None:
    times = np.array(arrivals(rate=200, seconds=50))
    assert abs(len(times) / 50 - 200) < 10
    between = np.diff(times)
    assert between.min() > 0
    # The standard deviation of an exponential distribution is its mean.
    assert between.std() == pytest.approx(between.mean(), rel=0.05)


def test_bad_requests_are_strewn_in() -> None:
    jobs = list(itertools.islice(mixed([b"g"], [b"b"], 0.05), 4000))
    assert {(job.request, job.kind) for job in jobs} == {(b"g", "good"), (b"b", "bad")}
    assert 150 < sum(job.kind == "bad" for job in jobs) < 250


def test_made_up_galaxies_look_like_real_ones_in_bytes_and_size() -> None:
    image = made(seed=3)
    assert 9_000 < len(image) < 20_000
    assert decode(image).shape == (424, 424, 3)


def test_galaxies_are_made_up_where_there_are_none(tmp_path: Path) -> None:
    found = galaxies(tmp_path, number=2)
    assert len(set(found.encoded)) == 2
    assert "made-up" in found.origin


def test_what_is_called_corrupt_cannot_be_decoded() -> None:
    bodies = corrupt([made(0)], number=9)
    assert b"" in bodies
    for body in bodies:
        with pytest.raises(UndecodableImageError):
            decode(body)


def test_the_huge_png_is_whole_and_small() -> None:
    assert not decode(huge_png(side=50)).any()
    png = huge_png(side=3000)
    assert len(png) < 30_000
    assert (EncodedImage(png).header.width, EncodedImage(png).header.height) == (3000, 3000)


def test_a_form_holds_the_image_once() -> None:
    assert as_form(b"\xff\xd8image").count(b"\xff\xd8image") == 1


def test_the_limit_is_the_better_of_the_most_promising_ways() -> None:
    short = {("threads", 1): 100.0, ("threads", 8): 200.0, ("processes", 8): 210.0}
    # What looked best for a moment need not be.
    full = {("threads", 8): 205.0, ("processes", 8): 190.0}
    spans: list[float] = []

    def rate(way: tuple[str, int], seconds: float) -> float:
        spans.append(seconds)
        return full[way] if seconds == 5 else short[way]

    found = best(rate, list(short), seconds=5)
    assert (found.images_per_second, found.configuration) == (205.0, "threads, batches of 8")
    assert spans.count(5) == 2
    assert found.tried["threads, batches of 1"] == 100.0


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was twice as fast in the second round, for all alike.
    found = results(row(90), row(180, in_round=2), limits=(limit(100), limit(200, in_round=2)))
    (series,) = found.series()
    assert series.ratio == pytest.approx(0.9)
    assert series.median == 135
    other = results(row(60, "mosec"), row(120, "mosec", in_round=2)).series()[0]
    assert series.over(other) == pytest.approx(1.5)


def test_a_peer_counts_at_its_best() -> None:
    series = results(row(50, "mosec", "each"), row(70, "mosec", "batches"), row(60, "service")).series()
    found = find(series, "fp32", 32, "mosec")
    assert found is not None
    assert found.variant == "batches"
    assert find(series, "int8", 32, "mosec") is None


def test_one_lucky_round_makes_no_best() -> None:
    often = [row(50, "mosec", "often", in_round=each) for each in (1, 2)]
    found = find(results(*often, row(70, "mosec", "once")).series(), "fp32", 32, "mosec")
    assert found is not None
    assert found.variant == "often"


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


def whole_scenarios(**changed: object) -> Scenarios:
    """Make up scenarios in which all is well."""
    attack = Attacked(
        kind="long-upload",
        seconds=12,
        outcomes={"413": 9, "unfinished": 1},
        rule="413",
        calm=TIMES,
        times=TIMES,
        statuses={"200": 99},
        before=MEMORY,
        during=MEMORY,
        attacker_seconds=1,
    )
    well = Scenarios(
        precision="fp32",
        open_loop=OpenLoop(rate=80, seconds=60, times=TIMES, lone=TIMES, statuses={"200": 9}, client_per_thousand=0.05),
        mixed=Mixed(good={"200": 95}, bad={"422": 5}, good_times=TIMES, per_second=9, client_per_thousand=0.05),
        patient_crowd=a_crowd(),
        impatient_crowd=a_crowd(patient=False),
        attacks=[attack],
        memory=LongRun(held=[Held(requests=n, memory=MEMORY) for n in (0, 10, 50, 100)], statuses={"200": 100}),
        start=Start(seconds=[1.0, 2.9, 9.0]),
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


def test_where_all_is_well_everything_is_met() -> None:
    said = [each for each in points(results(scenarios=(whole_scenarios(),))) if each.number in {4, 5, 6, 7}]
    assert {each.number for each in said} == {4, 5, 6, 7}
    assert all(each.met for each in said), said


@pytest.mark.parametrize(
    ("number", "changed"),
    [
        (4, {"mixed": Mixed(good={"200": 9, "dropped": 1}, bad={"422": 1}, good_times=TIMES, per_second=1,
                            client_per_thousand=0)}),
        (4, {"mixed": Mixed(good={"200": 9}, bad={"422": 1, "500": 1}, good_times=TIMES, per_second=1,
                            client_per_thousand=0)}),
        (5, {"patient_crowd": a_crowd(counts={"200": 1, "503": 1})}),
        (5, {"impatient_crowd": a_crowd().model_copy(update={"most": Memory(rss=1, pss=1, uss=1, peak=401)})}),
        (5, {"patient_crowd": a_crowd().model_copy(update={"limit": 100_000.0})}),
        (6, {"attacks": None}),
        (7, {"start": Start(seconds=[1.0, 3.1, 4.0])}),
        (7, {"memory": LongRun(held=[Held(requests=n, memory=MEMORY.model_copy(update={"rss": 100 + n}))
                                     for n in (0, 10, 50, 100)], statuses={})}),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said(number: int, changed: dict[str, object]) -> None:
    said = verdicts(results(scenarios=(whole_scenarios(**changed),)), number)
    assert not all(met for _, met in said.values())


def test_an_attack_that_is_answered_otherwise_is_not_refused_by_rule() -> None:
    (attack,) = whole_scenarios().attacks or []
    assert attack.refused_by_rule
    for outcomes in ({"413": 3, "dropped": 1}, {"200": 1}, {"unfinished": 4}):
        assert not attack.model_copy(update={"outcomes": outcomes}).refused_by_rule


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
    ((reached, met),) = verdicts(results(row(50), limits=(limit(100),), device="cuda"), 8).values()
    assert reached == "at best 0.500 of the limit"


def test_the_table_has_every_system_and_what_was_skipped() -> None:
    of = results(row(50), row(60, "mosec", "each"), limits=(limit(100),), scenarios=(whole_scenarios(),))
    of.busy_before = [0.01, 0.5]
    of.skipped["litserve"] = "does not install: no matching distribution"
    table = write_table(of, "plot.png")
    for part in ("| **service** | 50 (one round) | 0.500 |", "| mosec (each) | 60", "100 (threads)", "plot.png",
                 "- litserve: does not install", "2,000 connections", "1%, 50% of the processor",
                 "**Memory** after", "5 x 422"):  # fmt: skip
        assert part in table
    assert "not to be published" not in table
    of.whole = False
    assert "not to be published" in write_table(of)


def test_the_table_is_written_anew_from_the_figures_alone(tmp_path: Path) -> None:
    nothing = Percentiles.of([])
    of = results(row(50), limits=(limit(100),), scenarios=(
        whole_scenarios(patient_crowd=a_crowd().model_copy(update={"accepted": nothing})),
    ))  # fmt: skip
    file = tmp_path / f"{of.machine.name}.json"
    file.write_text(of.model_dump_json(), "utf-8")
    done = CliRunner().invoke(main, ["table", str(file)])
    assert done.exit_code == 0, done.output
    assert file.name == "some-cpu-r-2-cores.json"
    assert file.with_suffix(".md").read_text("utf-8") == write_table(of, file.with_suffix(".png").name)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_machine_without_wrk_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    done = CliRunner().invoke(main, ["run", "limit"])
    assert done.exit_code == 2
    assert "apt install wrk" in done.output


def test_ways_that_were_never_the_best_are_measured_once(tmp_path: Path) -> None:
    of = results(
        row(10, "mosec", "one image at a time", connections=1),
        row(50, "mosec", "one image at a time"),
        row(5, "mosec", "batches of up to 4", connections=1),
        row(60, "mosec", "batches of up to 4"),
        row(9, "mosec", "batches of up to 8", connections=1),
        row(59, "mosec", "batches of up to 8"),
    )
    none = Bodies(tmp_path, tmp_path)
    rounds = Rounds(BenchSettings(), ["mosec"], Images((b"",), "none"), none, of, lambda _: None)
    systems = [service("fp32", "cpu"), *peers(("mosec",), "fp32", "cpu")]
    kept = rounds._worth_another_round(systems)
    assert [each.variant for each in kept] == ["", "one image at a time", "batches of up to 4"]


def test_a_network_that_is_not_there_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(precision: Precision) -> str | None:
        return "there is no model.int8.onnx" if precision == "int8" else None

    monkeypatch.setattr("benchmarks.rounds.missing", missing)
    of = results()
    assert measurable(BenchSettings(), of) == ["fp32"]
    assert of.skipped == {"int8": "there is no model.int8.onnx"}


def test_only_a_full_run_is_to_be_published() -> None:
    assert not BenchSettings().shortened
    for less in ({"quick": True}, {"rounds": 2}, {"seconds": 4}, {"precision": "fp32"}, {"scenarios": False}):
        assert BenchSettings.model_validate(less).shortened


def test_a_peer_that_does_not_install_is_named_with_pip_s_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: old\nERROR: No matching distribution for mosec==0")

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(NotInstalledError, match="mosec does not install: ERROR: No matching distribution"):
        install("mosec")


def test_an_environment_is_made_once_for_each_set_of_pins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def succeed(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (tmp_path / "mosec").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", succeed)
    install("mosec")
    before = len(commands)
    install("mosec")
    assert len(commands) == before > 0
    install("mosec", "cuda")
    assert "onnxruntime-gpu[cuda,cudnn]" in commands[-1]


def test_this_machine_has_a_name_for_a_file() -> None:
    assert set(this_machine().name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_machine_that_works_for_others_is_seen_to() -> None:
    with started([sys.executable, "-c", "while True: pass"], dict(os.environ), Path.cwd()):
        assert busy(0.3) > 0.5 / (os.cpu_count() or 1)


def test_nothing_is_left_of_a_system_not_even_what_left_its_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {note}; exec sleep 60' & sleep 60"
    with started(["sh", "-c", script], dict(os.environ), tmp_path) as process:
        until(lambda: note.exists() and bool(note.read_text("ascii").strip()))
        daemon = int(note.read_text("ascii"))
        assert daemon in descendants(process.popen.pid)
        assert process.alive
        assert process.memory().peak >= memory_of([daemon]).rss > 0
        process.forget_peak()
    assert not Path(f"/proc/{daemon}").exists()
    assert not Path(f"/proc/{process.popen.pid}").exists()


def test_a_system_that_fails_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with started(["sh", "-c", "echo Traceback; echo 'OSError: no port'; echo"], dict(os.environ), tmp_path) as process:
        until(lambda: not process.alive)
        assert process.last_words == "OSError: no port"


def until(true: Callable[[], bool]) -> None:
    """Wait for something, ten seconds at most."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come true")


@contextlib.contextmanager
def answering(*answers: bytes, after: float = 0.0) -> Iterator[int]:
    """Answer each request on any connection with the next of some bytes; nothing at all means to hang up."""
    coming = itertools.cycle(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                while head := list(iter(lambda: self.rfile.readline().strip(), b"")):
                    (length,) = [line for line in head if line.lower().startswith(b"content-length:")]
                    self.rfile.read(int(length.split()[1]))
                    time.sleep(after)
                    if not (said := next(coming)):
                        return
                    self.wfile.write(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def answer(status: int, *headers: str) -> bytes:
    """Write an empty answer."""
    return "\r\n".join([f"HTTP/1.1 {status} Any", "Content-Length: 0", *headers, "", ""]).encode()


JOBS = [Job(post("/classify", b"image"))]


def test_each_answer_s_status_is_counted_and_a_dropped_connection_too() -> None:
    with answering(answer(200), answer(422), b"", answer(413, "Connection: close")) as port:
        exchanges, spent = run(closed_loop(port, in_turn([JOBS[0].request]), lines=1, requests=8))
    assert statuses(exchanges) == {"dropped": 2, "200": 2, "413": 2, "422": 2}
    assert spent > 0


def test_who_cannot_connect_is_counted_as_dropped() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        exchanges, _ = run(closed_loop(closed.getsockname()[1], itertools.cycle(JOBS), lines=2, requests=3))
    assert statuses(exchanges) == {"dropped": 3}


def test_a_request_that_had_to_wait_for_others_has_waited() -> None:
    with answering(answer(200), after=0.1) as port:
        # All are due at once, and the one line is busy with the first.
        exchanges, _ = run(open_loop(port, itertools.cycle(JOBS), [0.0, 0.0, 0.0], lines=1))
    waited = [each.seconds for each in exchanges]
    assert all(least <= each for least, each in zip((0.1, 0.2, 0.3), waited, strict=True)), waited


def test_a_patient_client_waits_as_long_as_it_is_asked_to() -> None:
    def asked(*, patient: bool) -> list[Exchange]:
        with answering(answer(429, "Retry-After: 1"), after=0.02) as port:
            return run(crowd(port, itertools.cycle(JOBS), lines=3, seconds=0.3, patient=patient))[0]

    assert statuses(asked(patient=True)) == {"429": 3}
    assert len(asked(patient=False)) > 3


@pytest.mark.parametrize(("kind", "outcome"), [("huge-image", "422"), ("slow-upload", "unfinished")])
def test_an_attacker_counts_how_it_is_answered(kind: str, outcome: str) -> None:
    with answering(answer(422)) as port:
        counts, _ = run(attack(kind, port, "/classify", JOBS[0].request, seconds=0.3))
    assert set(counts) == {outcome}


def test_the_command_line_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "benchmarks", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "open-loop" in done.stdout
    assert "--quick" in done.stdout
