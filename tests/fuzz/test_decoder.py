"""Images that are nearly right: decoded, or refused with words, in bounded time and memory."""

import resource
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from app.errors import TooManyPixelsError, UndecodableImageError, UnsupportedMediaTypeError
from app.images import ImageReader
from tests.fuzz.mutations import fuzz, has_words, nearly, sound_chunks
from tests.galaxies import draw_galaxy, encode
from tests.tiny_model import FRAMING

MAX_PIXELS = 250_000
MOST_SECONDS = 10.0
"""Of the processor, for one input: what no image of so many pixels takes on any machine."""

MOST_MIB = 400

READER = ImageReader(FRAMING, MAX_PIXELS)
_SMALL = draw_galaxy(3, 40)
_EXIF = Image.Exif()
_EXIF[0x0112] = 6
# An orientation whose value would lie outside the file, and more tags than there are.
_ODD_EXIF = (
    b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x09\x00\x12\x01\x03\x00\xff\xff\x00\x00\xff\xff\x00\x00\x0f\x01\x02\x00"
)

JPEGS = [
    encode(_SMALL, quality=80),
    encode(_SMALL, quality=30, subsampling=2, exif=_EXIF),
    encode(_SMALL, quality=60, progressive=True),
    encode(_SMALL, quality=60, exif=_ODD_EXIF),
    encode(_SMALL[..., 0], quality=50),
    encode(Image.fromarray(_SMALL).convert("CMYK"), quality=50),
    encode(draw_galaxy(1, 300), quality=20, restart_marker_blocks=4),
]
PNGS = [
    encode(_SMALL[:16, :16], "PNG"),
    encode(_SMALL[..., 0], "PNG", exif=_EXIF),
    encode(_SMALL[:20], "PNG", exif=_ODD_EXIF),
    encode(_SMALL[:16, :16], "PNG", save_all=True, append_images=[Image.fromarray(_SMALL[16:32, :16])]),
    encode(Image.fromarray(_SMALL).convert("P"), "PNG"),
    encode(Image.fromarray(_SMALL).convert("RGBA"), "PNG"),
    encode(Image.fromarray(_SMALL[..., 0].astype(np.uint16) * 257), "PNG"),
    encode(Image.fromarray(_SMALL[..., 0]).convert("1"), "PNG"),
]
MARKERS = [b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xdb", b"\xff\xd0",
           b"\xff\xe1", b"\xff\xdd", b"Exif\x00\x00", b"\x01\x12",
           b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"]  # fmt: skip
CHUNKS = [b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"eXIf", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fcTL", b"fdAT",
          b"\x00\x00\x00\x00IEND\xaeB`\x82"]  # fmt: skip


@pytest.fixture
def in_bounds() -> Iterator[None]:
    """Hold that whole images are what they were before, and that not much memory was taken."""
    before = [READER.read(each, 1).pixels for each in (*JPEGS, *PNGS)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = [READER.read(each, 1).pixels for each in (*JPEGS, *PNGS)]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < MOST_MIB * 1024


def is_read_or_refused(data: bytes) -> None:
    begun = time.process_time()
    try:
        read = READER.read(data, 1)
    except (UndecodableImageError, UnsupportedMediaTypeError, TooManyPixelsError) as error:
        has_words(error)
    else:
        assert read.pixels.shape == (1, FRAMING.size, FRAMING.size, 3)
        assert read.pixels.dtype == np.uint8
        assert read.facts.width * read.facts.height <= MAX_PIXELS
    assert time.process_time() - begun < MOST_SECONDS


@pytest.mark.usefixtures("in_bounds")
def test_jpegs() -> None:
    fuzz("JPEGs", nearly(JPEGS, MARKERS), is_read_or_refused)


@pytest.mark.usefixtures("in_bounds")
def test_pngs() -> None:
    fuzz("PNGs", st.builds(lambda data, mend: sound_chunks(data) if mend else data,
                           nearly(PNGS, CHUNKS), st.booleans()), is_read_or_refused)  # fmt: skip


@pytest.mark.usefixtures("in_bounds")
def test_bytes_that_only_begin_like_an_image() -> None:
    starts = st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"SIMPLE  ="])
    fuzz("bytes", st.builds(bytes.__add__, starts, st.binary(max_size=300)), is_read_or_refused, 0.5)
