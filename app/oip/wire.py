"""Bytes -> a request, and answers -> bytes: JSON, and behind it what travels in binary.

Of a body of both, the header ``Inference-Header-Content-Length`` says how long the JSON is. Where it says 0 there is
none, and the body is the only image.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError
from starlette.types import Scope

from app.errors import InvalidRequestError, PayloadTooLargeError
from app.oip.messages import InferInput, InferRequest, InputParameters
from app.ports import INPUT

HEAD = b"inference-header-content-length"
JSON, BINARY = b"application/json", b"application/octet-stream"
BYTES, UINT8, FP32 = "BYTES", "UINT8", "FP32"

LENGTH = struct.Struct("<I")
"""How long an element of `BYTES` is, before it."""

MOST_VALUES = 400_000
"""Numbers, lists and objects in the JSON of a request, about."""

_MOST_DIGITS = 18
_NAMED = 5


@dataclass(frozen=True)
class Tensor:
    """One output.

    Attributes
    ----------
    name
    shape
    values
        All of them, row by row.
    binary
        Whether it travels behind the JSON.
    """

    name: str
    shape: tuple[int, ...]
    values: Sequence[float]
    binary: bool


def head_bytes(scope: Scope) -> int | None:
    """Return how many bytes of a body are JSON; None: all of them.

    Raises
    ------
    InvalidRequestError
        If the header that says it is no number, or there are several.
    """
    said = [value.strip() for name, value in scope["headers"] if name == HEAD]
    if not said:
        return None
    if len(said) > 1 or not said[0].isdigit() or len(said[0]) > _MOST_DIGITS:
        msg = "Inference-Header-Content-Length must be one number: how many bytes of the body are JSON."
        raise InvalidRequestError(msg)
    return int(said[0])


def parse(body: bytes, head: int | None, most_json: int) -> tuple[InferRequest, memoryview]:
    """Read a request.

    Parameters
    ----------
    body
    head
        How many bytes of it are JSON; None: all of them.
    most_json
        How many may be.

    Returns
    -------
    request : InferRequest
    behind : memoryview
        What is behind the JSON.

    Raises
    ------
    InvalidRequestError
        If it isn't as the protocol has it.
    PayloadTooLargeError
        If there is more JSON than may be.
    """
    if head == 0:
        behind = LENGTH.pack(len(body)) + body
        one = InferInput(
            name=INPUT, datatype=BYTES, shape=(1,), parameters=InputParameters(binary_data_size=len(behind))
        )
        return InferRequest(inputs=(one,)), memoryview(behind)
    end = len(body) if head is None else head
    if end > len(body):
        msg = f"Inference-Header-Content-Length says that {end} bytes are JSON; the body has {len(body)}."
        raise InvalidRequestError(msg)
    if end > most_json:
        msg = f"The JSON has more than {most_json} bytes; send fewer images at a time, or as binary tensor data."
        raise PayloadTooLargeError(msg)
    whole = memoryview(body)
    return _read(body if end == len(body) else bytes(whole[:end])), whole[end:]


def _read(text: bytes) -> InferRequest:
    # Everybody waits while a text is read, and longer for many short values than for a few long ones.
    if sum(text.count(each) for each in (b",", b"[", b"{")) > MOST_VALUES:
        msg = f"The JSON has more than {MOST_VALUES} values; send fewer images at a time, or as binary tensor data."
        raise PayloadTooLargeError(msg)
    try:
        return InferRequest.model_validate(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        msg = f"the body: is no JSON ({error.msg}); Inference-Header-Content-Length says where it ends, if it does."
        raise InvalidRequestError(msg) from error
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        details = [f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}" for one in found]
        details[_NAMED:] = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
        raise InvalidRequestError("; ".join(details)) from error


def write(head: dict[str, Any], tensors: Sequence[Tensor]) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of an answer.

    Parameters
    ----------
    head
        What it says beside the outputs.
    tensors
        The outputs.
    """
    outputs, behind = [], []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": FP32, "shape": tensor.shape}
        if tensor.binary:
            behind.append(np.asarray(tensor.values, "<f4").tobytes())
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = tensor.values
        outputs.append(output)
    text = orjson.dumps({**head, "outputs": outputs})
    body = b"".join([text, *behind])
    headers = [(b"content-type", BINARY if behind else JSON), (b"content-length", b"%d" % len(body))]
    if behind:
        headers.append((HEAD, b"%d" % len(text)))
    return headers, body
