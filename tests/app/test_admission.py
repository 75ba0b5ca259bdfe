"""How much is in service at a time, without HTTP about it."""

import pytest

from app.admission import Admission
from app.errors import OverloadedError


def test_it_counts_an_image_once_a_view() -> None:
    admission = Admission(max_images=16, max_bytes=10, retry_after_seconds=1)
    with admission.visit(8) as first, admission.visit(8) as second:
        first.enter()
        assert (admission.images, admission.full(8), admission.full(9)) == (8, False, True)
        second.enter()
        assert admission.images == 16
        with pytest.raises(OverloadedError, match="queue_images"):
            admission.visit()
    assert admission.images == 0


def test_it_is_exact_and_gives_back() -> None:
    admission = Admission(max_images=1, max_bytes=10, retry_after_seconds=1)
    with admission.visit() as first:
        first.hold(10)
        assert admission.full()
        with pytest.raises(OverloadedError, match=r"^As many bytes of images are .*\(queue_bytes\)"):
            first.hold(1)
        assert admission.bytes == 10
        first.enter()
        with pytest.raises(OverloadedError):
            admission.visit()
        first.leave()
        assert (admission.images, admission.bytes) == (0, 0)
    # Once more changes nothing.
    assert (admission.images, admission.bytes, admission.full()) == (0, 0, False)


def test_bulk_is_let_in_up_to_its_share_exactly() -> None:
    admission = Admission(max_images=8, max_bytes=100, retry_after_seconds=1, bulk_share=0.75)
    admission.take(images=5)
    assert not admission.full(1, bulk=True)
    late = admission.visit(1, bulk=True)
    admission.take(images=1, bulk=True)
    assert admission.full(1, bulk=True)
    assert not admission.full(2)
    # Who was let in while there was room is refused as well, if by the end of its body there is none.
    with pytest.raises(OverloadedError, match="bulk_share"):
        late.enter()
    with pytest.raises(OverloadedError):
        admission.visit(1, bulk=True)
    admission.visit(2).enter()
    assert admission.full(1)


def test_bulk_may_have_all_of_it() -> None:
    admission = Admission(max_images=3, max_bytes=100, retry_after_seconds=1, bulk_share=1)
    for _ in range(3):
        admission.visit(bulk=True).enter()
    assert admission.full(bulk=True)


def test_a_bulk_image_that_is_larger_than_the_share_is_let_in_by_itself() -> None:
    admission = Admission(max_images=8, max_bytes=100, retry_after_seconds=1, bulk_share=0.25)
    admission.take(images=1)
    assert admission.full(8, bulk=True)
    admission.give_back(images=1, count=0)
    with admission.visit(8, bulk=True) as visit:
        visit.enter()
        assert admission.images == 8
