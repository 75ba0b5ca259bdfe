"""From bytes to pixels: whatever people upload is either decoded as they would expect, or refused for what it is."""

import io
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from galaxytree.imaging import (
    GALAXY_ZOO_FRAMING,
    EncodedImage,
    Framing,
    Header,
    UndecodableImageError,
    UnsupportedImageError,
    decode,
)
from galaxytree.jpeg import MAX_SCANS, MAX_SEGMENTS
from galaxytree.png import MAX_CHUNKS
from tests.galaxies import draw_galaxy, encode, orientations

REAL = Path(__file__).parents[2] / ".." / "shared" / "galaxy-zoo"
ORIENTATION = 0x0112

some_examples = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def picture(width: int = 40, height: int = 28) -> NDArray[np.uint8]:
    """Draw a picture without symmetry: smooth, so that JPEG keeps it, another colour in each corner."""
    x, y = np.linspace(0, 1, width)[None, :], np.linspace(0, 1, height)[:, None]
    red, green, blue = 220 * x + 0 * y, 200 * y + 0 * x, 240 * (1 - x) * (1 - y)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def identify(data: bytes) -> Header:
    return EncodedImage(data).header


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


# Kinds of sound images.


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 90},
        {"quality": 100, "subsampling": 0},
        {"quality": 75, "progressive": True},
        {"quality": 90, "optimize": True, "restart_marker_blocks": 2},
        {"quality": 30, "subsampling": "4:2:2"},
    ],
)
def test_a_jpeg_is_decoded_as_pillow_does(options: dict[str, Any]) -> None:
    data = encode(draw_galaxy(seed=3, size=143), **options)
    pixels = decode(data)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= 4
    assert identify(data) == Header("JPEG", 143, 143)


def test_a_png_is_decoded_exactly() -> None:
    drawn = picture()
    data = encode(drawn, "PNG")
    np.testing.assert_array_equal(decode(data), drawn)
    assert identify(data) == Header("PNG", 40, 28)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(form: str) -> None:
    grey = picture()[..., 0]
    pixels = decode(encode(grey, form, **({"quality": 95} if form == "JPEG" else {})))
    assert pixels.shape == (28, 40, 3)
    assert (pixels == pixels[..., :1]).all()
    assert mean_difference(pixels[..., 0], grey) < 2


def test_a_palette_is_looked_up() -> None:
    indexed = Image.fromarray(picture()).quantize(16)
    np.testing.assert_array_equal(decode(encode(indexed, "PNG")), np.asarray(indexed.convert("RGB")))


def test_a_palette_with_a_transparent_entry_is_black_there() -> None:
    indexed = Image.new("P", (4, 2), 0)
    indexed.putpalette([255, 255, 255, 10, 20, 30])
    indexed.putpixel((3, 1), 1)
    pixels = decode(encode(indexed, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1, 3].tolist() == [10, 20, 30]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cmyk_jpeg_has_its_colours(*, progressive: bool) -> None:
    drawn = picture()
    data = encode(Image.fromarray(drawn).convert("CMYK"), quality=98, progressive=progressive)
    assert mean_difference(decode(data), drawn) < 4


def test_16_bit_grey_keeps_its_whole_range() -> None:
    values = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(32, 32)
    pixels = decode(encode(values, "PNG"))
    assert pixels.shape == (32, 32, 3)
    np.testing.assert_allclose(pixels[..., 0], values / 257, atol=1)
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_16_bit_colour_keeps_its_whole_range() -> None:
    header = struct.pack(">IIBBBBB", 3, 1, 16, 2, 0, 0, 0)
    line = b"\0" + struct.pack(">9H", 0, 0x8080, 0xFFFF, 0xFFFF, 0, 0, 0x4040, 0x4040, 0x4040)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(line))
    pixels = decode(data + png_chunk(b"IEND", b""))
    assert pixels.tolist() == [[[0, 128, 255], [255, 0, 0], [64, 64, 64]]]


