"""One request that is over, as a line of the access log and a trace tell of it: never a body, a key or a query."""

import re
from typing import NamedTuple

TRACEPARENT = b"traceparent"

ITEMS = "galaxytree.items"
"""Where that of a batch has how many items were scored, and how many were not."""

ENDED = "galaxytree.ended"
"""Where that of a batch whose answer the service broke off has the code of the error that it is for."""

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_VERSION = b"00"
_STAGES = re.compile(rb"decode;dur=([0-9.]+), queue;dur=([0-9.]+), infer;dur=([0-9.]+)")


class Parent(NamedTuple):
    """Who asked, as W3C's Trace Context has it.

    Attributes
    ----------
    trace_id, span_id
        In hexadecimal.
    flags
        Its lowest bit says whether whoever asked keeps this trace.
    """

    trace_id: str
    span_id: str
    flags: int


class Stages(NamedTuple):
    """What an image took, in milliseconds."""

    decode: float
    queue: float
    infer: float


class Seen(NamedTuple):
    """One request that is over.

    Attributes
    ----------
    began
        When, in seconds since 1970.
    seconds
        What it took.
    request_id
    client
        Its address; None over a socket of this machine.
    key
        The name of the key that it showed.
    method, route, status, code
        See `app.telemetry.numbers.Answer`.
    bytes_in, bytes_out
        Of the body that came and of the one that was sent.
    stages
        Of an image that got its answer.
    views, priority
        That were asked for, or are taken where nothing is asked for; of images.
    scored, failed
        How many items of a batch were, and were not.
    parent
    ended
        Of a batch whose answer the service broke off, the code of the error that it is for.
    key_checksum
        By which of several checksums its key was shown: its place among them, from 1.
    """

    began: float
    seconds: float
    request_id: str
    client: str | None
    key: str | None
    method: str
    route: str
    status: int
    code: str
    bytes_in: int
    bytes_out: int
    stages: Stages | None
    views: int | None
    priority: str | None
    scored: int | None
    failed: int | None
    parent: Parent | None
    ended: str | None = None
    key_checksum: int | None = None


def parent_of(headers: list[tuple[bytes, bytes]]) -> Parent | None:
    """Return who asked, if a request says so in a header ``traceparent`` that is as it should be, and the only one."""
    said = [value for name, value in headers if name == TRACEPARENT]
    found = _PARENT.fullmatch(said[0].strip()) if len(said) == 1 else None
    # Of later versions what is added behind is left out.
    if found is None or (found[1] == _VERSION and found[5] is not None):
        return None
    return Parent(found[2].decode(), found[3].decode(), int(found[4], 16))


def stages_of(server_timing: bytes) -> Stages | None:
    """Return the stages that the header ``Server-Timing`` of an answer tells of; None if it is none of this service."""
    found = _STAGES.fullmatch(server_timing)
    return None if found is None else Stages(float(found[1]), float(found[2]), float(found[3]))
