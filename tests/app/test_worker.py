"""A worker at the other end of a socket: what it makes of what comes, and when."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

import app.worker
from app.batching import Entry, decode
from app.engine import Engine
from app.failing import MOST_FAILED
from app.frames import Frame, Kind
from app.model_folder import ModelFolder
from app.providers import CPU
from app.starting import Running, Start
from galaxytree.card import INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.schemas import Classification
from tests.app.workers import IMAGE, Boss, at_work, cancel, job, start_in
from tests.servers import Held, wait_for
from tests.tiny_model import write_model


def numbers(frames: list[Frame]) -> list[int]:
    assert {frame.kind for frame in frames} <= {Kind.ANSWER}
    return [frame.number for frame in frames]


def kinds(frames: list[Frame]) -> list[tuple[Kind, int]]:
    return [(frame.kind, frame.number) for frame in frames]


def hold(boss: Boss, held: Held, start: Start) -> None:
    """Have it start, and then be busy with job 0 until its gate is opened."""
    assert boss.start(start).kind is Kind.READY
    (model,) = held.models
    model.gate.clear()
    boss.say(job(0))
    assert model.entered.wait(30)


def test_it_says_what_it_runs(model_folder: Path) -> None:
    with at_work() as (boss, _):
        said = boss.start(start_in(model_folder, max_batch=0))
        assert said.kind is Kind.READY
        running = Running(**orjson.loads(said.body))
        assert (running.provider, running.why) == (CPU, "the CPU was asked for")
        assert (running.precision, running.why_precision) == ("fp32", "the model has no int8 file")
        assert running.max_batch == 8
        assert list(running.outputs) == ["scores"]
        # Of one core.
        assert running.wide is False


def test_a_start_that_is_refused_is_told(tmp_path: Path) -> None:
    with at_work() as (boss, thread):
        said = boss.start(start_in(tmp_path / "nowhere"))
        assert said.kind is Kind.REFUSED
        refusal = orjson.loads(said.body)
        assert refusal["kind"] == "ModelRefusedError"
        assert "there is no model in" in refusal["detail"]
        thread.join(30)
        assert not thread.is_alive()


def test_another_model_than_the_service_s_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, int8_rise=0.0)
    start = replace(start_in(tmp_path), identity=ModelFolder.open(tmp_path).identity)
    with at_work() as (boss, _):
        assert boss.start(start).kind is Kind.READY
    # Only its int8 file is another one, by another card.
    card = ModelCard.read(tmp_path)
    assert card.int8 is not None
    (tmp_path / INT8_FILE).write_bytes(b"another one")
    int8 = card.int8.model_copy(update={"sha256": sha256_of(tmp_path / INT8_FILE)})
    card.model_copy(update={"int8": int8}).write(tmp_path)
    with at_work() as (boss, _):
        said = boss.start(start)
        assert said.kind is Kind.REFUSED
        assert "is another one than when the service started" in orjson.loads(said.body)["detail"]


def test_only_the_file_that_it_runs_is_read(tmp_path: Path) -> None:
    write_model(tmp_path, int8_rise=0.0)
    (tmp_path / MODEL_FILE).write_bytes(b"damaged")
    for precision, kind in (("int8", Kind.READY), ("fp32", Kind.REFUSED)):
        with at_work() as (boss, _):
            assert boss.start(replace(start_in(tmp_path), precision=precision)).kind is kind


def test_it_answers(model_folder: Path) -> None:
    with at_work() as (boss, _):
        boss.start(start_in(model_folder))
        boss.say(job(7), Frame(Kind.JOB, 8, full=True, body=IMAGE), job(9, data=b"no image"))
        said = {frame.number: frame for frame in boss.hear(3)}
        plain = Classification.model_validate_json(said[7].body)
        full = Classification.model_validate_json(said[8].body)
        assert plain.scores == full.scores
        assert (plain.summary is None, full.summary is None) == (True, False)
        assert said[9].kind is Kind.PROBLEM
        assert orjson.loads(said[9].body)["code"] == "undecodable_image"
        assert said[7].decode_seconds > 0
        assert said[7].infer_seconds > 0


@pytest.mark.parametrize(
    ("count", "batches"),
    [
        # All of two go together; of three and more one is held back, whose decoding fills the time of an answer.
        (2, [2]),
        (3, [2, 1]),
        (5, [4, 1]),
        (10, [4, 4, 2]),
    ],
)
def test_what_waits_is_one_batch_but_one(model_folder: Path, count: int, batches: list[int]) -> None:
    held = Held()
    with at_work(held) as (boss, _):
        hold(boss, held, start_in(model_folder, max_batch=4))
        boss.say(*(job(number) for number in range(1, count + 1)))
        held.models[0].gate.set()
        assert numbers(boss.hear(count + 1)) == [*range(count + 1)]
        assert held.models[0].batches == [1, *batches]


def test_the_views_of_an_image_stay_together_and_nobody_overtakes(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, _):
        hold(boss, held, start_in(model_folder, max_batch=9))
        boss.say(job(1, 8), job(2), job(3, 8), job(4, 8), job(5))
        held.models[0].gate.set()
        answers = boss.hear(6)
        assert numbers(answers) == [*range(6)]
        assert [orjson.loads(frame.body)["views"] for frame in answers] == [1, 8, 1, 8, 8, 1]
        assert held.models[0].batches == [1, 9, 8, 8, 1]


def test_nobody_waits_for_who_has_gone(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, _):
        hold(boss, held, start_in(model_folder))
        boss.say(job(1), job(2, 8), job(3), cancel(2), cancel(77), cancel(0), cancel(2))
        held.models[0].gate.set()
        # For one it was too late; each is told of once.
        assert kinds(boss.hear(4)) == [
            (Kind.ANSWER, 0), (Kind.DROPPED, 2), (Kind.ANSWER, 1), (Kind.ANSWER, 3)
        ]  # fmt: skip
        assert held.models[0].batches == [1, 2]


def test_who_goes_while_their_batch_is_decoded_is_not_scored(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, late = Held(), [cancel(1), cancel(2)]
    with at_work(held) as (boss, _):

        def slow_decode(engine: Engine, entries: Sequence[Entry]) -> list[Frame]:
            told = decode(engine, entries)
            boss.say(*late)
            late.clear()
            return told

        monkeypatch.setattr(app.worker, "decode", slow_decode)
        boss.start(start_in(model_folder))
        boss.say(job(0), job(1), job(2, data=b"no image"), job(3))
        assert kinds(boss.hear(4)) == [(Kind.PROBLEM, 2), (Kind.DROPPED, 1), (Kind.ANSWER, 0), (Kind.ANSWER, 3)]
        assert held.models[0].batches == [1, 1]


def test_what_comes_while_others_are_decoded_goes_along(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, late = Held(), [job(1)]
    with at_work(held) as (boss, _):

        def slow_decode(engine: Engine, entries: Sequence[Entry]) -> list[Frame]:
            boss.say(*late)
            late.clear()
            return decode(engine, entries)

        monkeypatch.setattr(app.worker, "decode", slow_decode)
        boss.start(start_in(model_folder, cores=2))
        boss.say(job(0, alone=True))
        assert numbers(boss.hear(2)) == [0, 1]
        assert held.models[0].batches == [2]
        # Not any more.
        assert held.models[0].alone == [False]


def test_one_that_is_alone_may_have_all_cores(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder, cores=2))
        for number, alone in enumerate((True, False)):
            boss.say(job(number, alone=alone))
            assert numbers(boss.hear(1)) == [number]
        assert held.models[0].alone == [True, False]


def test_it_ends_when_the_service_hangs_up(model_folder: Path) -> None:
    with at_work() as (boss, thread):
        boss.start(start_in(model_folder))
        boss.socket.close()
        thread.join(30)
        assert not thread.is_alive()


def test_it_ends_when_the_service_hangs_up_during_a_run(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, thread):
        hold(boss, held, start_in(model_folder))
        boss.say(job(1), job(2))
        boss.socket.close()
        held.models[0].gate.set()
        thread.join(30)
        assert not thread.is_alive()
        # What nobody will hear is not worked on.
        assert held.models[0].batches == [1]


def test_it_ends_when_the_service_hangs_up_while_it_loads(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, thread):
        start = orjson.dumps(vars(start_in(model_folder)))
        boss.say(Frame(Kind.START, body=start))
        boss.socket.close()
        thread.join(30)
        assert not thread.is_alive()
        assert len(held.models) == 1


def test_it_ends_when_the_service_hangs_up_before_it_has_said_how_to_start() -> None:
    with at_work() as (boss, thread):
        boss.socket.close()
        thread.join(30)
        assert not thread.is_alive()


def test_a_run_that_fails_is_told_and_the_next_one_is_done(model_folder: Path) -> None:
    held = Held()
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder))
        held.models[0].failing = True
        boss.say(job(0))
        (failure,) = boss.hear(1)
        assert (failure.kind, b"out of luck" in failure.body) == (Kind.FAILURE, True)
        held.models[0].failing = False
        boss.say(job(1))
        assert numbers(boss.hear(1)) == [1]
        wait_for(lambda: held.models[0].batches == [1, 1], "both runs")


def test_a_core_on_which_all_runs_fail_is_left_to_another_worker(
    model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    with at_work(held) as (boss, thread):
        boss.start(start_in(model_folder))
        (model,) = held.models
        # It may fail now and then.
        fails = [*[True] * (MOST_FAILED - 1), False, *[True] * MOST_FAILED]
        for number, failing in enumerate(fails):
            model.failing = failing
            boss.say(job(number))
            assert kinds(boss.hear(1)) == [(Kind.FAILURE if failing else Kind.ANSWER, number)]
        assert boss.hear(1) == []
        thread.join(30)
        assert not thread.is_alive()
    assert f"{MOST_FAILED} runs in a row have failed" in caplog.text
