"""From the bytes of a JPEG or PNG to the pixels that a network sees: one way, walked in training and in serving.

A JPEG that is to be scaled down is decoded at a half, a quarter or an eighth of its size where that is enough, from
fewer of its DCT coefficients: libjpeg's scaling, which smooths as it scales, at a part of the cost.
"""

import math
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
        orientation = self._image.orientation
        self._turn = _TURNS.get(orientation or 1)
        width, height = self._image.width, self._image.height
        if orientation in _SWAPPING_ORIENTATIONS:
            width, height = height, width
        self.header = Header(self._image.format, width, height)

    def decode(self, reduction: int = 1) -> NDArray[np.uint8]:
        """Decode to 8-bit RGB, upright as EXIF says.

        Grey, palette, CMYK and 16-bit images are converted; what is transparent becomes black, as the sky is.

        Parameters
        ----------
        reduction : int
            One of `REDUCTIONS`: a JPEG is decoded at this part of its size. A PNG, which has no such way, is not.

        Returns
        -------
        array of uint8, shape [height, width, 3]
            Sides are divided by `reduction`, and rounded up, for a JPEG.

        Raises
        ------
        UndecodableImageError
            If the pixels are damaged or cut off.
        """
        try:
            pixels = self._image.decode(reduction)
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


REDUCTIONS = (8, 4, 2, 1)
"""A JPEG can be decoded at one of these parts of its size."""

_ROUNDING = 1e-6


class Framing(BaseModel):
    """How an image of any size is cut and scaled to a network's input.

    The central square of `field` times the shorter side is scaled to `size` pixels with Pillow's antialiased
    bilinear filter; of a JPEG, what remains to be scaled after it was decoded at a part of its size. Galaxy Zoo's
    pictures are framed to the galaxy's size (424 pixels of 0.02 petroR90 each), and so are the networks: what matters
    is the part of the picture, not its pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(gt=0, le=4096, description="Side of the input in pixels")]
    field: Annotated[float, Field(gt=0, le=1, description="Side of the cut in units of the image's shorter side")]

    def read(self, image: EncodedImage, views: Views = 1) -> NDArray[np.uint8]:
        """Decode one image, at a part of its size where that is enough, and frame its views.

        Parameters
        ----------
        image : EncodedImage
        views : 1 or 8
            See `frame_views`.

        Returns
        -------
        array of uint8, shape [views, size, size, 3]

        Raises
        ------
        UndecodableImageError
            If the pixels are damaged or cut off.
        """
        return self.frame_views(image.decode(self.reduction(image.header)), views)

    def reduction(self, header: Header) -> int:
        """Return the part of its size at which an image is decoded, one of `REDUCTIONS`.

        It is the smallest whose cut still has the pixels of the input, and which divides both sides: else the last
        pixels would show more than the picture does, and its centre would move.
        """
        cut = self.field * min(header.width, header.height)
        return next(
            part
            for part in REDUCTIONS
            if part == 1
            or (cut / part > self.size - _ROUNDING and header.width % part == 0 and header.height % part == 0)
        )

    def frame(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut and scale one image.

        Parameters
        ----------
        pixels : array of uint8, shape [height, width, 3]

        Returns
        -------
        array of uint8, shape [size, size, 3]
        """
        framed: NDArray[np.uint8] = self.frame_views(pixels, 1)[0]
        return framed

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
        side = self.field * min(pixels.shape[:2])
        # What lies farther from the cut than the filter reaches need not be turned, nor brought to Pillow. As much is
        # left out on either side, so that the centre stays where it is.
        margin = math.ceil(max(1.0, side / self.size)) + 1
        top, left = (max(0, math.floor((length - side) / 2) - margin) for length in pixels.shape[:2])
        near = pixels[top : pixels.shape[0] - top, left : pixels.shape[1] - left]
        turns = orientations(views)
        if views == 1 and (exact := self._exact(near, side)) is not None:
            return exact[None]
        picture = Image.fromarray(near)
        return np.stack([self._scale(picture if turn is None else picture.transpose(turn), side) for turn in turns])

    def _exact(self, pixels: NDArray[np.uint8], side: float) -> NDArray[np.uint8] | None:
        """Return the cut where it has the pixels of the input already, so that scaling would change nothing."""
        top, left = ((length - self.size) / 2 for length in pixels.shape[:2])
        if abs(side - self.size) > _ROUNDING or top % 1 or left % 1:
            return None
        return pixels[int(top) : int(top) + self.size, int(left) : int(left) + self.size]

    def _scale(self, picture: Image.Image, side: float) -> NDArray[np.uint8]:
        width, height = picture.size
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        return np.asarray(picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box))


GALAXY_ZOO_FRAMING = Framing(size=144, field=288 / 424)
"""The central 288 of Galaxy Zoo's 424 pixels, at half scale."""
