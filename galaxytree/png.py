"""PNGs, read by Pillow: whole ones only, in bounded time."""

import io
import re
import zlib
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxytree import exif

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_ANIMATION = frozenset((b"acTL", b"fcTL", b"fdAT"))
_RAW_PROFILE = "Raw profile type exif"
_LINES = 3
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')

MAX_CHUNKS = 20_000
"""Chunks of a file, at most. Encoders write one for some thousand bytes; each costs Pillow some microseconds."""

# Limits on pixels are the caller's, who sees the header before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class Png:
    """A PNG whose header has been read, and whose pixels have not.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    ValueError, OSError, SyntaxError, or another of Pillow's
        If the header is damaged, or there are more than `MAX_CHUNKS` chunks.
    """

    format = "PNG"

    def __init__(self, data: bytes) -> None:
        self._data = data
        chunks = list(islice(_chunks(data), MAX_CHUNKS + 1))
        if len(chunks) > MAX_CHUNKS:
            msg = f"there are more than {MAX_CHUNKS} chunks"
            raise ValueError(msg)
        # Of an animation the picture counts that all programs show. Pillow would warn of an odd one, or refuse it.
        if any(data[start : start + 4] in _ANIMATION for start, _ in chunks):
            whole = memoryview(data)
            still = (whole[start - 4 : end + 4] for start, end in chunks if data[start : start + 4] not in _ANIMATION)
            data = b"".join((SIGNATURE, *still))
        self._image = Image.open(io.BytesIO(data), formats=["PNG"])
        self.width, self.height = self._image.size

    @property
    def orientation(self) -> int | None:
        """What EXIF, or else XMP, in front of the pixels says; behind them it is not looked for."""
        for block in (self._image.info.get("exif"), _unhex(self._image.info.get(_RAW_PROFILE))):
            if isinstance(block, bytes) and (found := exif.orientation_in(block)) is not None:
                return found
        xmp = self._image.info.get("xmp")
        tag = _XMP_ORIENTATION.search(xmp) if isinstance(xmp, bytes) else None
        return None if tag is None else int(tag[1])

    def decode(self, _reduction: int = 1) -> NDArray[np.uint8]:
        """Decode the pixels as they are stored, to RGB: uint8 [height, width, 3]; an error if they are damaged.

        PNGs can't be decoded at a part of their size.
        """
        _hold_whole(self._data)
        return np.asarray(_to_rgb(self._image))


def _chunks(png: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each chunk's kind begins and where its checksum begins, up to the end or to where the file is cut."""
    place = len(SIGNATURE)
    while place < len(png):
        start = place + 4
        end = start + 4 + int.from_bytes(png[place:start])
        place = end + 4
        yield start, end
        if png[start : start + 4] == b"IEND":
            return


def _unhex(text: object) -> bytes | None:
    """Return the bytes of EXIF that a program wrote as text, behind three lines that tell of it."""
    try:
        # White space within is skipped, so that there is nothing to be taken apart.
        return bytes.fromhex(text.split("\n", _LINES)[_LINES]) if isinstance(text, str) else None
    except (IndexError, ValueError):
        return None


def _hold_whole(png: bytes) -> None:
    """Raise ValueError unless all critical chunks are there and sound; Pillow forgives a missing end."""
    kind = b""
    for start, end in _chunks(png):
        kind = png[start : start + 4]
        if end + 4 > len(png) or (
            kind[:1].isupper() and zlib.crc32(memoryview(png)[start:end]) != int.from_bytes(png[end : end + 4])
        ):
            msg = "a chunk is damaged or cut off"
            raise ValueError(msg)
    if kind != b"IEND":
        msg = "the end is missing"
        raise ValueError(msg)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255; a user expects the whole range to be kept.
        eight_bits = np.asarray(image).clip(0, 65535) // 257
        return Image.fromarray(eight_bits.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        sky = Image.new("RGBA", image.size, "black")
        return Image.alpha_composite(sky, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
