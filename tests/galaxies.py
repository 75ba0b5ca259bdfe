"""Made-up pictures of galaxies, drawn with NumPy, and images as clients encode them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def draw_galaxy(seed: int = 0, size: int = 424) -> NDArray[np.uint8]:
    """Draw an inclined exponential disk with a bulge, two arms and some noise: uint8 [size, size, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle, flat = random.uniform(0, np.pi), random.uniform(0.3, 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
    radius = np.hypot(along, across)
    arms = 1 + 0.6 * np.cos(2 * np.arctan2(across, along) + 9 * radius + random.uniform(0, 6))
    disk, bulge = 0.7 * np.exp(-4 * radius) * arms, random.uniform(0.2, 0.9) * np.exp(-((radius / 0.08) ** 2))
    colours = random.uniform(0.5, 1, 3)
    light = disk[..., None] * colours + bulge[..., None] * np.array([1.0, 0.85, 0.6])
    light += random.normal(0.03, 0.01, light.shape)
    return (255 * light.clip(0, 1)).astype(np.uint8)


def orientations(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Turn and mirror by NumPy, which is not how the service does it."""
    return [np.rot90(each, turns) for each in (picture, picture[:, ::-1]) for turns in range(4)]


def encode(image: NDArray[Any] | Image.Image, form: str = "JPEG", **options: Any) -> bytes:  # noqa: ANN401 (Pillow's own)
    """Encode a picture as JPEG, PNG or whatever else Pillow writes."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(seed: int = 0, size: int = 424) -> bytes:
    """Return a made-up galaxy as JPEG."""
    return encode(draw_galaxy(seed, size), quality=90)


def png(seed: int = 0, size: int = 120) -> bytes:
    """Return a made-up galaxy as PNG."""
    return encode(draw_galaxy(seed, size), "PNG")


def jpeg_of_bytes(count: int) -> bytes:
    """Return a whole JPEG of exactly so many bytes; comments fill it up."""
    image = jpeg(size=64)
    missing = count - len(image)
    comments = b""
    while missing > 0:
        # A segment has at least its marker and its length, and at most 65,535 bytes after the marker.
        size = missing if missing <= 60_000 else min(60_000, missing - 4)
        comments += b"\xff\xfe" + (size - 2).to_bytes(2, "big") + bytes(size - 4)
        missing -= size
    return image[:2] + comments + image[2:]
