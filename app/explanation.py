"""Where the network looked, as `galaxytree.schemas.Explanation` has it: its evidence for an answer, on the picture."""

import struct
import zlib
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.evidence import Seen
from galaxytree.imaging import Framing
from galaxytree.png import SIGNATURE
from galaxytree.schemas import ImageFacts
from galaxytree.views import turned_back

SIDE = 64
"""Of the map, in pixels."""

DECIMALS = 6
"""Evidence is written with so many, and places in the picture with half of them."""

_BRIGHTEST = 255
_GREY = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)


class Explainer:
    """Draws maps of what a network's cells say.

    Parameters
    ----------
    columns : tuple of str
        Ids of the answers.
    framing : Framing
    seen : Seen
        The part of its input that the network sees.
    shape : (int, int)
        How many rows and columns of cells there are.
    """

    def __init__(self, columns: tuple[str, ...], framing: Framing, seen: Seen, shape: tuple[int, int]) -> None:
        self._columns = columns
        self._framing = framing
        self._seen = seen
        self._down, self._across = _between(shape[0]), _between(shape[1]).T

    def explanation(self, column: int, evidence: NDArray[np.float32], image: ImageFacts) -> dict[str, Any]:
        """Return what an `Explanation` holds.

        Parameters
        ----------
        column : int
            Place of the answer in the tree.
        evidence : array of float32, shape [views, columns, h, w]
            Of the image's views, in the order of `galaxytree.views.orientations`.
        image : ImageFacts
        """
        grid = turned_back(evidence[:, column].astype(np.float64)).mean(axis=0)
        drawn = (self._down @ grid @ self._across).clip(0)
        strongest = drawn.max()
        pixels = np.rint(drawn * (_BRIGHTEST / strongest)) if strongest > 0 else drawn
        return {
            "answer": self._columns[column],
            "png": b64encode(_png(pixels.astype(np.uint8))).decode(),
            "grid": grid.round(DECIMALS).tolist(),
            "box": self._box(image),
        }

    def _box(self, image: ImageFacts) -> dict[str, float]:
        """Return the part of the picture that the network sees."""
        side = self._framing.field * min(image.width, image.height)
        scale = side / self._framing.size
        box = {
            "left": (image.width - side) / 2 + self._seen.left * scale,
            "top": (image.height - side) / 2 + self._seen.top * scale,
            "width": self._seen.width * scale,
            "height": self._seen.height * scale,
        }
        return {name: round(value, DECIMALS // 2) for name, value in box.items()}


def _between(count: int) -> NDArray[np.float64]:
    """Return what each of so many tiles counts for in each pixel: float64, shape [SIDE, count].

    From the middle of a tile to the next one's it passes evenly; beyond the first and the last nothing changes.
    """
    places = ((np.arange(SIDE) + 0.5) * (count / SIDE) - 0.5).clip(0, count - 1)
    return (1 - np.abs(places[:, None] - np.arange(count))).clip(0)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a grey picture, in a third of the time that Pillow takes for it."""
    # Each row begins with how it is filtered: not at all.
    rows = np.zeros((SIDE, SIDE + 1), np.uint8)
    rows[:, 1:] = pixels
    parts = ((b"IHDR", _GREY), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
