"""JPEGs, read by libjpeg-turbo with its warnings as errors, in bounded time.

A file that is cut off or damaged in its structure is refused, rather than filled up with grey.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from galaxytree import exif

SIGNATURE = b"\xff\xd8\xff"

MAX_SCANS = 100
"""Scans of a progressive JPEG, at most. Encoders write about ten; each may cost as much as an image, in 34 bytes."""

MAX_SEGMENTS = 256
"""So many segments in front of the pixels are searched for EXIF, at most; cameras and editors write a few dozen."""

_MARKER, _APP1, _START_OF_SCAN = 0xFF, 0xE1, 0xDA


class Jpeg:
    """A JPEG whose header has been read, and whose pixels have not.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    ValueError
        If the header is damaged, or there are more than `MAX_SCANS` scans.
    """

    format = "JPEG"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.height, self.width, self._colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        # Within a scan 0xFF is always followed by 0 or a restart, so this counts no fewer than there are. The first
        # count is of fewer bytes and much faster, and settles it for most.
        if data.count(_START_OF_SCAN) > MAX_SCANS and data.count(bytes((_MARKER, _START_OF_SCAN))) > MAX_SCANS:
            msg = f"there are more than {MAX_SCANS} scans"
            raise ValueError(msg)
        self.orientation = _orientation(data) if exif.PREFIX in data else None

    def decode(self, reduction: int = 1) -> NDArray[np.uint8]:
        """Decode the pixels as they are stored, to RGB, at a part of their size; ValueError if they are damaged.

        Parameters
        ----------
        reduction : 1, 2, 4 or 8
            From how many pixels in a row one is made.

        Returns
        -------
        array of uint8, shape [height / reduction, width / reduction, 3]
            Both sides are rounded up.
        """
        if self._colours not in {"CMYK", "YCCK"}:
            return self._decoded("RGB", reduction)
        # Ink is stored inverted, as Adobe's programs began to do and all others followed.
        ink = 255 - self._decoded("CMYK", reduction)
        return np.asarray(Image.fromarray(ink, mode="CMYK").convert("RGB"))

    def _decoded(self, colours: str, reduction: int) -> NDArray[np.uint8]:
        # Of the sizes that libjpeg can scale to, the smallest is taken that is no smaller than this: just this one.
        height, width = -(-self.height // reduction), -(-self.width // reduction)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            self._data, colorspace=colours, strict=True, min_height=height, min_width=width
        )
        return pixels


def _orientation(data: bytes) -> int | None:
    """Return the orientation that EXIF in front of the pixels gives."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        marker, kind = data[place : place + 1], data[place + 1 : place + 2]
        if marker != bytes((_MARKER,)) or kind == bytes((_START_OF_SCAN,)):
            return None
        size = int.from_bytes(data[place + 2 : place + 4])
        segment = data[place + 4 : place + 2 + size]
        if kind == bytes((_APP1,)) and segment.startswith(exif.PREFIX):
            return exif.orientation_in(segment)
        place += 2 + max(size, 2)
    return None
