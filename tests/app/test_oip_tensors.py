"""Tensors as they travel: what goes in comes out, and whatever else comes is refused and no more."""

import asyncio
import contextlib
import struct
import zlib
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope
from tritonclient.utils import serialize_byte_tensor

from app.errors import InvalidRequestError, PayloadTooLargeError, ServiceError
from app.oip.body import PIECE_BYTES, Limits, read_body
from app.oip.messages import InferInput, InputParameters
from app.oip.tensors import images_of, split
from app.oip.wire import HEAD, Tensor, head_bytes, parse, write

SIZE = 4
MOST = 1000


def elements(parts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=6))
def test_elements_come_out_as_they_went_in(parts: list[bytes]) -> None:
    travelling = elements(parts)
    assert split(memoryview(travelling), len(parts)) == parts
    if parts:
        tensor = np.empty(len(parts), np.object_)
        tensor[:] = parts
        assert serialize_byte_tensor(tensor).item() == travelling
    for wrong in (len(parts) + 1, max(0, len(parts) - 1)):
        if wrong != len(parts):
            with pytest.raises(InvalidRequestError):
                split(memoryview(travelling), wrong)


ODD = st.one_of(
    st.binary(max_size=40),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=9)), max_size=4).map(
        lambda pairs: b"".join(struct.pack("<I", length) + part for length, part in pairs)
    ),
    st.lists(st.binary(max_size=9), max_size=4).map(elements),
)


@settings(deadline=None)
@given(ODD, st.integers(0, 2**62))
def test_any_bytes_are_elements_or_are_refused(binary: bytes, count: int) -> None:
    with contextlib.suppress(InvalidRequestError):
        parts = split(memoryview(binary), count)
        assert len(parts) == count
        assert elements(parts) == binary


SHAPES = st.one_of(
    st.lists(st.integers(0, 5), max_size=5), st.just([1]), st.just([2, SIZE, SIZE, 3]), st.lists(st.integers(0, 2**63))
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 300), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["images", "images", "other"])
DATATYPES = st.sampled_from(["BYTES", "UINT8", "FP32", ""])


@settings(max_examples=300, deadline=None)
@given(NAMES, DATATYPES, SHAPES, st.none() | st.lists(VALUES, max_size=4), st.none() | st.integers(0, 99), ODD)
def test_any_tensor_is_images_or_is_refused(
    name: str, datatype: str, shape: list[int], data: list[Any] | None, size: int | None, behind: bytes
) -> None:
    fields = {"name": name, "datatype": datatype, "shape": tuple(shape), "data": data}
    asked = InferInput.model_construct(**fields, parameters=InputParameters.model_construct(binary_data_size=size))
    with contextlib.suppress(InvalidRequestError, PayloadTooLargeError):
        images = images_of(asked, memoryview(behind), SIZE, MOST, 5)
        assert len(images.data) == shape[0] <= 5
        assert images.framed == (datatype == "UINT8")
        assert all(type(image) is bytes for image in images.data)
        assert not images.framed or {len(image) for image in images.data} == {SIZE * SIZE * 3}


@settings(deadline=None)
@given(st.lists(st.binary(min_size=SIZE * SIZE * 3, max_size=SIZE * SIZE * 3), min_size=1, max_size=3), st.booleans())
def test_pixels_come_out_as_they_went_in(pictures: list[bytes], nested: bool) -> None:  # noqa: FBT001 (it is drawn)
    whole, shape = b"".join(pictures), (len(pictures), SIZE, SIZE, 3)
    numbers = np.frombuffer(whole, np.uint8)
    data = (numbers.reshape(shape) if nested else numbers).tolist()
    in_json = InferInput(name="images", datatype="UINT8", shape=shape, data=data)
    how = InputParameters(binary_data_size=len(whole))
    in_binary = InferInput(name="images", datatype="UINT8", shape=shape, parameters=how)
    for asked, behind in ((in_json, b""), (in_binary, whole)):
        images = images_of(asked, memoryview(behind), SIZE, MOST, 5)
        assert images.framed
        assert images.data == pictures


