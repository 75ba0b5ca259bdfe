"""What becomes of images that are decoded and scored together, without a socket about them."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import orjson
import pytest

from app.batching import Entry, decode, score
from app.errors import UndecodableImageError
from app.frames import Frame, Kind
from app.images import FramedImage
from app.jobs import Job
from app.ports import UnusableScoresError
from galaxytree.schemas import ImageFacts
from galaxytree.views import Views

if TYPE_CHECKING:
    from app.engine import Engine

FACTS = ImageFacts(sha256=hashlib.sha256(b"").hexdigest(), format="PNG", width=2, height=2)


class FakeEngine:
    """Answers each image with its bytes; `bad` ones can't be decoded, and with `odd` ones a run is of no use."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.error: Exception | None = None
        self.without_memory = 0
        self.halved: list[int] = []

    def read(self, job: Job) -> FramedImage:
        if job.data == b"bad":
            msg = "no image"
            raise UndecodableImageError(msg)
        if job.data == b"unforeseen":
            msg = "at /secret/place"
            raise RuntimeError(msg)
        return FramedImage(np.zeros((job.views, 2, 2, 3), np.uint8), FACTS)

    def answer(self, jobs: Sequence[Job], images: Sequence[FramedImage], *, alone: bool = False) -> list[bytes]:
        assert not alone or len(jobs) == 1
        self.runs.append(sum(len(image.pixels) for image in images))
        self.without_memory += self.halved.pop(0) if self.halved else 0
        if self.error is not None:
            raise self.error
        if any(job.data == b"odd" for job in jobs):
            raise UnusableScoresError
        return [job.data for job in jobs]


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


def entries_of(*images: bytes, views: Views = 1) -> list[Entry]:
    return [Entry(number, Job(image, views)) for number, image in enumerate(images)]


def through(fake: FakeEngine, entries: list[Entry]) -> list[Frame]:
    engine = cast("Engine", fake)
    return decode(engine, entries) + score(engine, entries)


def test_each_image_gets_its_own_answer(fake: FakeEngine) -> None:
    entries = entries_of(b"a", b"b", b"c")
    told = through(fake, entries)
    assert [(frame.kind, frame.number, frame.body) for frame in told] == [
        (Kind.ANSWER, number, body) for number, body in enumerate([b"a", b"b", b"c"])
    ]
    assert fake.runs == [3]
    assert all(frame.decode_seconds > 0 and frame.infer_seconds > 0 for frame in told)
    assert len({frame.infer_seconds for frame in told}) == 1


def test_who_cannot_be_decoded_fails_alone(fake: FakeEngine) -> None:
    problem, failure, *answers = through(fake, entries_of(b"a", b"bad", b"b", b"unforeseen"))
    assert (problem.kind, problem.number) == (Kind.PROBLEM, 1)
    assert orjson.loads(problem.body) == {"code": "undecodable_image", "detail": "no image"}
    assert (failure.kind, failure.number) == (Kind.FAILURE, 3)
    assert b"Traceback" in failure.body
    assert b"/secret/place" in failure.body
    assert [(frame.number, frame.body) for frame in answers] == [(0, b"a"), (2, b"b")]
    assert fake.runs == [2]


def test_who_sent_what_the_network_has_no_answer_for_is_the_only_one_to_lose_by_it(fake: FakeEngine) -> None:
    told = through(fake, [*entries_of(b"a", b"odd", b"b"), Entry(3, Job(b"eight", 8)), Entry(4, Job(b"odd", 8))])
    assert [(frame.number, frame.kind) for frame in told] == [
        (0, Kind.ANSWER), (1, Kind.FAILURE), (2, Kind.ANSWER), (3, Kind.ANSWER), (4, Kind.FAILURE)
    ]  # fmt: skip
    # The views of one image stay together.
    assert fake.runs == [19, 1, 1, 1, 8, 8]


def test_a_run_that_fails_fails_each_of_its_images_and_is_told_at_length_once(fake: FakeEngine) -> None:
    fake.error = RuntimeError("out of luck")
    told = through(fake, entries_of(b"a", b"b", b"c"))
    assert [frame.kind for frame in told] == [Kind.FAILURE] * 3
    assert [b"Traceback" in frame.body for frame in told] == [True, False, False]
    assert all(frame.body.startswith(b"a run of 3 images failed: RuntimeError: out of luck") for frame in told)
    assert fake.runs == [3]


def test_runs_without_memory_are_told_of_once_whatever_becomes_of_them(fake: FakeEngine) -> None:
    fake.halved = [2]
    assert [frame.without_memory for frame in through(fake, entries_of(b"bad", b"a", b"b"))] == [0, 2, 0]
    assert [frame.without_memory for frame in through(fake, entries_of(b"a"))] == [0]
    # Of three, the last of which fails in the end, once it is by itself.
    fake.halved = [1, 0, 0, 4]
    assert sum(frame.without_memory for frame in through(fake, entries_of(b"a", b"b", b"odd"))) == 5
    fake.halved, fake.error = [3], RuntimeError("out of luck")
    assert [frame.without_memory for frame in through(fake, entries_of(b"a", b"b"))] == [3, 0]


def test_who_has_gone_costs_no_run(fake: FakeEngine) -> None:
    entries = entries_of(b"a", b"b")
    engine = cast("Engine", fake)
    decode(engine, entries)
    entries[0].cancelled = True
    assert [(frame.kind, frame.number) for frame in score(engine, entries)] == [(Kind.DROPPED, 0), (Kind.ANSWER, 1)]
    entries[1].cancelled = True
    assert [(frame.kind, frame.number) for frame in score(engine, entries)] == [(Kind.DROPPED, 0), (Kind.DROPPED, 1)]
    assert fake.runs == [1]


def test_who_could_not_be_decoded_and_then_goes_is_told_of_once(fake: FakeEngine) -> None:
    entries = entries_of(b"bad", b"a")
    engine = cast("Engine", fake)
    assert [frame.kind for frame in decode(engine, entries)] == [Kind.PROBLEM]
    entries[0].cancelled = True
    assert [frame.number for frame in score(engine, entries)] == [1]
