"""Scenarios: each is measured by itself, and a service that one ends has not met it."""

import subprocess
from collections.abc import Callable

import pytest

from benchmarks import loads, performing
from benchmarks.failures import LimitError, reason
from benchmarks.hostile import ATTACKS
from benchmarks.images import Images
from benchmarks.limit import Limit
from benchmarks.performing import perform
from benchmarks.results import Results
from benchmarks.scenarios import attacks, memory, open_loop
from benchmarks.scenarios import crowd as crowd_scenario
from benchmarks.scenarios.setting import Setting
from benchmarks.settings import BenchSettings
from tests.benchmarks.made_up import fake, limit, results, verdicts


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Results]:
    """Perform scenarios, in little, on a service of some manner."""
    monkeypatch.setattr(loads, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(memory, "REQUESTS", (100, 500, 1000))
    monkeypatch.setattr(crowd_scenario, "LINES", 20)
    monkeypatch.setattr(open_loop, "SECONDS", 5.0)
    monkeypatch.setattr(performing, "ATTACKS", ("huge-image",))
    monkeypatch.setattr(attacks, "_CALM_SECONDS", 1.0)
    monkeypatch.setattr(attacks, "SECONDS", dict.fromkeys(ATTACKS, 1.0))
    monkeypatch.setattr(performing, "measure_limit", lambda *_: limit(50).limit)

    def perform_on(manner: str, *names: str) -> Results:
        monkeypatch.setattr(performing, "service", lambda *_: fake(manner, "service"))
        of = results()
        images = Images((b"image",), "none")
        perform(names, "fp32", BenchSettings(quick=True), images, of, lambda _: None)
        return of

    return perform_on


def test_what_goes_well_is_kept(performed: Callable[..., Results]) -> None:
    of = performed("well", "memory", "impatient-crowd", "start-up", "open-loop", "mixed")
    (found,) = of.scenarios
    assert found.limit == 50
    assert found.memory is not None
    assert [each.requests for each in found.memory.held] == [0, 10, 50, 100]
    assert found.memory.statuses == {"200": 100}
    assert found.impatient_crowd is not None
    assert set(found.impatient_crowd.statuses) == {"200"}
    assert found.start is not None
    assert found.start.most > 0
    assert found.open_loop is not None
    assert found.open_loop.rate == 40
    assert set(found.open_loop.statuses) == {"200"}
    # The service of this test has no objection to what is no image.
    assert found.mixed is not None
    assert set(found.mixed.bad) == {"200"}
    assert found.mixed.closed == 0
    assert of.skipped == {}
    assert of.complete


@pytest.mark.parametrize(("name", "number"), [("memory", 7), ("impatient-crowd", 5), ("huge-image", 6)])
def test_a_service_that_dies_has_not_met_what_was_asked(
    performed: Callable[..., Results], name: str, number: int
) -> None:
    of = performed("dies", "attacks" if name in ATTACKS else name)
    assert "has ended" in of.scenarios[0].ended[name]
    about = {"memory": "over 100,000 requests", "impatient-crowd": "impatient", "huge-image": "huge-image"}[name]
    ((reached, met),) = [each for asked, each in verdicts(of, number).items() if about in asked]
    assert met is False
    assert "has ended" in reached
    assert not of.complete


def test_a_service_that_never_answers_is_unanswered_and_not_missing(performed: Callable[..., Results]) -> None:
    of = performed("hangs", "mixed", "impatient-crowd")
    (found,) = of.scenarios
    assert found.mixed is not None
    assert found.mixed.good["unanswered"] > 0
    ((reached, met),) = verdicts(of, 4).values()
    assert "unanswered" in reached
    assert met is False
    said = {asked: met for asked, (_, met) in verdicts(of, 5).items()}
    assert said["fp32, 2,000 impatient connections: some 200, and nothing else but 429"] is False


def test_what_fails_is_noted_with_its_reason_and_the_rest_is_measured(
    performed: Callable[..., Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise subprocess.TimeoutExpired(["attacker"], 60)

    monkeypatch.setitem(performing._MEASURE, "mixed", ("mixed", fail))
    of = performed("well", "mixed", "start-up")
    assert of.skipped == {"mixed fp32": "TimeoutExpired: Command '['attacker']' timed out after 60 seconds"}
    assert of.scenarios[0].start is not None
    # It is not the service that failed.
    assert {met for _, met in verdicts(of, 4).values()} == {None}


def test_without_a_limit_there_are_no_scenarios(
    performed: Callable[..., Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Limit:
        msg = "no cores left"
        raise LimitError(msg)

    monkeypatch.setattr(performing, "measure_limit", fail)
    assert performed("well", "mixed").skipped == {"scenarios fp32": "no cores left"}


@pytest.mark.parametrize(
    ("error", "said"), [(TimeoutError(), "TimeoutError"), (OSError("no\nport"), "OSError: no port")]
)
def test_every_error_has_words(error: Exception, said: str) -> None:
    assert reason(error) == said


@pytest.mark.usefixtures("performed")
def test_an_attacker_s_answers_are_held_against_the_rule() -> None:
    setting = Setting(fake("well", "service"), (b"image",), 2000, 0.1)
    found = attacks.measure(setting, "huge-image")
    assert set(found.outcomes) <= {"200", "unfinished"}
    assert not found.refused_by_rule
    assert found.lines == 2
    assert set(found.statuses) == {"200"}
    assert found.attacker_seconds > 0
