"""From the bytes of a JPEG or PNG to the pixels that a network sees: one way, walked in training and in serving.

JPEGs are decoded by libjpeg-turbo with its warnings as errors, so that a file that is cut off or damaged in its
structure is refused rather than filled up with grey. PNGs, and the rare CMYK JPEG, go through Pillow.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

# Limits on pixels are the caller's, who sees the header before anything is decoded (`identify`).
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING_ORIENTATIONS = range(5, 9)

# What Pillow raises on damaged bytes.
_DAMAGE = (OSError, ValueError, SyntaxError, TypeError, LookupError, struct.error, zlib.error)

_OTHER_IMAGES = (
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"SIMPLE  =", "FITS"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"8BPS", "PSD"),
    (0, b"%PDF-", "PDF"),
    (0, b"<svg", "SVG"),
)


class UndecodableImageError(ValueError):
    """Bytes that are no image, or a JPEG or PNG that is damaged or cut off."""


class UnsupportedImageError(ValueError):
    """An image, but neither JPEG nor PNG; the message names the format."""


@dataclass(frozen=True)
class Header:
    """What an image's header says.

    Attributes
    ----------
    format
        ``JPEG`` or ``PNG``.
    width, height
        Pixels, after the rotation that EXIF asks for.
    """

    format: str
    width: int
    height: int


def identify(data: bytes) -> Header:
    """Read an image's header, and decode nothing.

    Raises
    ------
    UnsupportedImageError
        If the bytes are an image of another format.
    UndecodableImageError
        If they are no image, or the header is damaged.
    """
    with _open(data) as image:
        width, height = image.size
        if _orientation(image) in _SWAPPING_ORIENTATIONS:
            width, height = height, width
        return Header(str(image.format), width, height)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG to 8-bit RGB, upright as EXIF says.

    Grey, palette, CMYK and 16-bit images are converted; what is transparent becomes black, as the sky is.

    Returns
    -------
    array of uint8, shape [height, width, 3]

    Raises
    ------
    UnsupportedImageError, UndecodableImageError
        As `identify` does, and if the pixels are damaged or cut off.
    """
    with _open(data) as image:
        orientation = _orientation(image)
        try:
            if image.format == "JPEG" and image.mode in {"RGB", "L"}:
                pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
                return pixels if orientation == 1 else _turned(Image.fromarray(pixels), orientation)
            if image.format == "PNG":
                _hold_whole(data)
            return _turned(_to_rgb(image), orientation)
        except _DAMAGE as error:
            msg = f"the {image.format} is damaged or cut off"
            raise UndecodableImageError(msg) from error


def _orientation(image: Image.Image) -> int:
    """Return the orientation that EXIF gives in front of the pixels; 1, upright, if it makes no sense."""
    try:
        # A PNG's own `getexif` decodes the pixels, to look for EXIF behind them.
        orientation = Image.Image.getexif(image).get(_EXIF_ORIENTATION)
    except _DAMAGE:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _turned(image: Image.Image, orientation: int) -> NDArray[np.uint8]:
    return np.asarray(image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image)


def _hold_whole(png: bytes) -> None:
    """Raise ValueError unless a PNG's critical chunks are all there and sound; Pillow forgives a missing end."""
    kind, place = b"", len(b"\x89PNG\r\n\x1a\n")
    while kind != b"IEND":
        start, kind = place + 4, png[place + 4 : place + 8]
        end = start + 4 + int.from_bytes(png[place:start])
        place = end + 4
        if place > len(png) or (
            kind[:1].isupper() and zlib.crc32(memoryview(png)[start:end]) != int.from_bytes(png[end:place])
        ):
            msg = "a chunk is damaged or cut off"
            raise ValueError(msg)


def _open(data: bytes) -> Image.Image:
    if not data:
        msg = "there are no bytes"
        raise UndecodableImageError(msg)
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except _DAMAGE as error:
        for offset, signature, name in _OTHER_IMAGES:
            if data[offset : offset + len(signature)] == signature:
                raise UnsupportedImageError(name) from error
        msg = "the bytes are no JPEG or PNG image"
        raise UndecodableImageError(msg) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255; a user expects the whole range to be kept.
        eight_bits = np.asarray(image).clip(0, 65535) // 257
        return Image.fromarray(eight_bits.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        sky = Image.new("RGBA", image.size, "black")
        return Image.alpha_composite(sky, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


class Framing(BaseModel):
    """How an image of any size is cut and scaled to a network's input.

    The central square of `field` times the shorter side is scaled to `size` pixels with Pillow's antialiased
    bilinear filter. Galaxy Zoo's pictures are framed to the galaxy's size (424 pixels of 0.02 petroR90 each), and
    so are the networks: what matters is the part of the picture, not its pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(gt=0, le=4096, description="Side of the input in pixels")]
    field: Annotated[float, Field(gt=0, le=1, description="Side of the cut in units of the image's shorter side")]

    def frame(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut and scale one image.

        Parameters
        ----------
        pixels : array of uint8, shape [height, width, 3]

        Returns
        -------
        array of uint8, shape [size, size, 3]
        """
        height, width = pixels.shape[:2]
        half = self.field * min(height, width) / 2
        box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
        scaled = Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(scaled)


GALAXY_ZOO_FRAMING = Framing(size=144, field=288 / 424)
"""The central 288 of Galaxy Zoo's 424 pixels, at half scale."""
