"""The project's own client counts right what becomes of each request."""

import itertools
import socket
import time

import numpy as np
import pytest

from benchmarks import loads
from benchmarks.client import run
from benchmarks.hostile import attack
from benchmarks.loads import Exchange, arrivals, closed_loop, crowd, in_turn, mixed, open_loop, statuses
from tests.benchmarks.answering import CLOSE, JOBS, SILENCE, answer, answering


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


@pytest.mark.parametrize("how", ["closed", "open", "crowd"])
def test_a_request_that_is_never_answered_is_counted_and_given_up(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "_PATIENCE_SECONDS", 0.2)
    jobs = itertools.cycle(JOBS)
    with answering(answer(200), SILENCE) as port:
        begun = time.perf_counter()
        if how == "closed":
            exchanges, _ = run(closed_loop(port, jobs, lines=2, requests=100_000))
        elif how == "open":
            exchanges, _ = run(open_loop(port, jobs, [0.0] * 100, lines=2))
        else:
            exchanges, _ = run(crowd(port, jobs, lines=2, seconds=60, patient=True))
    assert statuses(exchanges)["unanswered"] == 2
    assert time.perf_counter() - begun < 10


def test_who_is_asked_to_wait_for_longer_than_the_crowd_lasts_leaves_with_it() -> None:
    with answering(answer(429, "Retry-After: 3600")) as port:
        exchanges, _ = run(crowd(port, itertools.cycle(JOBS), lines=2, seconds=0.2, patient=True))
    assert statuses(exchanges) == {"429": 2}


def test_a_connection_that_the_server_closes_is_counted() -> None:
    def closed(*answers: bytes) -> int:
        with answering(*answers) as port:
            exchanges, _ = run(open_loop(port, itertools.cycle(JOBS), [0.0, 0.1, 0.2, 0.3], lines=1))
        assert statuses(exchanges) == {"200": 4}
        return sum(each.closed for each in exchanges)

    assert closed(answer(200)) == 0
    assert closed(answer(200), answer(200, "Connection: close")) == 2
    # Closed without a word, after each second answer; after the last one nobody looks.
    assert closed(answer(200), answer(200) + CLOSE) == 1


@pytest.mark.parametrize(("kind", "outcome"), [("huge-image", "422"), ("slow-upload", "unfinished")])
def test_an_attacker_counts_how_it_is_answered(kind: str, outcome: str) -> None:
    with answering(answer(422)) as port:
        counts, _ = run(attack(kind, port, "/classify", JOBS[0].request, seconds=0.3))
    assert set(counts) == {outcome}