def test_one_bit_is_black_and_white() -> None:
    drawn = Image.fromarray(picture()).convert("1")
    pixels = decode(encode(drawn, "PNG"))
    assert set(np.unique(pixels)) == {0, 255}
    np.testing.assert_array_equal(pixels[..., 1] > 0, np.asarray(drawn))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_becomes_black_as_the_sky_is(mode: str) -> None:
    drawn = Image.new(mode, (3, 1), (200,) * (len(mode) - 1) + (255,))
    for x, alpha in enumerate((0, 51, 255)):
        drawn.putpixel((x, 0), (200,) * (len(mode) - 1) + (alpha,))
    assert decode(encode(drawn, "PNG"))[0, :, 0].tolist() == [0, 40, 200]


STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""How a camera stores an upright picture whose EXIF orientation is the key (EXIF 2.32, tag 274)."""


@pytest.mark.parametrize("value", list(STORED))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "grey JPEG", "CMYK JPEG"])
def test_exif_turns_a_picture_upright(kind: str, value: int) -> None:
    upright = picture()
    stored = Image.fromarray(np.ascontiguousarray(STORED[value](upright)))
    if kind.startswith(("grey", "CMYK")):
        stored = stored.convert("L" if kind.startswith("grey") else "CMYK")
        upright = np.asarray(Image.fromarray(upright).convert("L").convert("RGB")) if "grey" in kind else upright
    form = kind.rsplit(maxsplit=1)[-1]
    options: dict[str, Any] = {"quality": 97, "subsampling": 0} if form == "JPEG" else {}
    data = encode(stored, form, exif=orientation(value), **options)
    assert identify(data) == Header(form, 40, 28)
    assert mean_difference(decode(data), upright) < (4 if options else 1e-9)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(value: int) -> None:
    upright = picture()
    data = encode(upright, quality=97, subsampling=0, exif=orientation(value))
    assert identify(data) == Header("JPEG", 40, 28)
    assert mean_difference(decode(data), upright) < 4


@some_examples
@given(st.binary(max_size=60), st.sampled_from([b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"]))
def test_exif_that_is_garbage_is_no_reason_to_crash(garbage: bytes, start: bytes) -> None:
    segment = start + garbage
    plain = encode(picture())
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    seen_or_refused(data)
    with_chunk = encode(picture(), "PNG")
    seen_or_refused(with_chunk[:33] + png_chunk(b"eXIf", segment.removeprefix(b"Exif\0\0")) + with_chunk[33:])


def seen_or_refused(data: bytes) -> None:
    """Hold that bytes are either decoded to pixels or refused as they should be."""
    try:
        header = identify(data)
        pixels = decode(data)
    except (UndecodableImageError, UnsupportedImageError):
        return
    assert pixels.shape == (header.height, header.width, 3)
    assert pixels.dtype == np.uint8


# Decoding at a part of the size.


@pytest.mark.parametrize(
    ("size", "part"),
    [
        ((424, 424), 2),  # Galaxy Zoo's, just enough
        ((848, 848), 4),
        ((1696, 1696), 8),
        ((4096, 4096), 8),
        ((3392, 1696), 8),  # the shorter side decides
        ((423, 424), 1),  # not divisible, or too small
        ((424, 426), 2),
        ((422, 422), 1),
        ((850, 850), 2),
        ((144, 144), 1),
        ((1, 4096), 1),
    ],
)
def test_the_part_of_its_size_at_which_a_jpeg_is_decoded(size: tuple[int, int], part: int) -> None:
    assert GALAXY_ZOO_FRAMING.reduction(Header("JPEG", *size)) == part


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("part", [1, 2, 4, 8])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_jpeg_at_a_part_of_its_size_shows_the_same(mode: str, part: int, turn: int) -> None:
    drawn = Image.fromarray(draw_galaxy(seed=3, size=400)).convert(mode)
    data = encode(drawn, quality=95, exif=orientation(turn))
    pixels = EncodedImage(data).decode(part)
    assert pixels.shape == (400 // part, 400 // part, 3)
    expected = np.asarray(Image.fromarray(decode(data)).reduce(part))
    assert mean_difference(pixels, expected) < 2.5


def test_sides_that_are_not_divisible_are_rounded_up() -> None:
    image = EncodedImage(encode(draw_galaxy(size=37)[:21], quality=90))
    assert [image.decode(part).shape for part in (2, 4, 8)] == [(11, 19, 3), (6, 10, 3), (3, 5, 3)]


def test_a_png_is_decoded_whole_whatever_is_enough() -> None:
    np.testing.assert_array_equal(EncodedImage(encode(picture(), "PNG")).decode(8), picture())


@pytest.mark.parametrize("size", [424, 848, 1696])
def test_reading_frames_what_is_shown(size: int) -> None:
    drawn = draw_galaxy(seed=5, size=1696)
    data = encode(Image.fromarray(drawn).resize((size, size), Image.Resampling.BOX), quality=95)
    expected = GALAXY_ZOO_FRAMING.frame(drawn)
    read = GALAXY_ZOO_FRAMING.read(EncodedImage(data), 1)
    assert read.shape == (1, 144, 144, 3)
    assert mean_difference(read[0], expected) < 3
    np.testing.assert_array_equal(GALAXY_ZOO_FRAMING.read(EncodedImage(data), 8)[0], read[0])


@pytest.mark.parametrize("value", range(1, 9))
def test_a_turned_jpeg_is_read_upright(value: int) -> None:
    drawn = draw_galaxy(seed=6, size=424)
    upright = GALAXY_ZOO_FRAMING.read(EncodedImage(encode(drawn, quality=95)), 1)[0]
    stored = {1: drawn, 2: drawn[:, ::-1], 3: drawn[::-1, ::-1], 4: drawn[::-1]}.get(value)
    if stored is None:
        swapped = drawn.transpose(1, 0, 2)
        stored = {5: swapped, 6: swapped[::-1], 7: swapped[::-1, ::-1], 8: swapped[:, ::-1]}[value]
    turned = encode(np.ascontiguousarray(stored), quality=95, exif=orientation(value))
    assert mean_difference(GALAXY_ZOO_FRAMING.read(EncodedImage(turned), 1)[0], upright) < 2


@pytest.mark.parametrize("kind", ["baseline", "progressive", "cmyk"])
@some_examples
@given(st.data())
def test_a_jpeg_cut_off_at_any_byte_is_refused_at_a_part_of_its_size_too(kind: str, data: st.DataObject) -> None:
    whole = WHOLE[kind]
    kept = data.draw(st.integers(1, len(whole) - 1) | st.integers(len(whole) - 14, len(whole) - 1))
    part = data.draw(st.sampled_from([2, 4, 8]))
    with pytest.raises(UndecodableImageError):
        EncodedImage(whole[:kept]).decode(part)


@some_examples
@given(st.integers(150, 700), st.integers(150, 700), st.floats(0.3, 1.0), st.sampled_from([16, 64, 144]))
def test_leaving_out_what_is_far_from_the_cut_changes_nothing(width: int, height: int, field: float, size: int) -> None:
    random = np.random.default_rng(width * height)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    half = field * min(height, width) / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    whole = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box))
    framed = Framing(size=size, field=field).frame(pixels)
    # The place of the cut is a rounding of its own, of rows and of columns.
    assert np.abs(framed.astype(int) - whole).max() <= 2


# What is refused.


WHOLE = {
    "baseline": encode(draw_galaxy(1, 48), quality=90),
    "progressive": encode(draw_galaxy(1, 48), quality=90, progressive=True),
    "grey": encode(draw_galaxy(1, 48)[..., 0], quality=90),
    "cmyk": encode(Image.fromarray(draw_galaxy(1, 48)).convert("CMYK"), quality=90),
    "turned": encode(draw_galaxy(1, 48), quality=90, exif=orientation(6)),
    "png": encode(draw_galaxy(1, 24), "PNG"),
    "palette": encode(Image.fromarray(draw_galaxy(1, 24)).quantize(8), "PNG"),
}


@pytest.mark.parametrize("kind", list(WHOLE))
@some_examples
@given(st.data())
def test_an_image_cut_off_at_any_byte_is_refused(kind: str, data: st.DataObject) -> None:
    whole = WHOLE[kind]
    kept = data.draw(st.integers(1, len(whole) - 1) | st.integers(len(whole) - 14, len(whole) - 1))
    with pytest.raises(UndecodableImageError):
        decode(whole[:kept])


@pytest.mark.parametrize("kind", list(WHOLE))
@some_examples
@given(st.data())
def test_a_damaged_image_is_decoded_or_refused_but_nothing_else(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[kind])
    places = st.integers(0, len(damaged) - 1) | st.integers(0, min(200, len(damaged) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    seen_or_refused(bytes(damaged))


@some_examples
@given(st.data())
def test_a_png_chunk_that_is_garbage_is_no_reason_to_crash(data: st.DataObject) -> None:
    whole = WHOLE["png"]
    kinds = [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"pHYs", b"tRNS", b"gAMA", b"cHRM", b"acTL", b"fcTL", b"fdAT", b"PLTE"]
    chunk = png_chunk(data.draw(st.sampled_from(kinds)), data.draw(st.binary(max_size=40)))
    seen_or_refused(whole[:33] + chunk + whole[33:])


@some_examples
@given(st.binary(max_size=200))
@example(b"\xff\xd8")
@example(b"\xff\xd8\xff")
@example(b"\xff\xd8\xff\xd9")
@example(b"\x89PNG\r\n\x1a\n")
@example(b"GIF8")
def test_any_bytes_are_no_reason_to_crash(data: bytes) -> None:
    with pytest.raises((UndecodableImageError, UnsupportedImageError)):
        decode(data)
    with pytest.raises((UndecodableImageError, UnsupportedImageError)):
        identify(data)


@pytest.mark.parametrize(
    "data",
    [b"no picture at all\n", b"<html><body>not found</body></html>", bytes(1000)],
)
def test_what_is_no_image_is_undecodable(data: bytes) -> None:
    for read in (identify, decode):
        with pytest.raises(UndecodableImageError, match="no JPEG or PNG"):
            read(data)


def test_a_beginning_of_a_jpeg_is_cut_off() -> None:
    for read in (identify, decode):
        with pytest.raises(UndecodableImageError, match="the JPEG is damaged or cut off"):
            read(b"\xff\xd8\xff\xe0" + bytes(500))


def test_no_bytes_are_undecodable() -> None:
    for read in (identify, decode):
        with pytest.raises(UndecodableImageError, match="no bytes"):
            read(b"")


@pytest.mark.parametrize(
    ("form", "name"),
    [("GIF", "GIF"), ("WEBP", "WebP"), ("TIFF", "TIFF"), ("BMP", "BMP"), ("ICO", "ICO"), ("JPEG2000", "JPEG 2000")],
)
def test_images_of_other_formats_are_unsupported_by_name(form: str, name: str) -> None:
    data = encode(picture(), form)
    for read in (identify, decode):
        with pytest.raises(UnsupportedImageError, match=f"^{name}$"):
            read(data)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"SIMPLE  =                    T" + bytes(50), "FITS"),
        (b"MM\0*" + bytes(50), "TIFF"),
        (b"\0\0\0\x1cftypavif" + bytes(50), "AVIF"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"%PDF-1.7" + bytes(50), "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    ],
)
def test_files_that_pillow_did_not_write_are_unsupported_by_name(start: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"^{name}$"):
        decode(start)


def test_a_png_whose_pixels_do_not_match_their_checksum_is_refused() -> None:
    whole = bytearray(WHOLE["png"])
    whole[whole.index(b"IDAT") - 4 + 8 + 2] ^= 1
    with pytest.raises(UndecodableImageError, match="the PNG is damaged or cut off"):
        decode(bytes(whole))


def test_what_follows_an_image_is_of_no_matter() -> None:
    for kind in ("baseline", "progressive", "png"):
        np.testing.assert_array_equal(decode(WHOLE[kind] + b"appended"), decode(WHOLE[kind]))


@pytest.mark.parametrize("value", [1, 6])
def test_exif_behind_the_pixels_of_a_png_is_not_looked_at(value: int) -> None:
    # Neither when the header is read, nor when the pixels are: the two are to agree.
    plain = encode(picture(), "PNG")
    data = plain[:-12] + png_chunk(b"eXIf", orientation(value).tobytes().removeprefix(b"Exif\0\0")) + plain[-12:]
    assert identify(data) == Header("PNG", 40, 28)
    np.testing.assert_array_equal(decode(data), picture())


def test_a_header_is_read_without_the_pixels() -> None:
    # 30,000 x 30,000 pixels: whoever sets a limit can refuse them before anything is decoded.
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(100)))
    assert identify(data) == Header("PNG", 30_000, 30_000)


# Files that are made to cost more than they hold.


def with_scans(count: int) -> bytes:
    """Make a grey progressive JPEG of 64 x 64 px that says in scan after scan that all 64 blocks are flat.

    A scan that is already at full precision may come again: libjpeg does not warn.
    """

    def segment(kind: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body

    def codes(table: int, lengths: list[int], symbols: bytes) -> bytes:
        return segment(0xC4, bytes([table, *lengths, *[0] * (16 - len(lengths))]) + symbols)

    frame = segment(0xC2, struct.pack(">BHHB", 8, 64, 64, 1) + bytes([1, 0x11, 0]))
    # "0" is a difference of nothing in the first table, and in the second a run of 64 + n flat blocks, n in six bits.
    tables = segment(0xDB, bytes([0] + [1] * 64)) + codes(0x00, [1], b"\x00") + codes(0x10, [1], b"\x60")
    first = segment(0xDA, bytes([1, 1, 0x00, 0, 0, 0])) + bytes(8)
    again = segment(0xDA, bytes([1, 1, 0x00, 1, 63, 0])) + b"\x01"
    return b"\xff\xd8" + frame + tables + first + again * (count - 1) + b"\xff\xd9"


def test_scans_without_end_are_refused_from_the_header() -> None:
    assert np.unique(decode(with_scans(MAX_SCANS))).tolist() == [128]
    with pytest.raises(UndecodableImageError, match="the JPEG is damaged"):
        identify(with_scans(MAX_SCANS + 1))


def with_chunks(count: int) -> bytes:
    """Fill a PNG up with empty private chunks until there are `count`."""
    whole = encode(picture(), "PNG")
    return whole[:33] + png_chunk(b"prVt", b"") * (count - 3) + whole[33:]


def test_chunks_without_end_are_refused_from_the_header() -> None:
    assert with_chunks(10).count(b"prVt") == 7
    np.testing.assert_array_equal(decode(with_chunks(MAX_CHUNKS)), picture())
    with pytest.raises(UndecodableImageError, match="the PNG is damaged"):
        identify(with_chunks(MAX_CHUNKS + 1))


def test_exif_is_looked_for_in_the_first_segments_only() -> None:
    turned = encode(picture(), quality=90, exif=orientation(6))
    comment = b"\xff\xfe\x00\x02"
    assert identify(turned[:2] + comment * (MAX_SEGMENTS - 2) + turned[2:]).width == 28
    assert identify(turned[:2] + comment * MAX_SEGMENTS + turned[2:]).width == 40


def test_a_palette_png_without_its_palette_is_damaged() -> None:
    indexed = encode(Image.fromarray(picture()).quantize(8), "PNG")
    place = indexed.index(b"PLTE") - 4
    size = 12 + int.from_bytes(indexed[place : place + 4])
    with pytest.raises(UndecodableImageError, match="the PNG is damaged"):
        decode(indexed[:place] + indexed[place + size :])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_damage_that_the_decoder_only_warns_of_is_refused(mode: str) -> None:
    # Zeros for entropy-coded data: libjpeg would fill up with grey and go on.
    whole = encode(Image.fromarray(draw_galaxy(seed=1, size=96)).convert(mode), quality=90)
    middle = len(whole) * 2 // 3
    with pytest.raises(UndecodableImageError, match="the JPEG is damaged"):
        decode(whole[:middle] + b"\xff\xd9" + whole[middle:])


def test_the_first_picture_of_a_multi_picture_jpeg_counts() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[::-1])
    data = encode(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert identify(data) == Header("JPEG", 40, 28)
    assert mean_difference(decode(data), picture()) < 3


# Framing.


@pytest.mark.parametrize(
    ("width", "height"),
    [(424, 424), (144, 144), (1, 1), (1, 500), (500, 1), (2, 3), (33, 32), (641, 480), (480, 641), (1000, 70)],
)
@pytest.mark.parametrize("framing", [GALAXY_ZOO_FRAMING, Framing(size=32, field=1.0)])
def test_any_shape_is_framed_to_the_input(framing: Framing, width: int, height: int) -> None:
    framed = framing.frame(np.full((height, width, 3), 77, np.uint8))
    assert framed.shape == (framing.size, framing.size, 3)
    assert framed.dtype == np.uint8
    assert (framed == 77).all()


@some_examples
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.01, 1), st.integers(1, 64))
def test_framing_fits_any_size_and_field(width: int, height: int, field: float, size: int) -> None:
    framed = Framing(size=size, field=field).frame(np.full((height, width, 3), 200, np.uint8))
    assert framed.shape == (size, size, 3)
    assert (framed == 200).all()


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (201, 333)])
def test_framing_looks_at_the_centre(width: int, height: int) -> None:
    drawn = Image.new("RGB", (width, height))
    centre_x, centre_y = width / 2, height / 2
    ImageDraw.Draw(drawn).rectangle((centre_x - 25, centre_y - 25, centre_x + 24, centre_y + 24), fill="white")
    framed = Framing(size=100, field=0.5).frame(np.asarray(drawn))[..., 0] / 255
    light = framed.sum()
    rows, columns = np.mgrid[:100, :100] + 0.5
    assert abs((framed * rows).sum() / light - 50) < 0.6
    assert abs((framed * columns).sum() / light - 50) < 0.6
    # 50 pixels of a field of half of 200, in 100: half of its sides, or a quarter of it.
    assert abs(light / framed.size - 0.25) < 0.01


@some_examples
@given(st.integers(1, 70), st.integers(1, 70), st.floats(0.05, 1), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_picture_that_is_turned_or_mirrored_has_the_same_views(
    width: int, height: int, field: float, size: int, seed: int
) -> None:
    framing = Framing(size=size, field=field)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    views = framing.frame_views(picture, 8)
    assert views.shape == (8, size, size, 3)
    assert (views[0] == framing.frame(picture)).all()
    assert (framing.frame_views(picture, 1) == views[:1]).all()
    turned = orientations(picture)
    # As a set they are the same to the last grey level, and each orientation is one of them.
    assert sorted(view.tobytes() for view in views) == sorted(framing.frame(each).tobytes() for each in turned)
    for each in turned:
        assert sorted(view.tobytes() for view in framing.frame_views(each, 8)) == sorted(
            view.tobytes() for view in views
        )


def test_a_galaxy_is_seen_alike_at_every_scale() -> None:
    large = draw_galaxy(5, 848)
    small = np.asarray(Image.fromarray(large).resize((424, 424), Image.Resampling.BOX))
    assert mean_difference(GALAXY_ZOO_FRAMING.frame(large), GALAXY_ZOO_FRAMING.frame(small)) < 1


def test_framing_is_the_centre_288_at_half_scale() -> None:
    drawn = draw_galaxy(2, 424)
    halved = drawn[68:356, 68:356].reshape(144, 2, 144, 2, 3).mean(axis=(1, 3))
    assert np.abs(GALAXY_ZOO_FRAMING.frame(drawn) - halved).mean() < 3


@pytest.mark.parametrize("wrong", [{"size": 0}, {"field": 0}, {"field": 1.01}, {"size": 5000}, {"angle": 3}])
def test_a_framing_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Framing.model_validate({"size": 144, "field": 0.5} | wrong)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real images are not at {REAL}")
def test_real_originals_framed_are_the_training_set() -> None:
    originals, prepared = {}, {}
    with tarfile.open(REAL / "images-424-originals.tar") as archive:
        for entry in archive:
            if len(originals) < 60 and entry.name.endswith(".jpg"):
                originals[Path(entry.name).name] = archive.extractfile(entry).read()  # type: ignore[union-attr]
    with tarfile.open(REAL / "images-144-labels37.tar") as archive:
        for entry in archive:
            if Path(entry.name).name in originals:
                prepared[Path(entry.name).name] = archive.extractfile(entry).read()  # type: ignore[union-attr]
    assert len(prepared) == 60
    for name, original in originals.items():
        framed = GALAXY_ZOO_FRAMING.frame(decode(original))
        assert mean_difference(framed, decode(prepared[name])) < 3, name
