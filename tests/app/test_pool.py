"""Who gets what from the service's side: workers that a test plays itself, at the other ends of real sockets."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace

import orjson
import pytest

from app.errors import DeadlineExceededError, InternalError, UndecodableImageError
from app.frames import Frame, FrameReader, Kind
from app.jobs import Answered, Job
from app.pool import AHEAD, AHEAD_ON_DEVICE, Pool
from app.providers import CPU, CUDA
from app.refusals import ModelRefusedError, WorkerRefusedError
from app.starting import Running, Start
from app.waiting import Entry, Outcome
from galaxytree.views import Views

MAX_BATCH = 8
ROOM = AHEAD * MAX_BATCH
RUNNING = Running(CPU, "for the test", "fp32", "for the test", MAX_BATCH, ("scores",), explainable=False, wide=True)


class Puppet:
    """A worker that does what a test says."""

    def __init__(self, sock: socket.socket, first: Frame | None) -> None:
        self.socket = sock
        sock.settimeout(10)
        self._reader = FrameReader()
        self.heard: list[Frame] = []
        self.start: Start | None = None
        self.ended = False
        if first is not None:
            self.say(first)
        else:
            sock.close()

    def say(self, *frames: Frame) -> None:
        self.socket.sendall(b"".join(frame.encode() for frame in frames))

    def end(self) -> None:
        self.socket.close()
        self.ended = True

    async def hear(self, count: int) -> list[Frame]:
        """Wait until it has been sent so many jobs or cancellations, and no more; return them all."""
        await self.hear_at_least(count)
        assert len(self.heard) == count
        return self.heard

    async def hear_at_least(self, count: int) -> None:
        """Wait until it has been sent so many jobs or cancellations, or is hung up on."""

        def listen() -> None:
            while (len(self.heard) < count or self.start is None) and (data := self.socket.recv(65536)):
                for frame in self._reader.feed(data):
                    if frame.kind is Kind.START:
                        self.start = Start(**orjson.loads(frame.body))
                    else:
                        self.heard.append(frame)

        await asyncio.to_thread(listen)

    async def answer(self, *numbers: int) -> None:
        self.say(*(Frame(Kind.ANSWER, number, body=b"%d" % number) for number in numbers))
        await settled()

    async def let_go(self, *numbers: int) -> None:
        self.say(*(Frame(Kind.DROPPED, number) for number in numbers))
        await settled()


async def settled() -> None:
    """Let the event loop do all that it has to do."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads do."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (what is waited for knows no events of this loop)
            await asyncio.sleep(0.001)
    await settled()


def is_ready(*, wide: bool = False) -> Frame:
    return Frame(Kind.READY, body=orjson.dumps(asdict(replace(RUNNING, wide=wide))))


def refused(kind: str, detail: str) -> Frame:
    return Frame(Kind.REFUSED, body=orjson.dumps({"kind": kind, "detail": detail}))


class Stage:
    """A pool, its workers in the order of their start, and what became of what was submitted."""

    def __init__(self, cores: int, seconds: float = 30) -> None:
        self.puppets: list[Puppet] = []
        self.failures: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        # What each worker that is still to be started says first; nothing if it ends at once.
        self.first: list[Frame | OSError | None] = []
        start = Start(None, "auto", "auto", 1, MAX_BATCH, 100, cores, "this model")
        self.pool = Pool(start, self._start, self.failures.append, seconds, 3)

    def _start(self, sock: socket.socket) -> Puppet:
        # As a rule the first one has all cores for images that are alone.
        first = self.first.pop(0) if self.first else is_ready(wide=not self.puppets)
        if isinstance(first, OSError):
            sock.close()
            raise first
        puppet = Puppet(sock, first)
        self.puppets.append(puppet)
        return puppet

    def submit(self, *names: str, views: Views = 1, bulk: bool = False) -> list[Entry]:
        def noting(name: str) -> Callable[[Outcome], None]:
            def note(outcome: Outcome) -> None:
                assert name not in self.outcomes
                self.outcomes[name] = outcome

            return note

        jobs = ((Job(name.encode(), views, bulk=bulk), noting(name), f"id-{name}") for name in names)
        return [self.pool.submit(*each) for each in jobs]

    async def replace(self, puppet: Puppet) -> None:
        """Have a worker die, and wait for the one in its place."""
        count = len(self.puppets)
        puppet.socket.close()
        await until(lambda: len(self.puppets) > count)

    def names(self, count: int) -> list[str]:
        return [f"image-{number}" for number in range(count)]


