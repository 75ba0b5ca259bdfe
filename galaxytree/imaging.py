"""From the bytes of a JPEG or PNG to the pixels that a network sees: one way, walked in training and in serving."""

import struct
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from galaxytree import jpeg, png
from galaxytree.views import Views, orientations

# How a picture is to be turned, by EXIF's orientation; any other number means that it is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING_ORIENTATIONS = range(5, 9)

# What Pillow raises on damaged bytes; AssertionError for a palette image without a palette.
_DAMAGE = (OSError, ValueError, SyntaxError, TypeError, LookupError, AssertionError, struct.error, zlib.error)

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


class EncodedImage:
    """A JPEG or PNG whose header has been read, and whose pixels have not.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    UnsupportedImageError
        If the bytes are an image of another format.
    UndecodableImageError
        If they are no image, or the header is damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._image = _opened(data)
        try:
            orientation = self._image.orientation
        except _DAMAGE:
            # Damaged EXIF says nothing of the pixels.
            orientation = None
        self._turn = _TURNS.get(orientation or 1)
        width, height = self._image.width, self._image.height
        if orientation in _SWAPPING_ORIENTATIONS:
            width, height = height, width
        self.header = Header(self._image.format, width, height)

    def decode(self) -> NDArray[np.uint8]:
        """Decode to 8-bit RGB, upright as EXIF says.

        Grey, palette, CMYK and 16-bit images are converted; what is transparent becomes black, as the sky is.

        Returns
        -------
        array of uint8, shape [height, width, 3]

        Raises
        ------
        UndecodableImageError
            If the pixels are damaged or cut off.
        """
        try:
            pixels = self._image.decode()
        except _DAMAGE as error:
            msg = f"the {self._image.format} is damaged or cut off"
            raise UndecodableImageError(msg) from error
        return pixels if self._turn is None else np.asarray(Image.fromarray(pixels).transpose(self._turn))


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG: uint8 [height, width, 3]; see `EncodedImage`."""
    return EncodedImage(data).decode()


def _opened(data: bytes) -> jpeg.Jpeg | png.Png:
    if not data:
        msg = "there are no bytes"
        raise UndecodableImageError(msg)
    for kind, reader in ((jpeg, jpeg.Jpeg), (png, png.Png)):
        if data.startswith(kind.SIGNATURE):
            try:
                return reader(data)
            except _DAMAGE as error:
                msg = f"the {reader.format} is damaged or cut off"
                raise UndecodableImageError(msg) from error
    for offset, signature, name in _OTHER_IMAGES:
        if data.startswith(signature, offset):
            raise UnsupportedImageError(name)
    msg = "the bytes are no JPEG or PNG image"
    raise UndecodableImageError(msg)


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
        return self._frame(Image.fromarray(pixels))

    def frame_views(self, pixels: NDArray[np.uint8], views: Views) -> NDArray[np.uint8]:
        """Cut and scale one image as it is, or in all eight orientations: rotations by 90 degrees and mirror images.

        The picture is turned first and framed then. Scaling rounds rows before columns, so that turning what was
        framed would differ by a grey level here and there; this way a picture that is turned or mirrored without loss
        has the very same eight views, in another order.

        Parameters
        ----------
        pixels : array of uint8, shape [height, width, 3]
        views : 1 or 8

        Returns
        -------
        array of uint8, shape [views, size, size, 3]
            The first is the picture as it is.

        Raises
        ------
        ValueError
            If there are no so many views.
        """
        picture = Image.fromarray(pixels)
        return np.stack(
            [self._frame(picture if turn is None else picture.transpose(turn)) for turn in orientations(views)]
        )

    def _frame(self, picture: Image.Image) -> NDArray[np.uint8]:
        width, height = picture.size
        half = self.field * min(height, width) / 2
        box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
        return np.asarray(picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box))


GALAXY_ZOO_FRAMING = Framing(size=144, field=288 / 424)
"""The central 288 of Galaxy Zoo's 424 pixels, at half scale."""
