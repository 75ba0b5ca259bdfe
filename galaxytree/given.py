"""What a client is given to be classified: files, bytes, URLs, pictures, arrays; and what is sent of it."""

import io
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from galaxytree.batch_calls import ImageItem, UrlItem

Given = str | PathLike[str] | bytes | Image.Image | NDArray[Any]
"""An image: a URL (a text that begins with ``http://`` or ``https://``), the path of a file (any other text, or a
`pathlib.Path`), the bytes of a JPEG or PNG, a picture of Pillow's, or an array of uint8 [height, width, 3] or
[height, width], or of uint16 [height, width]."""

_SCHEMES = ("http://", "https://")
_SENT_AS_THEY_ARE = frozenset({"L", "LA", "P", "RGB", "RGBA", "I;16", "1"})


def item_of(image: Given) -> UrlItem | ImageItem:
    """Return what is sent of an image.

    Pictures and arrays are sent as PNG, so that no pixel changes.

    Raises
    ------
    OSError
        If a file can't be read.
    TypeError, ValueError
        If it is nothing of the kind, or an array of another shape.
    """
    given: object = image
    match given:
        case str() if given.lower().startswith(_SCHEMES):
            return UrlItem(given)
        case str() | PathLike():
            path = Path(fspath(given))
            return ImageItem(path.read_bytes(), path.name)
        case bytes() | bytearray() | memoryview():
            return ImageItem(bytes(given))
        case Image.Image():
            return ImageItem(_png(given if given.mode in _SENT_AS_THEY_ARE else given.convert("RGB")))
        case np.ndarray():
            return ImageItem(_png(_picture(given)))
    msg = f"an image is a path, a URL, bytes, a Pillow image or a NumPy array, not {type(image).__name__}"
    raise TypeError(msg)


def name_of(image: Given) -> str | None:
    """Return what an image is called in a table: its path or URL, if it has one."""
    return fspath(image) if isinstance(image, str | PathLike) else None


def _picture(array: NDArray[Any]) -> Image.Image:
    colour = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}
    if not (colour or grey) or array.size == 0:
        msg = (
            "an array is uint8 of [height, width, 3] or [height, width], or uint16 of [height, width], and not "
            f"{array.dtype} of {list(array.shape)}"
        )
        raise ValueError(msg)
    return Image.fromarray(np.ascontiguousarray(array))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # It goes over a network once: larger in less time.
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