def play(scene: Callable[[Stage], Awaitable[None]], cores: int = 2, seconds: float = 30) -> Stage:
    """Play a scene with a pool that is open."""

    async def whole() -> Stage:
        stage = Stage(cores, seconds)
        assert await stage.pool.open() == RUNNING
        assert len(stage.puppets) == cores
        await scene(stage)
        await stage.pool.close()
        assert all(puppet.ended for puppet in stage.puppets)
        return stage

    return asyncio.run(whole())


def jobs(frames: list[Frame]) -> list[str]:
    assert {frame.kind for frame in frames} <= {Kind.JOB}
    return [frame.body.decode() for frame in frames]


def test_each_gets_what_the_worker_says(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("good", "bad", "failing")
        (puppet,) = stage.puppets
        good, bad, failing = await puppet.hear(3)
        problem = orjson.dumps({"code": "undecodable_image", "detail": "no image"})
        puppet.say(
            Frame(Kind.FAILURE, failing.number, body=b"out of luck"),
            Frame(Kind.PROBLEM, bad.number, body=problem),
            Frame(Kind.ANSWER, good.number, decode_seconds=0.25, infer_seconds=0.5, body=b"{}"),
            Frame(Kind.ANSWER, 12345, body=b"for nobody"),
        )
        await settled()

    outcomes = play(scene, cores=1).outcomes
    # It came a moment ago, and so did not wait.
    assert outcomes["good"] == Answered(b"{}", decode_seconds=0.25, queue_seconds=0, infer_seconds=0.5)
    assert isinstance(outcomes["bad"], UndecodableImageError)
    assert outcomes["bad"].detail == "no image"
    assert isinstance(outcomes["failing"], InternalError)
    (record,) = (record for record in caplog.records if "out of luck" in record.getMessage())
    assert vars(record)["request_id"] == "id-failing"


def test_a_worker_hears_of_an_image_at_once() -> None:
    async def scene(stage: Stage) -> None:
        (puppet,) = stage.puppets
        stage.submit("image")
        # The loop may be busy for long with those who are refused.
        assert b"image" in puppet.socket.recv(65536)

    play(scene, cores=1)


def test_who_has_the_least_to_do_gets_the_next_and_nobody_more_than_two_batches() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit(*stage.names(2 * ROOM + 3))
        one, two = stage.puppets
        assert len(await one.hear(ROOM)) == len(await two.hear(ROOM)) == ROOM
        await settled()
        # Whoever is done with some gets more of what waits, in its order.
        await two.answer(*(frame.number for frame in two.heard[:2]))
        assert jobs((await two.hear(ROOM + 2))[-2:]) == [f"image-{2 * ROOM}", f"image-{2 * ROOM + 1}"]
        await one.answer(one.heard[0].number)
        assert jobs((await one.hear(ROOM + 1))[-1:]) == [f"image-{2 * ROOM + 2}"]
        assert len(stage.outcomes) == 3
        for puppet in stage.puppets:
            await puppet.answer(*(frame.number for frame in puppet.heard))
        assert len(stage.outcomes) == 2 * ROOM + 3

    play(scene)


def test_who_has_fewer_views_has_less_to_do() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("eight", views=8)
        stage.submit("a", "b", "c")
        await settled()
        one, two = sorted(stage.puppets, key=lambda puppet: puppet.socket.recv(65536, socket.MSG_PEEK).count(b"eight"))
        assert jobs(await one.hear(3)) == ["a", "b", "c"]
        assert [(frame.views, frame.body) for frame in await two.hear(1)] == [(8, b"eight")]

    play(scene)


def test_only_who_finds_everyone_idle_is_alone() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("first")
        stage.submit("second")
        await settled()
        (puppet,) = stage.puppets
        assert [frame.alone for frame in await puppet.hear(2)] == [True, False]
        await puppet.answer(*(frame.number for frame in puppet.heard))
        stage.submit("third")
        assert [frame.alone for frame in await puppet.hear(3)] == [True, False, True]

    play(scene, cores=1)


def test_interactive_goes_ahead_of_bulk() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit(*stage.names(ROOM), bulk=True)
        (puppet,) = stage.puppets
        await puppet.hear(ROOM)
        stage.submit("bulk", bulk=True)
        stage.submit("interactive")
        await puppet.answer(puppet.heard[0].number)
        assert jobs(await puppet.hear(ROOM + 1))[-1] == "interactive"
        await puppet.answer(puppet.heard[1].number)
        assert jobs(await puppet.hear(ROOM + 2))[-1] == "bulk"

    play(scene, cores=1)


def test_more_views_than_a_run_has_room_for_do_not_wait_for_ever() -> None:
    async def scene(stage: Stage) -> None:
        stage.pool._max_batch = 7
        with pytest.raises(ValueError, match="8 views don't fit into a run of 7"):
            stage.submit("eight", views=8)

    play(scene, cores=1)


def test_who_goes_is_forgotten_and_the_worker_told() -> None:
    async def scene(stage: Stage) -> None:
        entries = stage.submit(*stage.names(ROOM + 2))
        (puppet,) = stage.puppets
        await puppet.hear(ROOM)
        # This one still waits here, and is never given out.
        stage.pool.drop(entries[ROOM])
        stage.pool.drop(entries[0])
        said = (await puppet.hear(ROOM + 1))[-1]
        assert (said.kind, said.number) == (Kind.CANCEL, puppet.heard[0].number)
        # In its place the last comes, once the worker has let go of it.
        await puppet.let_go(said.number)
        assert jobs((await puppet.hear(ROOM + 2))[-1:]) == [f"image-{ROOM + 1}"]
        # What a worker says of it all the same is for nobody.
        await puppet.answer(*(frame.number for frame in puppet.heard))
        assert set(stage.outcomes) == set(stage.names(ROOM + 2)) - {"image-0", f"image-{ROOM}"}
        # Too late is no harm.
        stage.pool.drop(entries[1])
        stage.submit("next")
        assert jobs((await puppet.hear(ROOM + 3))[-1:]) == ["next"]

    play(scene, cores=1)


def test_those_who_come_and_go_do_not_pile_up_at_a_worker() -> None:
    async def scene(stage: Stage) -> None:
        (puppet,) = stage.puppets
        for _ in range(5):
            for entry in stage.submit(*stage.names(ROOM)):
                stage.pool.drop(entry)
            await settled()
        stage.submit("stays")
        # So many are there, and it was told that nobody waits for them.
        given = [frame.number for frame in (await puppet.hear(2 * ROOM))[:ROOM]]
        assert {frame.kind for frame in puppet.heard[:ROOM]} == {Kind.JOB}
        assert [frame.number for frame in puppet.heard[ROOM:] if frame.kind is Kind.CANCEL] == given
        # Some it lets go, and for others it is too late: each makes room.
        await puppet.let_go(given[0])
        assert jobs((await puppet.hear(2 * ROOM + 1))[-1:]) == ["stays"]
        puppet.say(Frame(Kind.FAILURE, given[1], body=b"too late"))
        await puppet.answer(puppet.heard[-1].number, *given[2:])
        assert list(stage.outcomes) == ["stays"]
        assert not any(worker.entries or worker.load for worker in stage.pool._workers)

    play(scene, cores=1)


def test_who_had_gone_when_their_worker_died_is_not_given_out_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        _, gone = stage.submit("stays", "gone")
        await stage.puppets[0].hear(2)
        stage.pool.drop(gone)
        await stage.replace(stage.puppets[0])
        assert jobs(await stage.puppets[1].hear(1)) == ["stays"]
        await stage.puppets[1].answer(stage.puppets[1].heard[0].number)
        stage.submit("next")
        assert jobs(await stage.puppets[1].hear(2)) == ["stays", "next"]

    play(scene, cores=1)
    assert "a worker died with 1 images, and is replaced" in caplog.text


def test_who_waits_too_long_is_told_and_the_worker_too() -> None:
    async def scene(stage: Stage) -> None:
        (puppet,) = stage.puppets
        entries = stage.submit("answered", "gone", "late")
        await puppet.hear(3)
        await puppet.answer(puppet.heard[0].number)
        stage.pool.drop(entries[1])
        await asyncio.sleep(0.4)
        stage.submit("later")
        await until(lambda: "late" in stage.outcomes)
        outcome = stage.outcomes["late"]
        assert isinstance(outcome, DeadlineExceededError)
        assert "No answer within 0.6 s" in outcome.detail
        assert outcome.retry_after_seconds == 3
        assert "later" not in stage.outcomes
        # It is heard, though nobody waits for what it says: it does not hang.
        await puppet.answer(puppet.heard[1].number)
        await until(lambda: "later" in stage.outcomes)
        assert isinstance(stage.outcomes["later"], DeadlineExceededError)
        cancelled = [frame.number for frame in await puppet.hear(7) if frame.kind is Kind.CANCEL]
        assert sorted(cancelled) == [2, 3, 4]
        # Once nobody waits there is nothing to look for.
        assert stage.pool._expiring._timer is None

    play(scene, cores=1, seconds=0.6)


def test_a_worker_that_hangs_is_replaced_though_others_serve_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pool.HANGS_SECONDS", 0.3)
    monkeypatch.setattr("app.pool.WATCH_SECONDS", 0.05)

    async def scene(stage: Stage) -> None:
        # It has all that it may have, and nobody waits for that any more.
        entries = stage.submit(*stage.names(2 * ROOM))
        hanging, good = stage.puppets
        await good.hear(ROOM)
        await good.answer(*(frame.number for frame in good.heard))
        for entry in entries:
            stage.pool.drop(entry)
        await until(lambda: len(stage.puppets) == 3)
        assert hanging.socket.fileno() == -1
        assert good.socket.fileno() != -1

    play(scene, seconds=0.2)


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pool.HANGS_SECONDS", 0.35)
    monkeypatch.setattr("app.pool.WATCH_SECONDS", 0.05)

    async def scene(stage: Stage) -> None:
        # It is silent since the first, which is dropped when its time is over; the other one still has some.
        stage.submit("one")
        await until(lambda: "one" in stage.outcomes)
        assert isinstance(stage.outcomes["one"], DeadlineExceededError)
        stage.submit("two")
        await until(lambda: len(stage.puppets) == 2)
        (heard,) = await stage.puppets[1].hear(1)
        await stage.puppets[1].answer(heard.number)
        await until(lambda: "two" in stage.outcomes)
        assert isinstance(stage.outcomes["two"], Answered)

    play(scene, cores=1, seconds=0.3)


def test_what_a_worker_had_that_died_others_get_one_by_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("a", "b", "c")
        await stage.puppets[0].hear(3)
        await stage.replace(stage.puppets[0])
        second = stage.puppets[1]
        # Nobody else goes along with one who may be to blame.
        stage.submit("new")
        for count in (1, 2, 3):
            await second.hear(count)
            await settled()
            await second.answer(second.heard[-1].number)
        assert sorted(jobs(second.heard)) == ["a", "b", "c"]
        await second.hear(4)
        assert jobs(second.heard)[3] == "new"
        await second.answer(second.heard[3].number)
        assert all(isinstance(outcome, Answered) for outcome in stage.outcomes.values())
        assert len(stage.outcomes) == 4

    stage = play(scene, cores=1)
    assert stage.failures == []


def test_who_was_with_a_worker_that_died_is_not_kept_waiting_by_those_who_come_all_the_time() -> None:
    async def scene(stage: Stage) -> None:
        stage.first = [OSError("no room for another process")] * 100
        one, two = stage.puppets
        stage.submit(*stage.names(3 * ROOM))
        lost = set(jobs(await one.hear(ROOM)))
        one.socket.close()
        await two.hear(ROOM)
        answered = 0
        while not lost <= set(stage.outcomes):
            assert answered < 4 * ROOM, "they wait for ever"
            # Whoever got an answer sends the next image.
            stage.submit(f"another-{answered}")
            await two.answer(two.heard[answered].number)
            answered += 1
            await two.hear_at_least(answered + 1)
        assert all(isinstance(stage.outcomes[name], Answered) for name in lost)

    play(scene)


def test_only_who_has_brought_down_two_workers_gets_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("good", "deadly", "better")
        await stage.puppets[0].hear(3)
        await stage.replace(stage.puppets[0])
        while len(stage.outcomes) < 3:
            puppet = stage.puppets[-1]
            await puppet.hear(len(puppet.heard) + 1)
            if puppet.heard[-1].body == b"deadly":
                await stage.replace(puppet)
            else:
                await puppet.answer(puppet.heard[-1].number)
        assert len(stage.puppets) == 3

    stage = play(scene, cores=1)
    assert {name: type(outcome) for name, outcome in stage.outcomes.items()} == {
        "good": Answered, "deadly": InternalError, "better": Answered
    }  # fmt: skip
    assert stage.failures == []
    assert "a worker died with 3 images, and is replaced" in caplog.text


def test_who_goes_after_their_worker_died_is_not_given_out_again() -> None:
    async def scene(stage: Stage) -> None:
        entries = dict(zip(("a", "b"), stage.submit("a", "b"), strict=True))
        await stage.puppets[0].hear(2)
        await stage.replace(stage.puppets[0])
        second = stage.puppets[1]
        (given,) = jobs(await second.hear(1))
        del entries[given]
        (other,) = entries.values()
        stage.pool.drop(other)
        await second.answer(second.heard[0].number)
        stage.submit("next")
        assert jobs(await second.hear(2)) == [given, "next"]

    play(scene, cores=1)


def test_a_service_goes_on_without_a_worker_that_cannot_be_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.first = [OSError("no room for another process")]
        one, two = stage.puppets
        stage.submit("a", "b")
        await one.hear(1)
        await two.hear(1)
        one.socket.close()
        await until(lambda: not stage.first)
        assert stage.pool.ready
        await two.answer(two.heard[0].number)
        await two.hear(2)
        await two.answer(two.heard[1].number)
        assert all(isinstance(outcome, Answered) for outcome in stage.outcomes.values())
        assert len(stage.outcomes) == 2

    stage = play(scene)
    assert "a worker could not be replaced: no room for another process" in caplog.text
    assert stage.failures == []


def test_it_is_tried_again_to_replace_a_worker_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tries.RETRY_SECONDS", (0.05, 0.2))

    async def scene(stage: Stage) -> None:
        clock = asyncio.get_running_loop().time
        stage.first = [OSError("no room"), refused("DeviceRefusedError", "no memory"), OSError("no room"), None]
        stage.submit("waits")
        await stage.puppets[0].hear(1)
        began = clock()
        await stage.replace(stage.puppets[0])
        await until(lambda: not stage.first)
        assert not stage.pool.ready
        await until(lambda: stage.pool.ready)
        assert clock() - began >= 0.05 + 0.1 + 0.2 + 0.2
        # Who was with it is served by the new one.
        (waiting,) = await stage.puppets[-1].hear(1)
        await stage.puppets[-1].answer(waiting.number)
        assert isinstance(stage.outcomes["waits"], Answered)

    assert play(scene, cores=1).failures == []


def test_a_worker_that_says_nothing_while_it_starts_is_one_that_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.worker_link.START_SECONDS", 0.2)

    async def scene(stage: Stage) -> None:
        stage.first = [Frame(Kind.CANCEL)]
        await stage.replace(stage.puppets[0])
        # Until that shows, it is as if the one that died were replaced at once.
        assert stage.pool.ready
        await until(lambda: not stage.pool.ready)
        await until(lambda: stage.pool.ready)
        assert [puppet.ended for puppet in stage.puppets] == [True, True, False]

    assert play(scene, cores=1).failures == []
    assert "a worker could not be replaced: a worker was not ready within 0.2 s" in caplog.text


def test_all_workers_run_what_the_first_one_runs() -> None:
    async def scene(stage: Stage) -> None:
        await stage.replace(stage.puppets[1])
        await stage.replace(stage.puppets[2])
        starts = []
        for puppet in (stage.puppets[0], stage.puppets[3]):
            await puppet.hear(0)
            starts.append(puppet.start)
        first, *others = starts
        assert first == Start(None, "auto", "auto", 1, MAX_BATCH, 100, 2, "this model")
        assert others == [Start(None, "cpu", "fp32", 1, MAX_BATCH, 100, 2, "this model", wide=False)]

    play(scene)


def test_an_image_that_is_alone_goes_where_it_has_all_cores() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(3):
            stage.submit(f"alone-{number}")
            frame = (await stage.puppets[0].hear(number + 1))[number]
            assert frame.alone
            await stage.puppets[0].answer(frame.number)
        # What takes the place of that one is given them too.
        stage.first = [is_ready(wide=True)]
        await stage.replace(stage.puppets[0])
        new = stage.puppets[2]
        stage.submit("another")
        assert (await new.hear(1))[0].alone
        assert new.start is not None
        assert new.start.wide
        await new.answer(new.heard[0].number)

    play(scene)


def test_on_a_gpu_a_new_worker_runs_there_too() -> None:
    start = Start(None, "auto", "auto", 1, MAX_BATCH, 100, 2)
    on_cuda = start.like(replace(RUNNING, provider=CUDA, wide=False))
    assert (on_cuda.device, on_cuda.precision, on_cuda.wide) == ("cuda", "fp32", False)


def test_who_only_says_what_it_cannot_decode_hangs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pool.HANGS_SECONDS", 0.3)
    monkeypatch.setattr("app.pool.WATCH_SECONDS", 0.05)
    problem = orjson.dumps({"code": "undecodable_image", "detail": "no image"})

    async def scene(stage: Stage) -> None:
        (puppet,) = stage.puppets
        stage.submit("stuck")
        (stuck,) = await puppet.hear(1)
        async with asyncio.timeout(10):
            while len(stage.puppets) == 1:
                stage.submit(f"bad-{len(puppet.heard)}")
                await puppet.hear_at_least(len(puppet.heard) + 1)
                if puppet.heard[-1].number != stuck.number:
                    # It may have been hung up on by now, and its socket be closed.
                    with suppress(OSError):
                        puppet.say(Frame(Kind.PROBLEM, puppet.heard[-1].number, body=problem))
                await asyncio.sleep(0.02)

    play(scene, cores=1, seconds=0.2)


def test_a_machine_that_stood_still_has_no_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pool.HANGS_SECONDS", 0.4)
    monkeypatch.setattr("app.pool.WATCH_SECONDS", 0.05)

    async def scene(stage: Stage) -> None:
        (puppet,) = stage.puppets
        stage.submit("before")
        (frame,) = await puppet.hear(1)
        # All of it stands still, and the watch is the first to go on.
        time.sleep(0.6)  # noqa: ASYNC251 (that is what it is about)
        await asyncio.sleep(0.1)
        assert len(stage.puppets) == 1
        await puppet.answer(frame.number)
        assert isinstance(stage.outcomes["before"], Answered)

    play(scene, cores=1, seconds=5)


def test_one_that_dies_before_it_is_of_use_is_replaced_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tries.RETRY_SECONDS", (0.1, 10))

    async def scene(stage: Stage) -> None:
        clock = asyncio.get_running_loop().time
        took = []
        for _ in range(4):
            began = clock()
            await stage.replace(stage.puppets[-1])
            took.append(clock() - began)
        # The first time nobody is to notice.
        assert took[0] < 0.1
        assert took[1] >= 0.1
        assert took[2] >= 0.2
        assert took[3] >= 0.4
        # One that was of use is replaced at once.
        stage.submit("image")
        (frame,) = await stage.puppets[-1].hear(1)
        await stage.puppets[-1].answer(frame.number)
        began = clock()
        await stage.replace(stage.puppets[-1])
        assert clock() - began < 0.4

    assert play(scene, cores=1).failures == []


def test_a_service_whose_workers_all_die_before_they_are_of_use_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tries.RETRY_SECONDS", (0.01, 0.05))
    monkeypatch.setattr("app.tries.WITHOUT_SECONDS", 0.4)

    async def scene(stage: Stage) -> None:
        async with asyncio.timeout(10):
            while not stage.failures:
                count = len(stage.puppets)
                if stage.pool._workers:
                    stage.puppets[-1].socket.close()
                # Some are not even started.
                stage.first = [OSError("no room")] if count % 2 else []
                await asyncio.sleep(0.02)

    assert "no worker is left" in play(scene, cores=1).failures[0]


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (refused("ModelRefusedError", "the file has gone"), "the file has gone"),
        (None, "a worker ended before it was ready"),
        (OSError("no room"), "no room"),
    ],
)
def test_without_any_worker_for_a_while_the_service_ends(
    monkeypatch: pytest.MonkeyPatch, first: Frame | OSError | None, says: str
) -> None:
    monkeypatch.setattr("app.tries.RETRY_SECONDS", (0.02, 0.02))
    monkeypatch.setattr("app.tries.WITHOUT_SECONDS", 0.1)

    async def scene(stage: Stage) -> None:
        stage.first = [first] * 1000
        stage.submit("waits")
        await stage.puppets[0].hear(1)
        stage.puppets[0].socket.close()
        await until(lambda: stage.failures)
        (failure,) = stage.failures
        assert failure.startswith("no worker is left, and none can be started (")
        assert says in failure
        assert len(stage.first) < 1000 - 2
        assert not stage.pool._restarts

    # What waits is told when the pool is closed.
    assert isinstance(play(scene, cores=1).outcomes["waits"], InternalError)


