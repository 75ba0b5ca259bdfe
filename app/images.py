"""Bytes -> the pixels that the network sees, within limits."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import TooManyPixelsError, UndecodableImageError, UnsupportedMediaTypeError
from galaxytree import imaging
from galaxytree.imaging import Framing
from galaxytree.schemas import ImageFacts
from galaxytree.views import Views, turned

PIXELS = "RGB"
"""What is said in place of a format of what came as pixels."""


@dataclass(frozen=True)
class FramedImage:
    """One image, ready for the network.

    Attributes
    ----------
    pixels
        uint8, shape [views, size, size, 3], RGB.
    facts
        What the service saw: checksum, format, size.
    """

    pixels: NDArray[np.uint8]
    facts: ImageFacts


@dataclass(frozen=True)
class ImageReader:
    """Reads images as a model wants them.

    Attributes
    ----------
    framing
        How an image is cut and scaled, from the model's card.
    max_pixels
        Width x height, at most.
    """

    framing: Framing
    max_pixels: int

    def read(self, data: bytes, views: Views) -> FramedImage:
        """Decode one image and frame its views.

        Raises
        ------
        UndecodableImageError
            If the bytes are no image, or a JPEG or PNG that is empty, damaged or cut off.
        UnsupportedMediaTypeError
            If they are an image of another format.
        TooManyPixelsError
            If the header says that there are more pixels than `max_pixels`; nothing is decoded then.
        """
        try:
            image = imaging.EncodedImage(data)
            header = image.header
            if header.width * header.height > self.max_pixels:
                size = f"{header.width} x {header.height}"
                msg = f"The image has {size} pixels; at most {self.max_pixels} are decoded. Scale it down or cut it."
                raise TooManyPixelsError(msg)
            pixels = self.framing.read(image, views)
        except imaging.UnsupportedImageError as error:
            msg = f"The bytes are a {error} image, whatever the request calls them; send JPEG or PNG."
            raise UnsupportedMediaTypeError(msg) from error
        except imaging.UndecodableImageError as error:
            msg = f"The image can't be decoded: {error}."
            raise UndecodableImageError(msg) from error
        digest = hashlib.sha256(data).hexdigest()
        facts = ImageFacts(sha256=digest, format=header.format, width=header.width, height=header.height)
        return FramedImage(pixels, facts)

    def take(self, data: bytes, views: Views) -> FramedImage:
        """Take the pixels of an image that came framed, and turn them for its views.

        Parameters
        ----------
        data
            As many bytes as the network's input has: rows of RGB.
        views
        """
        size = self.framing.size
        pixels = np.frombuffer(data, np.uint8).reshape(size, size, 3)
        facts = ImageFacts(sha256=hashlib.sha256(data).hexdigest(), format=PIXELS, width=size, height=size)
        return FramedImage(turned(pixels, views), facts)
