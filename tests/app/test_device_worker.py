"""A worker for a GPU, whose device is played by the CPU: the next batch forms while this one runs."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

import app.device_worker
from app.batching import Entry, decode
from app.device_worker import MOST_FAILED
from app.devices import Device
from app.engine import Engine
from app.frames import Frame, Kind
from app.ports import UnusableScoresError
from app.providers import CUDA
from galaxytree import imaging
from tests.app.workers import IMAGE, Boss, HeldOn, at_work, cancel, job, start_in
from tests.servers import HeldModel, wait_for
from tests.tiny_model import FRAMING, write_model


class Decoding:
    """Decodes when it may, and counts."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = self.done = 0

    def __call__(self, engine: Engine, entries: Sequence[Entry]) -> list[Frame]:
        self.begun += 1
        assert self.gate.wait(30)
        told = decode(engine, entries)
        self.done += 1
        return told


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoding]:
    one = Decoding()
    monkeypatch.setattr(app.device_worker, "decode", one)
    yield one
    one.gate.set()


@pytest.fixture
def held() -> HeldOn:
    return HeldOn(Device(CUDA, "pretended"))


def hold(boss: Boss, held: HeldOn) -> HeldModel:
    """Have the device be busy with job 0 until its gate is opened."""
    (model,) = held.models
    model.gate.clear()
    boss.say(job(0))
    assert model.entered.wait(30)
    return model


def test_it_says_that_it_runs_there_in_larger_batches(model_folder: Path, held: HeldOn) -> None:
    with at_work(held) as (boss, _):
        running = orjson.loads(boss.start(start_in(model_folder, max_batch=0)).body)
        assert (running["provider"], running["max_batch"]) == (CUDA, 64)


def test_batches_form_while_one_runs(model_folder: Path, held: HeldOn, decoding: Decoding) -> None:
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder, max_batch=4, cores=1))
        model = hold(boss, held)
        boss.say(*(job(number) for number in range(1, 11)))
        wait_for(lambda: decoding.done == 11, "all to be decoded")
        time.sleep(0.05)
        model.gate.set()
        assert [(frame.kind, frame.number) for frame in boss.hear(11)] == [
            (Kind.ANSWER, number) for number in range(11)
        ]
        assert model.batches == [1, 4, 4, 2]


def test_views_that_do_not_fit_are_kept_for_the_next(model_folder: Path, held: HeldOn, decoding: Decoding) -> None:
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder, max_batch=12))
        model = hold(boss, held)
        boss.say(job(1, 8), job(2), job(3, 8), job(4))
        wait_for(lambda: decoding.done == 5, "all to be decoded")
        time.sleep(0.05)
        model.gate.set()
        answers = boss.hear(5)
        assert [frame.number for frame in answers] == [*range(5)]
        assert [orjson.loads(frame.body)["views"] for frame in answers] == [1, 8, 1, 8, 1]
        assert model.batches == [1, 9, 9]


def test_who_has_gone_costs_nothing(model_folder: Path, held: HeldOn, decoding: Decoding) -> None:
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder))
        model = hold(boss, held)
        boss.say(job(1))
        wait_for(lambda: decoding.done == 2, "one to be decoded")
        decoding.gate.clear()
        boss.say(job(2), job(3), cancel(1), cancel(3), cancel(77), cancel(1))
        time.sleep(0.1)
        decoding.gate.set()
        wait_for(lambda: decoding.done == 3, "another one to be decoded")
        model.gate.set()
        said = boss.hear(4)
        assert {frame.number for frame in said if frame.kind is Kind.DROPPED} == {1, 3}
        assert [frame.number for frame in said if frame.kind is Kind.ANSWER] == [0, 2]
        boss.say(job(4))
        assert [frame.number for frame in boss.hear(1)] == [4]
        # One was decoded, and left out of the run; the other was not even decoded.
        assert model.batches == [1, 1, 1]
        assert decoding.done == 4


def test_who_cannot_be_decoded_fails_alone(model_folder: Path, held: HeldOn) -> None:
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder))
        boss.say(job(1), job(2, data=b"no image"))
        assert {frame.number: frame.kind for frame in boss.hear(2)} == {1: Kind.ANSWER, 2: Kind.PROBLEM}


def test_a_device_of_which_all_runs_fail_is_left_to_another_worker(
    model_folder: Path, held: HeldOn, caplog: pytest.LogCaptureFixture
) -> None:
    with at_work(held) as (boss, thread):
        boss.start(start_in(model_folder))
        (model,) = held.models
        # It may fail now and then.
        fails = [*[True] * (MOST_FAILED - 1), False, *[True] * MOST_FAILED]
        for number, failing in enumerate(fails):
            model.failing = failing
            boss.say(job(number))
            (said,) = boss.hear(1)
            assert (said.kind, said.number) == (Kind.FAILURE if failing else Kind.ANSWER, number)
        assert boss.hear(1) == []
        thread.join(30)
        assert not thread.is_alive()
    assert f"{MOST_FAILED} runs in a row have failed" in caplog.text


def test_images_that_the_network_has_no_answer_for_are_no_fault_of_the_device(
    tmp_path: Path, held: HeldOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable(*_: object, **__: object) -> None:
        raise UnusableScoresError

    with at_work(held) as (boss, _):
        boss.start(start_in(write_model(tmp_path)))
        with monkeypatch.context() as patch:
            patch.setattr(held.models[0], "predict", unusable)
            for number in range(MOST_FAILED + 1):
                boss.say(job(number))
                assert [frame.kind for frame in boss.hear(1)] == [Kind.FAILURE]
        boss.say(job(77))
        assert [frame.kind for frame in boss.hear(1)] == [Kind.ANSWER]


def test_it_ends_when_nobody_hears_its_answers(model_folder: Path, held: HeldOn) -> None:
    with at_work(held) as (boss, thread):
        boss.start(start_in(model_folder))
        boss.socket.shutdown(socket.SHUT_RD)
        boss.say(job(0))
        thread.join(30)
        assert not thread.is_alive()


def test_it_ends_when_the_service_hangs_up(model_folder: Path, held: HeldOn, decoding: Decoding) -> None:
    with at_work(held) as (boss, thread):
        boss.start(start_in(model_folder))
        model = hold(boss, held)
        decoding.gate.clear()
        boss.say(*(job(number) for number in range(1, 6)))
        wait_for(lambda: decoding.begun == 2, "the decoding to begin")
        boss.socket.close()
        time.sleep(0.1)
        decoding.gate.set()
        model.gate.set()
        thread.join(30)
        assert not thread.is_alive()
        # What had not begun was not decoded.
        assert decoding.begun == 2


def test_pixels_go_past_the_decoder(model_folder: Path, held: HeldOn) -> None:
    pixels = FRAMING.frame(imaging.decode(IMAGE)).tobytes()
    with at_work(held) as (boss, _):
        boss.start(start_in(model_folder, max_batch=8))
        wanted = job(0)
        boss.say(wanted, *(wanted._replace(kind=Kind.PIXELS, number=each, body=pixels[each - 1 :]) for each in (1, 2)))
        told = {frame.number: frame for frame in boss.hear(3)}
    # There are not as many as the network takes: that costs the others nothing.
    assert [told[number].kind for number in range(3)] == [Kind.ANSWER, Kind.ANSWER, Kind.FAILURE]
    scores = [orjson.loads(told[number].body)["scores"] for number in (0, 1)]
    assert scores[0] == scores[1]
