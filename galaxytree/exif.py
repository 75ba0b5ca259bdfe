"""EXIF: how a picture is to be turned, and nothing else of it.

It is read here and not by Pillow, which warns of each tag that is odd: strangers could fill a log with pictures, and
silencing warnings is nothing that threads can do each for itself.
"""

from typing import Literal

ORIENTATION = 0x0112
"""The tag for how an image is to be turned."""

PREFIX = b"Exif\x00\x00"

_FORTY_TWO = (b"*\x00", b"\x00*")
_ENTRY = 12
_SIZES = {3: 2, 4: 4}
"""Bytes of a number by its type: EXIF wants two, and some programs write four."""


def orientation_in(exif: bytes) -> int | None:
    """Return the orientation that a block of EXIF gives.

    Parameters
    ----------
    exif : bytes
        With `PREFIX` or without.

    Returns
    -------
    int or None
        None if it gives none, or none that can be read.
    """
    tiff = exif.removeprefix(PREFIX).removeprefix(PREFIX)
    if tiff[:2] not in {b"II", b"MM"} or tiff[2:4] not in _FORTY_TWO:
        return None
    order: Literal["big", "little"] = "big" if tiff[:2] == b"MM" else "little"

    def number(place: int, size: int) -> int:
        return int.from_bytes(tiff[place : place + size], order)

    start = number(4, 4) + 2
    end = min(start + number(start - 2, 2) * _ENTRY, len(tiff))
    for place in range(start, end - _ENTRY + 1, _ENTRY):
        kind = number(place + 2, 2)
        if number(place, 2) == ORIENTATION and kind in _SIZES and number(place + 4, 4) == 1:
            return number(place + 8, _SIZES[kind])
    return None
