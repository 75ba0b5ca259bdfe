"""What the service and its workers say to each other, in whatever pieces it comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.frames import Frame, FrameReader, Kind, frame_of, job_of
from app.jobs import Job

SECONDS = st.floats(0, 1e6, width=32)
FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**64 - 1),
    st.sampled_from([1, 8]),
    st.booleans(),
    st.integers(-1, 2**15 - 1),
    st.booleans(),
    SECONDS,
    SECONDS,
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.binary(max_size=300),
)


@given(st.lists(FRAMES, max_size=8), st.data())
def test_any_pieces_give_the_same_frames(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    as_views = data.draw(st.booleans())
    reader = FrameReader()
    found: list[Frame] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        piece = memoryview(bytearray(stream[start:stop])) if as_views else stream[start:stop]
        found += reader.feed(piece)
    assert found == frames


def test_a_piece_may_be_overwritten_once_it_was_taken() -> None:
    buffer = bytearray(Frame(Kind.JOB, 7, body=b"image").encode())
    (frame,) = FrameReader().feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert frame.body == b"image"


def test_a_byte_at_a_time() -> None:
    body = np.random.default_rng(0).bytes(1000)
    reader = FrameReader()
    found: list[Frame] = []
    for byte in Frame(Kind.ANSWER, 1, infer_seconds=0.5, body=body).encode():
        found += reader.feed(bytes([byte]))
    assert found == [Frame(Kind.ANSWER, 1, infer_seconds=0.5, body=body)]


def test_what_is_no_frame() -> None:
    with pytest.raises(ValueError, match="is not a valid Kind"):
        list(FrameReader().feed(b"\xff" + bytes(100)))


@given(
    st.builds(
        Job,
        st.binary(max_size=9),
        st.sampled_from([1, 8]),
        full=st.booleans(),
        explain=st.none() | st.integers(0, 36),
        framed=st.booleans(),
    ),
    st.booleans(),
)
def test_a_job_comes_out_as_it_went_in(job: Job, alone: bool) -> None:  # noqa: FBT001 (it is drawn)
    (frame,) = FrameReader().feed(frame_of(7, job, alone=alone).encode())
    assert job_of(frame) == job
    assert (frame.number, frame.alone) == (7, alone)
