"""An image's answer is the same to the last byte, whichever others are scored with it, on a core or on several."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from app.devices import Device
from app.engine import Engine
from app.jobs import Job
from app.model import Model, Precision
from app.model_folder import ModelFolder
from app.providers import CPU
from galaxytree.decision_tree import load_tree
from tests.galaxies import jpeg, png

LARGEST = 8
"""Images that the service scores in one run on a CPU, at most, if nothing else is set."""

GALAXIES = [jpeg(seed) for seed in range(LARGEST + 1)] + [png(seed) for seed in range(LARGEST + 1, 16)]

Answering = Callable[[Sequence[Job]], list[bytes]]


@pytest.fixture(scope="module", params=["fp32", "int8"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Load the shipped model as a worker does that may have two cores for an image that is alone."""
    precision: Precision = request.param
    model = Model(ModelFolder.open(None), Device(CPU, "for the test"), threads=2, precision=precision)
    assert model.wide
    return Engine(model, 10**8)


@pytest.fixture(scope="module")
def answering(engine: Engine) -> Answering:
    return lambda jobs: engine.answer(jobs, [engine.read(job) for job in jobs])


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return [Job(galaxy, full=bool(place % 2)) for place, galaxy in enumerate(GALAXIES)]


@pytest.fixture(scope="module")
def alone(answering: Answering, jobs: list[Job]) -> list[bytes]:
    """Answer each image by itself."""
    return [answering([job])[0] for job in jobs]


def test_the_network_itself_before_anything_is_rounded(engine: Engine, jobs: list[Job]) -> None:
    # Answers have fewer digits than what they are made of: of differences in the last bit they show one in fifty.
    pixels = np.concatenate([engine.read(job).pixels for job in jobs])
    each = [pixels[place : place + 1] for place in range(len(pixels))]
    wanted = _bits(engine, each)
    assert _bits(engine, each, alone=True) == wanted
    for count in range(2, LARGEST + 1):
        for first in range(len(pixels) - count + 1):
            for alone in (False, True):
                found = _bits(engine, [pixels[first : first + count]], alone=alone)
                assert found == wanted[first : first + count]


@pytest.mark.parametrize("count", range(2, LARGEST + 1))
def test_in_any_batch_at_any_place(answering: Answering, jobs: list[Job], alone: list[bytes], count: int) -> None:
    for first in range(len(jobs) - count + 1):
        assert answering(jobs[first : first + count]) == alone[first : first + count]


def test_on_all_cores(engine: Engine, jobs: list[Job], alone: list[bytes]) -> None:
    for job, answer in zip(jobs, alone, strict=True):
        assert engine.answer([job], [engine.read(job)], alone=True) == [answer]


def test_among_others_of_eight_views_and_in_eight_itself(
    engine: Engine, answering: Answering, jobs: list[Job], alone: list[bytes]
) -> None:
    turned = [Job(galaxy, views=8) for galaxy in GALAXIES[:3]]
    answers = [answering([job])[0] for job in turned]
    for job, answer in zip(turned, answers, strict=True):
        assert engine.answer([job], [engine.read(job)], alone=True) == [answer]
    mixed = [jobs[0], turned[0], jobs[1], jobs[2], turned[1], turned[2], jobs[3]]
    wanted = [alone[0], answers[0], alone[1], alone[2], answers[1], answers[2], alone[3]]
    assert answering(mixed) == wanted


def test_who_asks_where_it_looked_disturbs_nobody(
    engine: Engine, answering: Answering, jobs: list[Job], alone: list[bytes]
) -> None:
    asking = [replace(job, explain=place, views=8 if place == 2 else 1) for place, job in enumerate(jobs[:4])]
    answers = [answering([job])[0] for job in asking]
    for job, answer, plain in zip(asking[:2], answers, alone, strict=False):
        assert engine.answer([job], [engine.read(job)], alone=True) == [answer]
        assert answer.startswith(plain[:-1] + b',"explanation":{')
    mixed = [jobs[4], asking[0], jobs[5], asking[2], asking[3], jobs[6], asking[1]]
    wanted = [alone[4], answers[0], alone[5], answers[2], answers[3], alone[6], answers[1]]
    assert answering(mixed) == wanted


def test_what_one_image_tells_nothing_of_changes_no_other() -> None:
    # Scores of nothing are shared out in another way, which rounds otherwise.
    tree = load_tree("galaxy-zoo-2")
    raw = np.random.default_rng(3).random((60, 37))
    by_itself = np.stack([tree.normalise(row) for row in raw])
    for strange in (0.0, 1e300, np.inf, np.nan, -1.0, 5e-324):
        among = raw.copy()
        among[7, tree.slices["Q7"]] = strange
        scores = tree.normalise(among)
        assert np.delete(scores, 7, axis=0).tobytes() == np.delete(by_itself, 7, axis=0).tobytes()
        assert scores[7].tobytes() == tree.normalise(among[7]).tobytes()


def _bits(engine: Engine, batches: Sequence[NDArray[np.uint8]], *, alone: bool = False) -> list[bytes]:
    """Return what the network says of each image, as it is in memory."""
    rows = []
    for batch in batches:
        said = engine.model.predict(batch, alone=alone)
        outputs = [getattr(said, name) for name in engine.model.outputs]
        rows += [b"".join(output[place].tobytes() for output in outputs) for place in range(len(batch))]
    return rows
