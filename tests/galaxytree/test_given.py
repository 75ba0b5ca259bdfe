"""What a client may be given: what is sent of it are the very pixels, or it is said why not."""

import io
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from galaxytree.batch_calls import ImageItem, UrlItem
from galaxytree.given import item_of, name_of
from tests.galaxies import draw_galaxy, encode, jpeg

GALAXY = draw_galaxy(3, 40)
GREY = GALAXY[..., 0]
DEEP = GREY.astype(np.uint16) * 250 + 7


def sent(given: Any) -> Image.Image:  # noqa: ANN401 (anything at all)
    item = item_of(given)
    assert isinstance(item, ImageItem)
    assert item.name is None
    return Image.open(io.BytesIO(item.data))


def test_texts_are_urls_or_paths(tmp_path: Path) -> None:
    assert item_of("https://a/b.jpg") == UrlItem("https://a/b.jpg")
    assert item_of("HTTP://a") == UrlItem("HTTP://a")
    path = tmp_path / "http.jpg"
    path.write_bytes(b"any bytes")
    assert item_of(path) == item_of(str(path)) == item_of(PurePosixPath(path)) == ImageItem(b"any bytes", "http.jpg")
    with pytest.raises(ValueError, match=r"only, and not ftp://a"):
        item_of("ftp://a")
    with pytest.raises(FileNotFoundError):
        item_of("nowhere.jpg")
    assert [name_of(each) for each in ("https://a", path, b"x", GALAXY)] == ["https://a", str(path), None, None]


def test_bytes_are_sent_as_they_are() -> None:
    data = jpeg(size=40)
    for given in (data, bytearray(data), memoryview(data)):
        assert item_of(given) == ImageItem(data)


@pytest.mark.parametrize(
    "array", [GALAXY, GREY, DEEP, GALAXY[::-1, ::2], GREY.T, DEEP.astype(">u2"), GALAXY.astype(">u1"), GREY[:1, :1]]
)
def test_no_pixel_of_an_array_changes(array: np.ndarray[Any, Any]) -> None:
    picture = sent(array)
    assert picture.format == "PNG"
    assert np.array_equal(np.asarray(picture), array)


@pytest.mark.parametrize(
    "array",
    [
        GALAXY / 255,
        GALAXY.astype(np.int16),
        GALAXY.astype(np.uint16),
        GREY > 3,
        GREY.astype(np.uint32),
        GALAXY[None],
        GALAXY[..., :2],
        np.zeros((4, 4, 4), np.uint8),
        GALAXY[:0],
        GALAXY[0, 0],
        np.array(["a"]),
    ],
)
def test_an_array_that_is_no_picture_says_what_would_be_one(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"an array is uint8 of \[height, width, 3\] or .* not \S+ of \["):
        item_of(array)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "La"]
)
def test_no_pixel_of_a_picture_changes(mode: str) -> None:
    picture = Image.fromarray(DEEP) if mode == "I;16" else Image.new(mode, (3, 2))
    if mode not in {"I;16", "LAB", "La"}:
        picture = Image.fromarray(GALAXY).convert(mode)
    found = sent(picture)
    kept = picture if found.mode == picture.mode else picture.convert(found.mode)
    assert np.array_equal(np.asarray(found), np.asarray(kept))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_picture_that_fits_into_no_png_says_so(mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode {mode} doesn't fit"):
        item_of(Image.new(mode, (2, 2)))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_picture_that_can_not_be_read_is_no_matter_of_a_file(mode: str) -> None:
    whole = encode(Image.fromarray(GALAXY).convert(mode), "JPEG")
    with pytest.raises(ValueError, match="the picture can't be read"):
        item_of(Image.open(io.BytesIO(whole[:-40])))


@pytest.mark.parametrize("given", [None, 3, ["a.jpg"], object()])
def test_something_else_is_a_wrong_type(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=f"an image is a path, .* not {type(given).__name__}"):
        item_of(given)
