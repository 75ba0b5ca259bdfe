"""Batches and admission, without HTTP about them."""

import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from app.admission import Admission
from app.batching import Batcher, Scored
from app.errors import InternalError, OverloadedError
from app.ports import UnusableScoresError
from galaxytree.predictions import Predictions

PIXELS = np.zeros((1, 2, 2, 3), np.uint8)


def means(images: NDArray[np.uint8]) -> Predictions:
    return Predictions(images.mean(axis=(1, 2)).astype(np.float32))


def test_each_image_gets_its_own_scores() -> None:
    async def ask() -> None:
        batcher = Batcher(means, max_batch=3)
        answers = await asyncio.gather(*(batcher.score(PIXELS + value) for value in range(10)))
        assert [answer.prediction.scores.tolist() for answer in answers] == [[value] * 3 for value in range(10)]
        assert all(answer.queue_seconds >= 0 and answer.infer_seconds >= 0 for answer in answers)
        batcher.close()

    asyncio.run(ask())


def test_a_run_that_fails_fails_each_of_its_images() -> None:
    def fails(_: NDArray[np.uint8]) -> Predictions:
        raise RuntimeError

    async def ask() -> None:
        batcher = Batcher(fails, max_batch=2)
        answers = await asyncio.gather(batcher.score(PIXELS), batcher.score(PIXELS), return_exceptions=True)
        assert [type(answer) for answer in answers] == [InternalError, InternalError]
        assert answers[0] is not answers[1]
        batcher.close()

    asyncio.run(ask())


def test_who_sent_what_the_network_has_no_answer_for_is_the_only_one_to_lose_by_it() -> None:
    runs: list[int] = []

    def red_is_unusable(images: NDArray[np.uint8]) -> Predictions:
        runs.append(len(images))
        if (images[..., 0] == 255).any():
            raise UnusableScoresError
        return means(images)

    async def ask() -> None:
        batcher = Batcher(red_is_unusable, max_batch=32)
        red, views = PIXELS + np.array([255, 0, 0], np.uint8), np.repeat(PIXELS + 7, 8, axis=0)
        views_with_red = np.concatenate([views[:7], red])
        waiting = [batcher.score(each) for each in (PIXELS, red, views, views_with_red, PIXELS + 9)]
        first, bad, eight, bad_view, last = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in (bad, bad_view)] == [InternalError] * 2
        sound = [each.prediction.scores.tolist() for each in (first, eight, last) if isinstance(each, Scored)]
        assert sound == [[0] * 3, [7] * 3, [9] * 3]
        assert isinstance(await batcher.score(PIXELS), Scored)
        batcher.close()

    asyncio.run(ask())
    assert runs == [19, 1, 1, 8, 8, 1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_who_goes_during_the_run_harms_nobody(*, fails: bool) -> None:
    gate = threading.Event()

    def held(images: NDArray[np.uint8]) -> Predictions:
        assert gate.wait(10)
        if fails:
            raise RuntimeError
        return means(images)

    async def ask() -> None:
        batcher = Batcher(held, max_batch=2)
        stays, goes = (asyncio.create_task(batcher.score(PIXELS)) for _ in range(2))
        await asyncio.sleep(0.05)
        goes.cancel()
        await asyncio.sleep(0)
        gate.set()
        (result,) = await asyncio.gather(stays, return_exceptions=True)
        assert isinstance(result, InternalError) == fails
        assert goes.cancelled()
        batcher.close()

    asyncio.run(ask())


def test_after_the_end_nothing_is_scored() -> None:
    async def ask() -> None:
        batcher = Batcher(means, max_batch=2)
        batcher.close()
        with pytest.raises(InternalError):
            await batcher.score(PIXELS)

    asyncio.run(ask())


def test_the_views_of_an_image_are_one_run_and_no_run_is_larger_than_it_may_be() -> None:
    runs: list[list[int]] = []
    gate = threading.Event()

    def recorded(images: NDArray[np.uint8]) -> Predictions:
        assert gate.wait(10)
        runs.append(images[:, 0, 0, 0].tolist())
        return means(images)

    async def ask() -> None:
        batcher = Batcher(recorded, max_batch=10)
        counts = [1, 8, 1, 1, 8, 8, 1]
        waiting = [
            asyncio.create_task(batcher.score(np.repeat(PIXELS + value, count, axis=0)))
            for value, count in enumerate(counts)
        ]
        await asyncio.sleep(0.05)
        waiting[3].cancel()
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [answer.prediction.views for answer in answers if isinstance(answer, Scored)] == [1, 8, 1, 8, 8, 1]
        assert all(
            answer.prediction.scores.tolist() == [value] * 3
            for value, answer in enumerate(answers)
            if isinstance(answer, Scored)
        )
        batcher.close()

    asyncio.run(ask())
    # The first three fill a run of ten; the fourth has gone; nobody overtakes.
    assert runs == [[0, *[1] * 8, 2], [4] * 8, [*[5] * 8, 6]]


def test_more_views_than_a_run_has_room_for_do_not_wait_for_ever() -> None:
    async def ask() -> None:
        batcher = Batcher(means, max_batch=7)
        with pytest.raises(ValueError, match="8 views don't fit into a run of 7"):
            await batcher.score(np.repeat(PIXELS, 8, axis=0))
        batcher.close()

    asyncio.run(ask())


def test_each_image_is_averaged_over_its_own_views() -> None:
    def answers(images: NDArray[np.uint8]) -> Predictions:
        rows = (images[:, 0, 0, :] / 100).astype(np.float32)
        return Predictions(rows, uncertainty=rows, uncertainty_95=2 * rows, out_of_domain=rows[:, 0])

    async def ask() -> None:
        batcher = Batcher(answers, max_batch=16)
        views = np.arange(0, 80, 10, dtype=np.uint8)[:, None, None, None] + PIXELS
        one, eight = await asyncio.gather(batcher.score(PIXELS + 90), batcher.score(views))
        assert one.prediction.out_of_domain == pytest.approx(0.9)
        assert one.prediction.uncertainty == pytest.approx([0.9] * 3)
        assert eight.prediction.scores == pytest.approx([0.35] * 3)
        assert eight.prediction.uncertainty == pytest.approx([np.sqrt(0.175)] * 3)
        assert eight.prediction.uncertainty_95 == pytest.approx([2 * np.sqrt(0.175)] * 3)
        assert eight.prediction.out_of_domain == pytest.approx(0.35)
        batcher.close()

    asyncio.run(ask())


def test_admission_counts_an_image_once_a_view() -> None:
    admission = Admission(max_images=16, max_bytes=10, retry_after_seconds=1)
    with admission.visit(8) as first, admission.visit(8) as second:
        first.enter()
        assert (admission.images, admission.full(8), admission.full(9)) == (8, False, True)
        second.enter()
        assert admission.images == 16
        with pytest.raises(OverloadedError):
            admission.visit()
    assert admission.images == 0


def test_admission_is_exact_and_gives_back() -> None:
    admission = Admission(max_images=1, max_bytes=10, retry_after_seconds=1)
    with admission.visit() as first:
        first.hold(10)
        assert admission.full()
        with pytest.raises(OverloadedError, match="or as many bytes of images"):
            first.hold(1)
        assert admission.bytes == 10
        first.enter()
        with pytest.raises(OverloadedError):
            admission.visit()
    assert (admission.images, admission.bytes, admission.full()) == (0, 0, False)
