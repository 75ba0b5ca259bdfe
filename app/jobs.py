"""What is to be done for one request, and what it got."""

from dataclasses import dataclass

from galaxytree.views import Views


@dataclass(frozen=True)
class Job:
    """What is to be done for one request.

    Attributes
    ----------
    data
        The bytes of a JPEG or PNG, or pixels.
    views
        How many orientations to average over.
    full
        Whether to give questions, path and summary beside the scores.
    bulk
        Whether others may go ahead.
    explain
        Place in the tree of the answer for which it is asked where the network looked.
    framed
        Whether the data are pixels as the network takes them: uint8 [size, size, 3], RGB, row by row.
    """

    data: bytes
    views: Views = 1
    full: bool = False
    bulk: bool = False
    explain: int | None = None
    framed: bool = False


@dataclass(frozen=True)
class Answered:
    """What one image got, and what it took.

    Attributes
    ----------
    body
        The answer as JSON.
    decode_seconds, queue_seconds, infer_seconds
        From bytes to pixels; the time that the image waited for that and for its run; how long its run took.
    """

    body: bytes
    decode_seconds: float
    queue_seconds: float
    infer_seconds: float
