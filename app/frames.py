"""What the service and its workers say to each other over a socket: frames, each a header and a body."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from app.jobs import Job
from galaxytree.views import Views


class Kind(IntEnum):
    """What a frame says."""

    # To a worker.
    START = 0
    """Its body is JSON: how to start; see `app.starting.Start`."""
    JOB = 1
    """Its body is an image: a JPEG or PNG."""
    CANCEL = 2
    """Nobody waits for this job any more. It gets its frame all the same: `DROPPED`, or another if it is too late."""
    PIXELS = 9
    """A job too; its body is pixels as the network takes them."""

    # From a worker. Each job gets exactly one frame, which says that the worker is done with it.
    READY = 3
    """Its body is JSON: what runs; see `app.starting.Running`."""
    REFUSED = 4
    """Its body is JSON: why the worker can't start."""
    ANSWER = 5
    """Its body is the answer."""
    PROBLEM = 6
    """Its body is JSON: code and detail of what is wrong with the image."""
    FAILURE = 7
    """Its body is a text for the log: what went wrong in the worker."""
    DROPPED = 8
    """The job was cancelled, and the worker has let go of it."""


JOBS = frozenset({Kind.JOB, Kind.PIXELS})
"""What there is to be done."""

NOTHING = -1
"""Where no answer is to be explained."""


class Frame(NamedTuple):
    """One frame.

    Attributes
    ----------
    kind
    number
        Of the job.
    views, full
        See `Job`.
    explain
        See `Job`; `NOTHING` for None.
    alone
        Whether nobody else needs the cores.
    decode_seconds, infer_seconds
        See `Answered`.
    run_views
        Of the first answer of a run: how many views it had; 0 of the others.
    without_memory
        Of the first frame after runs for which there was no memory: how many there were.
    body
    """

    kind: Kind
    number: int = 0
    views: Views = 1
    full: bool = False
    explain: int = NOTHING
    alone: bool = False
    decode_seconds: float = 0.0
    infer_seconds: float = 0.0
    run_views: int = 0
    without_memory: int = 0
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as it travels."""
        return _HEADER.pack(*self[:-1], len(self.body)) + self.body


def frame_of(number: int, job: Job, *, alone: bool) -> Frame:
    """Return the frame that gives a worker a job."""
    explain = NOTHING if job.explain is None else job.explain
    kind = Kind.PIXELS if job.framed else Kind.JOB
    return Frame(kind, number, job.views, job.full, explain, alone, body=job.data)


def job_of(frame: Frame) -> Job:
    """Return the job that a frame gives."""
    explain = None if frame.explain == NOTHING else frame.explain
    return Job(frame.body, frame.views, full=frame.full, explain=explain, framed=frame.kind is Kind.PIXELS)


_HEADER = struct.Struct("<BQB?h?ffHHI")


class FrameReader:
    """Puts frames together from the pieces in which they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Take a piece; yield the frames that are complete."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            kind, *fields, length = _HEADER.unpack_from(self._buffer, at)
            start = at + _HEADER.size
            if len(self._buffer) < start + length:
                break
            at = start + length
            body = bytes(memoryview(self._buffer)[start:at])
            yield Frame._make((Kind(kind), *fields, body))
        del self._buffer[:at]
