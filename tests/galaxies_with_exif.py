"""Pictures whose EXIF or animation is odd, and whose pixels are sound."""

import struct
import zlib

from tests.galaxies import draw_galaxy, encode

PICTURE = draw_galaxy(3, 60)[:40]
"""Wider than high, so that a picture that was turned is known by its size."""

_START = b"MM\x00*\x00\x00\x00\x08"
_QUARTER = struct.pack(">HHLHH", 0x0112, 3, 1, 6, 0)

ODD = {
    "no tags": _START,
    "more tags than there are": _START + b"\xff\xff",
    "a tag that is cut off": _START + b"\x00\x01" + _QUARTER[:-1],
    "tags far outside": b"MM\x00*\xff\xff\xff\xff",
    "tags that begin with the header": b"MM\x00*\x00\x00\x00\x00" + _QUARTER,
    "a value larger than the file": _START + struct.pack(">HHHLL", 1, 0x0112, 3, 2**28, 6 << 16) + bytes(4),
    "several orientations in one": _START + struct.pack(">HHHLHH", 1, 0x0112, 3, 2, 6, 6) + bytes(4),
    "an orientation in words": _START + struct.pack(">HHHL4s", 1, 0x0112, 2, 2, b"6") + bytes(4),
    "larger than the largest": b"MM\x00+\x00\x08\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
    "no order of bytes": b"XX\x00*\x00\x00\x00\x08\x00\x01" + _QUARTER,
    "rubbish": b"rubbish and more rubbish",
    "nothing": b"",
}
"""Blocks of EXIF in which no orientation can be read."""

TURNED = {
    "as it should be": _START + b"\x00\x01" + _QUARTER + bytes(4),
    "an end that is missing": _START + b"\x00\x01" + _QUARTER,
    "fewer tags than it says": _START + b"\x00\x09" + _QUARTER,
    "an odd tag in front": _START + b"\x00\x02" + struct.pack(">HHLL", 0x010F, 2, 2**28, 0) + _QUARTER + bytes(4),
    "a tag of no type in front": _START + b"\x00\x02" + struct.pack(">HHLL", 0x010F, 99, 1, 0) + _QUARTER + bytes(4),
    "a long number": _START + b"\x00\x01" + struct.pack(">HHLL", 0x0112, 4, 1, 6) + bytes(4),
    "the lowest byte first": b"II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHLHH", 0x0112, 3, 1, 6, 0) + bytes(4),
}
"""Blocks of EXIF in which it can be read that the picture is to be turned by a quarter."""


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(kind: bytes, body: bytes) -> bytes:
    """Return the picture as PNG with one chunk more in front of the pixels."""
    plain = encode(PICTURE, "PNG")
    return plain[:33] + png_chunk(kind, body) + plain[33:]


def with_exif(form: str, tiff: bytes) -> bytes:
    """Return the picture as ``JPEG`` or ``PNG`` with a block of EXIF."""
    if form == "PNG":
        return png_with(b"eXIf", tiff)
    plain, segment = encode(PICTURE), b"Exif\x00\x00" + tiff
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


ANIMATIONS = {
    "no frames": png_with(b"acTL", bytes(8)),
    "too many frames": png_with(b"acTL", b"\xff" * 8),
    "cut off": png_with(b"acTL", b""),
    "frames out of order": png_with(b"fcTL", struct.pack(">5LHHBB", 5, 60, 40, 0, 0, 1, 1, 0, 0)),
    "a frame outside the picture": png_with(b"fcTL", struct.pack(">5LHHBB", 0, 60, 40, 9, 9, 1, 1, 0, 0)),
    "a frame without its beginning": png_with(b"fdAT", bytes(4)),
    "counted twice": png_with(b"acTL", bytes(7) + b"\x01").replace(
        png_chunk(b"acTL", bytes(7) + b"\x01"), 2 * png_chunk(b"acTL", b"\x00\x00\x00\x02" + bytes(4))
    ),
}
"""PNGs of the picture that are said to be animated, and are not."""
