"""In how many orientations an image is looked at: as it is, or in all eight in which a square can lie."""

from typing import Annotated, Literal, get_args

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
