"""In how many orientations an image is looked at: as it is, or in all eight in which a square can lie."""

from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BeforeValidator

_Number = Literal[1, 8]

VIEWS: tuple[_Number, ...] = get_args(_Number)
"""How many views there can be."""

MOST_VIEWS = max(VIEWS)

_WRITTEN = {str(number): number for number in VIEWS}

Views = Annotated[
    _Number,
    # Queries and environment variables are text.
    BeforeValidator(lambda given: _WRITTEN.get(given, given) if isinstance(given, str) else given),
]
"""How many views of an image an answer is averaged over: 1, the image as it is, or 8, see `orientations`."""

Turn = Image.Transpose | None

# The dihedral group D4: a picture as it is, and turned and mirrored in the seven other ways that keep its pixels.
_ALL: tuple[Turn, ...] = (None, *Image.Transpose)

# Counter-clockwise, as Pillow and NumPy both count them.
_QUARTERS: dict[Turn, int] = {
    None: 0,
    Image.Transpose.ROTATE_90: 1,
    Image.Transpose.ROTATE_180: 2,
    Image.Transpose.ROTATE_270: 3,
}


def orientations(views: Views) -> tuple[Turn, ...]:
    """Return how a picture is to be turned for each of its views; for the first, not at all.

    Raises
    ------
    ValueError
        If there are no so many views.
    """
    if views not in VIEWS:
        msg = f"views={views}: an image has {' or '.join(map(str, VIEWS))} views"
        raise ValueError(msg)
    return _ALL[:views]


def turned(pixels: NDArray[np.uint8], views: Views) -> NDArray[np.uint8]:
    """Turn a square for each of its views, in the order of `orientations`.

    Parameters
    ----------
    pixels : array of uint8, shape [n, n, 3]
    views : 1 or 8

    Returns
    -------
    array of uint8, shape [views, n, n, 3]
    """
    if views == 1:
        return pixels[None]
    picture = Image.fromarray(pixels)
    return np.stack([np.asarray(picture if turn is None else picture.transpose(turn)) for turn in orientations(views)])


def turned_back(maps: NDArray[Any]) -> NDArray[Any]:
    """Turn what belongs to each view of a picture back, so that it lies as the picture itself.

    Parameters
    ----------
    maps : array, shape [views, n, n]
        In the order of `orientations`.

    Returns
    -------
    array of the same shape and dtype
    """
    if len(maps) == 1:
        return maps
    return np.stack([_turned_back(one, turn) for one, turn in zip(maps, _ALL, strict=True)])


def _turned_back(one: NDArray[Any], turn: Turn) -> NDArray[Any]:
    kind = Image.Transpose
    if turn in _QUARTERS:
        return np.rot90(one, -_QUARTERS[turn])
    if turn is kind.FLIP_LEFT_RIGHT:
        return one[:, ::-1]
    if turn is kind.FLIP_TOP_BOTTOM:
        return one[::-1]
    return one.T if turn is kind.TRANSPOSE else np.rot90(one, 2).T
