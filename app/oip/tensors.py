"""A tensor of a request -> images; what of the model's outputs is asked for."""

import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from app.errors import InvalidRequestError, PayloadTooLargeError, RequestError, image_too_large
from app.oip.messages import InferInput, InferRequest
from app.oip.wire import BYTES, LENGTH, UINT8
from app.ports import INPUT

CHANNELS = 3
_SHOWN = 40
_PAST_ONE = (1,)


@dataclass(frozen=True)
class Images:
    """The images of a request.

    Attributes
    ----------
    data
        Of each image, a JPEG or PNG, or its pixels.
    framed
        Whether it is pixels, as the network takes them.
    """

    data: Sequence[bytes]
    framed: bool


def images_of(asked: InferInput, behind: memoryview, size: int, most_bytes: int, most_images: int) -> Images:
    """Take the images out of an input.

    Parameters
    ----------
    asked
        The input.
    behind
        What is behind the JSON.
    size
        Side of the network's input, in pixels.
    most_bytes
        Of one image.
    most_images
        In the tensor.

    Raises
    ------
    InvalidRequestError
        If the input is not one that the model takes, or its data is not what it says.
    PayloadTooLargeError
        If an image has more bytes than it may, and then it says which; or if there are too many images.
    """
    if asked.name != INPUT:
        msg = f"inputs.0: the model takes `{INPUT}`, not {asked.name[:_SHOWN]!r}."
        raise InvalidRequestError(msg)
    if asked.parameters.shared_memory_region is not None:
        msg = "inputs.0: nothing is read from shared memory here; send the data."
        raise InvalidRequestError(msg)
    binary = _in_binary(asked, behind)
    if asked.datatype == BYTES:
        return Images(_encoded(asked, binary, most_bytes, most_images), framed=False)
    if asked.datatype == UINT8:
        return Images(_pixels(asked, binary, size, most_images), framed=True)
    msg = f"inputs.0: the datatype is {BYTES} (JPEGs or PNGs) or {UINT8} (pixels), not {asked.datatype[:_SHOWN]!r}."
    raise InvalidRequestError(msg)


def _encoded(asked: InferInput, binary: memoryview | None, most_bytes: int, most_images: int) -> list[bytes]:
    count = _count(asked, ((), _PAST_ONE), "[N] or [N, 1]", most_images)
    images = split(binary, count) if binary is not None else _decoded(_flat(asked.data, asked.shape), most_bytes)
    for place, image in enumerate(images):
        if len(image) > most_bytes:
            raise at(place, image_too_large(most_bytes))
    return images


def _pixels(asked: InferInput, binary: memoryview | None, size: int, most_images: int) -> list[bytes]:
    of_one = (size, size, CHANNELS)
    count = _count(asked, (of_one,), f"[N, {size}, {size}, {CHANNELS}]", most_images)
    pixels = memoryview(_bytes_of(_flat(asked.data, asked.shape))) if binary is None else binary
    length = math.prod(of_one)
    if len(pixels) != count * length:
        msg = f"inputs.0: there are {len(pixels)} bytes of data; {count} images of {[*of_one]} have {count * length}."
        raise InvalidRequestError(msg)
    return [bytes(pixels[start : start + length]) for start in range(0, len(pixels), length)]


def at(place: int, error: RequestError) -> RequestError:
    """Return an error of one of several images, which says of which."""
    return type(error)(f"{INPUT}[{place}]: {error.detail}")


def split(binary: memoryview, count: int) -> list[bytes]:
    """Take the elements out of a tensor of `BYTES` as it travels: each is its length in 4 bytes, and then itself.

    Raises
    ------
    InvalidRequestError
        If there are not so many, or their lengths don't add up to the whole.
    """
    elements: list[bytes] = []
    place = 0
    while place < len(binary) and len(elements) < count:
        start = place + LENGTH.size
        length = LENGTH.unpack_from(binary, place)[0] if start <= len(binary) else 0
        place = start + length
        if place > len(binary):
            msg = f"inputs.0: element {len(elements)} goes on past the end of the {len(binary)} bytes of binary data."
            raise InvalidRequestError(msg)
        elements.append(bytes(binary[start:place]))
    if len(elements) < count or place < len(binary):
        more = "more" if len(elements) == count else f"{len(elements)}"
        msg = f"inputs.0: the shape says {count} elements; the binary data has {more}."
        raise InvalidRequestError(msg)
    return elements