def test_the_end_answers_what_nobody_could_be_found_for() -> None:
    async def scene(stage: Stage) -> None:
        # The next one never gets ready.
        stage.first = [Frame(Kind.CANCEL)]
        _, gone, _ = stage.submit("a", "gone", "b")
        await stage.puppets[0].hear(3)
        await stage.replace(stage.puppets[0])
        stage.pool.drop(gone)

    outcomes = play(scene, cores=1).outcomes
    assert {name: type(outcome) for name, outcome in outcomes.items()} == {"a": InternalError, "b": InternalError}


def test_the_end_answers_what_waits() -> None:
    async def scene(stage: Stage) -> None:
        stage.submit(*stage.names(ROOM + 5))
        await stage.puppets[0].hear(ROOM)
        stage.puppets[0].socket.close()
        stage.first = [refused("ModelRefusedError", "too late")]
        await stage.pool.close()
        assert [type(outcome) for outcome in stage.outcomes.values()] == [InternalError] * (ROOM + 5)
        with pytest.raises(InternalError):
            stage.submit("too late")

    play(scene, cores=1)


@pytest.mark.parametrize(
    ("first", "error"),
    [(refused("ModelRefusedError", "no good"), ModelRefusedError), (None, WorkerRefusedError)],
)
def test_a_first_worker_that_does_not_come_up_is_the_end(first: Frame | None, error: type[Exception]) -> None:
    async def whole() -> None:
        stage = Stage(cores=2)
        stage.first = [first]
        with pytest.raises(error):
            await stage.pool.open()
        # No other one was started.
        assert [puppet.ended for puppet in stage.puppets] == [True]
        await stage.pool.close()

    asyncio.run(whole())


