"""Batches and admission, without HTTP about them."""

import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from app.admission import Admission
from app.batching import Batcher
from app.errors import InternalError, OverloadedError

PIXELS = np.zeros((2, 2, 3), np.uint8)


def means(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.mean(axis=(1, 2)).astype(np.float32)


def test_each_image_gets_its_own_scores() -> None:
    async def ask() -> None:
        batcher = Batcher(means, max_batch=3)
        answers = await asyncio.gather(*(batcher.score(PIXELS + value) for value in range(10)))
        assert [answer.scores.tolist() for answer in answers] == [[value] * 3 for value in range(10)]
        assert all(answer.queue_seconds >= 0 and answer.infer_seconds >= 0 for answer in answers)
        batcher.close()

    asyncio.run(ask())


def test_a_run_that_fails_fails_each_of_its_images() -> None:
    def fails(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise RuntimeError

    async def ask() -> None:
        batcher = Batcher(fails, max_batch=2)
        answers = await asyncio.gather(batcher.score(PIXELS), batcher.score(PIXELS), return_exceptions=True)
        assert [type(answer) for answer in answers] == [InternalError, InternalError]
        assert answers[0] is not answers[1]
        batcher.close()

    asyncio.run(ask())


@pytest.mark.parametrize("fails", [False, True])
def test_who_goes_during_the_run_harms_nobody(*, fails: bool) -> None:
    gate = threading.Event()

    def held(images: NDArray[np.uint8]) -> NDArray[np.float32]:
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


def test_admission_is_exact_and_gives_back() -> None:
    admission = Admission(max_images=1, max_bytes=10, retry_after_seconds=1)
    with admission.visit() as first:
        first.hold(10)
        assert admission.full
        with pytest.raises(OverloadedError, match="or as many bytes of images"):
            first.hold(1)
        assert admission.bytes == 10
        first.enter()
        with pytest.raises(OverloadedError):
            admission.visit()
    assert (admission.images, admission.bytes, admission.full) == (0, 0, False)