REQUEST = orjson.dumps({"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}]})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_body_is_a_request_or_is_refused(data: st.DataObject) -> None:
    body = bytearray(REQUEST + data.draw(st.binary(max_size=20)))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=3)):
        body[place] = byte
    head = data.draw(st.none() | st.integers(0, len(body) + 9) | st.just(len(REQUEST)))
    with contextlib.suppress(ServiceError):
        request, behind = parse(bytes(body), head, 500)
        assert len(request.inputs) == 1
        assert len(behind) == (4 + len(body) if head == 0 else len(body) - (len(body) if head is None else head))


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_any_header_is_a_number_or_is_refused(value: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        found = head_bytes({"headers": [(HEAD, value)]})
        assert found == int(value)
    assert head_bytes({"headers": []}) is None


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=20), st.booleans())
def test_what_is_written_can_be_read(values: list[float], binary: bool) -> None:  # noqa: FBT001 (it is drawn)
    one = Tensor("scores", (len(values),), values, binary)
    headers, body = write({"id": "é"}, [one, Tensor("other", (1,), [0.5], binary=True)])
    named = dict(headers)
    head = int(named[HEAD])
    said = orjson.loads(body[:head])
    assert int(named[b"content-length"]) == len(body)
    assert said["id"] == "é"
    first, second = said["outputs"]
    behind = len(values) * 4 if binary else 0
    found = struct.unpack_from(f"<{len(values)}f", body, head) if binary else first["data"]
    assert list(found) == values
    assert first["shape"] == [len(values)]
    assert second["parameters"] == {"binary_data_size": 4}
    assert body[head + behind :] == struct.pack("<f", 0.5)


def read(pieces: list[bytes], coding: bytes, most: int) -> tuple[bytes, int]:
    """Read a body that comes in pieces; return it, and how many bytes were held for it."""
    left, held = [*pieces], 0

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left)}

    def hold(count: int) -> None:
        nonlocal held
        held += count

    scope: Scope = {"headers": [(b"content-encoding", coding)]}
    body = asyncio.run(read_body(scope, receive, Limits(most, 60), hold))
    return body, held


def packed(data: bytes, coding: bytes) -> bytes:
    if coding == b"identity":
        return data
    packing = zlib.compressobj(wbits=zlib.MAX_WBITS | (16 if coding.endswith(b"gzip") else 0))
    return packing.compress(data) + packing.flush()


CODINGS = st.sampled_from([b"identity", b"gzip", b"x-gzip", b"deflate", b"GZIP"])
# So much that it is unpacked in one piece, in several, and just so.
BODIES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 5 * PIECE_BYTES]).map(bytes),
)


@settings(max_examples=60, deadline=None)
@given(BODIES, CODINGS, st.integers(1, 5), st.integers(0, 3))
def test_a_body_comes_out_as_it_went_in(data: bytes, coding: bytes, pieces: int, missing: int) -> None:
    travelling = packed(data, coding.lower())
    step = max(1, -(-len(travelling) // pieces))
    parts = [travelling[at : at + step] for at in range(0, len(travelling), step)] or [b""]
    most = max(len(data), len(travelling))
    assert read(parts, coding, most) == (data, len(data))
    if len(data) > missing > 0 and len(data) >= len(travelling):
        with pytest.raises(PayloadTooLargeError):
            read(parts, coding, len(data) - missing)


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"gzip", b"deflate"]))
def test_what_is_not_packed_as_it_says_is_refused(data: bytes, coding: bytes) -> None:
    for travelling in (data, packed(data, coding)[:-1], packed(data, coding) + b"\0"):
        with pytest.raises(InvalidRequestError):
            read([travelling], coding, 10_000)