def test_no_worker_is_left_behind_where_another_one_does_not_come_up() -> None:
    async def whole() -> None:
        stage = Stage(cores=3)
        # The last one is still starting.
        stage.first = [is_ready(), refused("ModelRefusedError", "no good"), Frame(Kind.CANCEL)]
        with pytest.raises(ModelRefusedError, match="no good"):
            await stage.pool.open()
        assert [puppet.ended for puppet in stage.puppets] == [False, True, True]
        await stage.pool.close()
        assert stage.puppets[0].ended

    asyncio.run(whole())


@pytest.mark.parametrize("ready", [0, 1])
def test_no_worker_is_left_behind_where_the_start_is_given_up(ready: int) -> None:
    async def whole() -> None:
        stage = Stage(cores=3)
        stage.first = [is_ready()] * ready + [Frame(Kind.CANCEL)] * 3
        opening = asyncio.ensure_future(stage.pool.open())
        await until(lambda: len(stage.puppets) == (3 if ready else 1))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await stage.pool.close()
        assert all(puppet.ended for puppet in stage.puppets)

    asyncio.run(whole())


def test_on_a_gpu_there_is_one_worker_with_more_ahead() -> None:
    async def whole() -> None:
        stage = Stage(cores=4)
        stage.first = [Frame(Kind.READY, body=orjson.dumps({**asdict(RUNNING), "provider": CUDA}))]
        assert (await stage.pool.open()).provider == CUDA
        (puppet,) = stage.puppets
        stage.submit(*stage.names(AHEAD_ON_DEVICE * MAX_BATCH + 5))
        await puppet.hear(AHEAD_ON_DEVICE * MAX_BATCH)
        await settled()
        await stage.pool.close()

    asyncio.run(whole())


def test_a_worker_s_end_at_the_end_is_no_death(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.submit("a")
        await settled()

    play(scene)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
