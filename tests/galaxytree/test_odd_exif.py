"""A galaxy whose EXIF or animation is odd is a galaxy: it is decoded, and nothing is warned of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from galaxytree.imaging import EncodedImage, decode
from tests.galaxies import encode
from tests.galaxies_with_exif import ANIMATIONS, ODD, PICTURE, TURNED, png_chunk, png_with, with_exif

FORMS = ("JPEG", "PNG")


def plain(form: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return decode(encode(PICTURE, form))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("odd", ODD)
def test_a_picture_with_odd_exif_is_decoded_as_if_it_had_none(form: str, odd: str) -> None:
    data = with_exif(form, ODD[odd])
    header = EncodedImage(data).header
    assert (header.format, header.width, header.height) == (form, 60, 40)
    np.testing.assert_array_equal(decode(data), plain(form))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("odd", TURNED)
def test_an_orientation_that_can_be_read_is_heeded(form: str, odd: str) -> None:
    data = with_exif(form, TURNED[odd])
    header = EncodedImage(data).header
    assert (header.width, header.height) == (40, 60)
    np.testing.assert_array_equal(decode(data), np.rot90(plain(form), -1))


def test_a_block_that_was_marked_as_exif_twice_is_read() -> None:
    assert EncodedImage(with_exif("JPEG", b"Exif\x00\x00" + TURNED["as it should be"])).header.width == 40


def test_pictures_with_odd_exif_are_decoded_in_threads() -> None:
    many = [with_exif(form, tiff) for form in FORMS for tiff in ODD.values()] * 5
    with ThreadPoolExecutor(8) as threads:
        assert {pixels.shape for pixels in threads.map(decode, many)} == {PICTURE.shape}


@pytest.mark.parametrize("odd", ANIMATIONS)
def test_an_animation_that_is_none_is_a_picture(odd: str) -> None:
    np.testing.assert_array_equal(decode(ANIMATIONS[odd]), PICTURE)


def test_odd_chunks_behind_the_pixels_are_of_no_matter() -> None:
    whole = encode(PICTURE, "PNG")
    for kind, body in ((b"acTL", bytes(8)), (b"fcTL", b""), (b"eXIf", ODD["no tags"])):
        np.testing.assert_array_equal(decode(whole[:-12] + png_chunk(kind, body) + whole[-12:]), PICTURE)


@pytest.mark.parametrize("beside", [True, False])
def test_of_an_animation_the_still_picture_counts(*, beside: bool) -> None:
    others = [Image.fromarray(PICTURE[::-1].copy()), Image.fromarray(PICTURE[:, ::-1].copy())]
    data = encode(PICTURE, "PNG", save_all=True, append_images=others, default_image=beside)
    assert b"acTL" in data
    np.testing.assert_array_equal(decode(data), PICTURE)


XMP = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta tiff:Orientation="6"/>'
PROFILE = b"Raw profile type exif\0\nexif\n      %d\n%b\n"


def test_a_png_says_by_other_ways_how_it_is_to_be_turned() -> None:
    tiff = b"Exif\x00\x00" + TURNED["as it should be"]
    for data in (png_with(b"iTXt", XMP), png_with(b"tEXt", PROFILE % (len(tiff), tiff.hex().encode()))):
        assert EncodedImage(data).header.width == 40
        np.testing.assert_array_equal(decode(data), np.rot90(PICTURE, -1))


@pytest.mark.parametrize("key", ["exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_text_in_place_of_what_says_how_to_turn(kind: bytes, key: str) -> None:
    rest = {b"tEXt": b"\0\n\n\nno such thing", b"zTXt": b"\0\0no such thing", b"iTXt": b"\0\0\0\0\0no such thing"}[kind]
    np.testing.assert_array_equal(decode(png_with(kind, key.encode() + rest)), PICTURE)
