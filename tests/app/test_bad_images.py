"""Every row of the contract's table of bad input that is about an image's bytes, against a running service."""

import struct
import zlib

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import TooManyPixelsError
from app.images import ImageReader
from galaxytree.imaging import Framing
from tests.galaxies import draw_galaxy, encode, jpeg, png

JPEG, PNG = jpeg(size=100), png(size=60)


def refused(http: httpx.Client, image: bytes) -> tuple[int, str]:
    answer = http.post("/classify", content=image)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:galaxytree:problem:{problem['code']}"
    # The same bytes in a form are refused likewise.
    form = http.post("/classify", files={"file": ("galaxy.jpg", image, "image/jpeg")})
    assert form.json() == problem
    return answer.status_code, problem["code"]


@pytest.mark.parametrize("image", [b"", b"\n", b"no image at all", bytes(5000), b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_image(http: httpx.Client, image: bytes) -> None:
    assert refused(http, image) == (422, "undecodable_image")


def damaged_png() -> bytes:
    middle = len(PNG) // 2
    return PNG[:middle] + bytes([PNG[middle] ^ 0xFF]) + PNG[middle + 1 :]


def damaged_jpeg() -> bytes:
    # The tables by which the pixels were rounded are gone.
    return JPEG.replace(b"\xff\xdb", b"\xff\xfe")


@pytest.mark.parametrize("image", [damaged_png(), damaged_jpeg()])
def test_a_damaged_image(http: httpx.Client, image: bytes) -> None:
    assert refused(http, image) == (422, "undecodable_image")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.integers(0, len(JPEG) - 1))
def test_a_jpeg_that_is_cut_off_anywhere(http: httpx.Client, keep: int) -> None:
    answer = http.post("/classify", content=JPEG[:keep])
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_image")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.integers(0, len(PNG) - 1))
def test_a_png_that_is_cut_off_anywhere(http: httpx.Client, keep: int) -> None:
    answer = http.post("/classify", content=PNG[:keep])
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_image")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_of_another_type_whatever_it_is_called(http: httpx.Client, form: str) -> None:
    image = encode(draw_galaxy(size=32), form)
    assert refused(http, image) == (415, "unsupported_media_type")
    answer = http.post("/classify", content=image, headers={"Content-Type": "image/png"})
    assert answer.json()["code"] == "unsupported_media_type"


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG whose header is right and whose pixels are not there to be decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_hundred_million_pixels_are_refused_from_the_header(http: httpx.Client) -> None:
    assert refused(http, png_that_claims(10_000, 10_000)) == (422, "too_many_pixels")


def test_a_real_picture_of_a_hundred_million_pixels(http: httpx.Client) -> None:
    # 10,000 x 10,000 black pixels are less than 100 kB as a PNG.
    image = encode(np.zeros((10_000, 10_000), np.uint8), "PNG", compress_level=9)
    answer = http.post("/classify", content=image)
    assert answer.json()["code"] == "too_many_pixels"
    assert "10000 x 10000" in answer.json()["detail"]


def test_a_jpeg_that_claims_many_pixels(http: httpx.Client) -> None:
    image = bytearray(JPEG)
    frame = image.index(b"\xff\xc0")
    image[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    assert refused(http, bytes(image)) == (422, "too_many_pixels")


def test_the_limit_on_pixels_is_exact() -> None:
    reader = ImageReader(Framing(size=8, field=1), max_pixels=60 * 60)
    assert reader.read(PNG, 1).pixels.shape == (1, 8, 8, 3)
    with pytest.raises(TooManyPixelsError, match="61 x 60"):
        reader.read(encode(np.zeros((60, 61, 3), np.uint8), "PNG"), 1)