def outputs_of(request: InferRequest, given: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the names of the outputs that are asked for, and whether each is to travel in binary.

    Raises
    ------
    InvalidRequestError
        If the model doesn't give one, one is asked for twice, or as something else than its values.
    """
    binary = request.parameters.binary_data_output
    if not request.outputs:
        return [(name, binary) for name in given]
    found: dict[str, bool] = {}
    for place, asked in enumerate(request.outputs):
        if asked.name not in given or asked.name in found:
            what = "is asked for twice" if asked.name in found else f"isn't given; there is {', '.join(given)}"
            msg = f"outputs.{place}: {asked.name[:_SHOWN]!r} {what}."
            raise InvalidRequestError(msg)
        how = asked.parameters
        if how.classification is not None or how.shared_memory_region is not None:
            msg = f"outputs.{place}: outputs are given as their values, not as classes nor in shared memory."
            raise InvalidRequestError(msg)
        found[asked.name] = binary if how.binary_data is None else how.binary_data
    return list(found.items())


def _in_binary(asked: InferInput, behind: memoryview) -> memoryview | None:
    """Return an input's binary data; None if its data is in the JSON."""
    said = asked.parameters.binary_data_size
    if (said is None) == (asked.data is None):
        msg = "inputs.0: give either data, or binary_data_size and the bytes behind the JSON."
        raise InvalidRequestError(msg)
    if (said or 0) != len(behind):
        msg = (
            f"inputs.0: binary_data_size says {said or 0} bytes; there are {len(behind)} behind the JSON, "
            "as Inference-Header-Content-Length has it."
        )
        raise InvalidRequestError(msg)
    return None if said is None else behind


def _count(asked: InferInput, rests: Sequence[tuple[int, ...]], wanted: str, most: int) -> int:
    """Return how many images a tensor holds; its shape must go on in one of these ways."""
    if not asked.shape or asked.shape[0] < 1 or asked.shape[1:] not in rests:
        msg = f"inputs.0: the shape of a {asked.datatype} tensor is {wanted}, N at least 1, not {[*asked.shape]}."
        raise InvalidRequestError(msg)
    if asked.shape[0] > most:
        # Looked at before they are taken apart, which takes the longer the more there are.
        msg = f"There are {asked.shape[0]} images; with so many views of each send at most {most} at a time."
        raise PayloadTooLargeError(msg)
    return asked.shape[0]


def _flat(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Return the elements of a tensor that is nested as its shape says, or in one list."""
    if data and not isinstance(data[0], list):
        _check(data, math.prod(shape))
        return data
    _check(data, shape[0])
    for length in shape[1:]:
        if not all(type(row) is list and len(row) == length for row in data):
            msg = f"inputs.0.data: must be nested as the shape {[*shape]} says, or be one list."
            raise InvalidRequestError(msg)
        data = list(chain.from_iterable(data))
    return data


def _check(data: list[Any], wanted: int) -> None:
    if len(data) != wanted:
        msg = f"inputs.0.data: has {len(data)} elements where the shape says {wanted}."
        raise InvalidRequestError(msg)


def _bytes_of(numbers: list[Any]) -> bytes:
    """Return numbers from 0 to 255 as bytes; InvalidRequestError if there is something else among them."""
    try:
        return bytes(numbers)
    except (TypeError, ValueError, OverflowError) as error:
        msg = "inputs.0.data: UINT8 is whole numbers from 0 to 255."
        raise InvalidRequestError(msg) from error


def _decoded(texts: list[Any], most_bytes: int) -> list[bytes]:
    """Return what is written in base64."""
    images = []
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"inputs.0.data.{place}: must be a string, an image in base64."
            raise InvalidRequestError(msg)
        if len(text) // 4 * 3 > most_bytes + CHANNELS:
            raise at(place, image_too_large(most_bytes))
        try:
            images.append(binascii.a2b_base64(text, strict_mode=True))
        except ValueError as error:
            msg = f"inputs.0.data.{place}: is no base64 (RFC 4648, with padding and without line breaks)."
            raise InvalidRequestError(msg) from error
    return images
