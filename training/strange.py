"""Pictures that are no galaxies at all, made up to see whether a model notices."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Picture = NDArray[np.uint8]
Random = np.random.Generator

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.;"))


def _noise(random: Random, size: int) -> Picture:
    """Every pixel by itself, coloured or grey, dim or bright."""
    level, spread = random.uniform(20, 200), random.uniform(20, 80)
    channels = random.choice([1, 3])
    return _pixels(np.broadcast_to(random.normal(level, spread, (size, size, channels)), (size, size, 3)))


def _flat(random: Random, size: int) -> Picture:
    """One colour all over, from black to white."""
    return _pixels(
        np.broadcast_to(random.uniform(0, 256, 3) if random.random() < 0.5 else random.uniform(0, 256), (size, size, 3))
    )


def _text(random: Random, size: int) -> Picture:
    """Write a page of text, dark on light or light on dark."""
    paper, ink = (int(random.uniform(200, 256)), int(random.uniform(0, 60)))[:: random.choice([1, -1])]
    page = Image.new("L", (size, size), paper)
    draw, height = ImageDraw.Draw(page), int(random.integers(size // 16, size // 7))
    for top in range(height // 2, size, int(height * 1.3)):
        words = (" ".join("".join(random.choice(_LETTERS, random.integers(2, 9))) for _ in range(20)))[
            : 4 * size // height
        ]
        draw.text((height // 2, top), words, fill=ink, font=ImageFont.load_default(height))
    return np.asarray(page.convert("RGB"))


def _face(random: Random, size: int) -> Picture:
    """Something like the photograph of a face: an oval with hair, eyes, a nose and a mouth before a wall."""
    skin = np.array([200, 150, 120]) * random.uniform(0.4, 1.2)
    wall = random.uniform(60, 230, 3)
    photograph = Image.new("RGB", (size, size), _colour(wall))
    draw = ImageDraw.Draw(photograph)
    middle = size / 2 + random.normal(0, size / 25, 2)
    width, height = size * random.uniform(0.22, 0.3), size * random.uniform(0.3, 0.38)

    def oval(x: float, y: float, across: float, down: float, colour: NDArray[np.float64]) -> None:
        """Draw at a place given in halves of the face, of a size given likewise."""
        centre = middle[0] + x * width, middle[1] + y * height
        reach = across * width, down * height
        draw.ellipse(
            (centre[0] - reach[0], centre[1] - reach[1], centre[0] + reach[0], centre[1] + reach[1]),
            fill=_colour(colour),
        )

    oval(0, 1.6, 1.7, 0.8, random.uniform(20, 220, 3))
    oval(0, -0.2, 1.15, 1.1, np.array([60, 40, 25]) * random.uniform(0.2, 2.5))
    oval(0, 0, 1, 1, skin)
    for side in (-1, 1):
        oval(side * 0.4, -0.15, 0.2, 0.09, np.full(3, 235.0))
        oval(side * 0.4, -0.15, 0.08, 0.08, np.array([50.0, 40, 30]))
        oval(side * 0.4, -0.35, 0.25, 0.03, skin * 0.4)
    oval(0, 0.15, 0.1, 0.2, skin * 0.85)
    oval(0, 0.55, 0.35, 0.08, np.array([170.0, 70, 70]))
    soft = np.asarray(photograph.filter(ImageFilter.GaussianBlur(size / 150)), np.float64)
    left, right = random.uniform(0.7, 1.2, 2)
    light = np.linspace(float(left), float(right), size)[None, :, None]
    return _pixels(soft * light + random.normal(0, 4, (size, size, 1)))


def _stripes(random: Random, size: int) -> Picture:
    """Stripes or squares, as on a test card."""
    y, x = np.mgrid[:size, :size]
    period, angle = random.uniform(size / 30, size / 5), random.uniform(0, np.pi)
    waves = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if random.random() < 0.5:
        waves = np.sign(waves * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period))
    return _pixels(127 + random.uniform(40, 127) * waves[..., None] * random.uniform(0.3, 1, 3))


def _slope(random: Random, size: int) -> Picture:
    """Slope from one colour to another, as of a sky at dusk."""
    way = np.linspace(0, 1, size)[:, None, None]
    first, last = random.uniform(0, 256, (2, 3))
    slope = _pixels(np.broadcast_to(first + (last - first) * way, (size, size, 3)))
    return np.rot90(slope, int(random.integers(4)))


STRANGE: dict[str, Callable[[Random, int], Picture]] = {
    "noise": _noise,
    "flat field": _flat,
    "text": _text,
    "face": _face,
    "stripes": _stripes,
    "slope": _slope,
}
"""What is made up -> how."""


def strange(kind: str, count: int, size: int) -> NDArray[np.uint8]:
    """Make pictures that are no galaxies, always the same: uint8 [count, size, size, 3]."""
    made = [STRANGE[kind](np.random.default_rng([number, len(kind)]), size) for number in range(count)]
    return np.ascontiguousarray(np.stack(made))


def _pixels(light: NDArray[np.float64]) -> Picture:
    return light.clip(0, 255).astype(np.uint8)


def _colour(light: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in light.clip(0, 255))
    return red, green, blue
