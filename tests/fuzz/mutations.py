"""Inputs that are nearly right: a small corpus that is made here, with some edits."""

import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from tests.fuzz.counting import EACH, counted

Given = TypeVar("Given")

_A_RUN = 5_000
"""Inputs of one run of Hypothesis, which remembers what it has tried."""

MOST_WORDS = 2_000
"""Letters of an error's words: one that tells everything it was given would be as long as that."""

_INTERESTING = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff"]


@st.composite
def nearly(draw: st.DrawFn, corpus: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """Draw one of a corpus with up to eight edits: bytes changed, taken out, doubled, swapped, cut off, put in.

    Parameters
    ----------
    draw, corpus
    tokens
        What means something in this kind of input, and is put in now and then.
    """
    data = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(0, 8))):
        # Most of what matters stands in the first bytes.
        place = draw(st.one_of(st.integers(0, min(len(data), 700)), st.integers(0, len(data))))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 7)):
            case 0:
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                data[place : place + length] = b""
            case 2:
                data[place:place] = data[place : place + length] * draw(st.integers(1, 50))
            case 3:
                piece = draw(st.sampled_from([*tokens, *_INTERESTING]))
                data[place : place + len(piece)] = piece
            case 4:
                data[place:place] = draw(st.sampled_from([*tokens, *_INTERESTING]))
            case 5:
                data[place:place] = draw(st.binary(max_size=20))
            case 6:
                other = draw(st.sampled_from(corpus))
                data[place:] = other[min(place, len(other)) :]
            case _:
                del data[place:]
    return bytes(data)


def sound_chunks(png: bytes) -> bytes:
    """Return a PNG with the checksums of its chunks made right again, so that what is in them is looked at."""
    mended, place = bytearray(png), 8
    while place + 12 <= len(mended):
        end = place + 8 + int.from_bytes(mended[place : place + 4])
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = zlib.crc32(mended[place + 4 : end]).to_bytes(4)
        place = end + 4
    return bytes(mended)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut a body into pieces as a network might, empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def has_words(error: ServiceError) -> None:
    """Hold that an error says something, and not all that it was given."""
    assert 0 < len(error.detail) < MOST_WORDS


def fuzz(name: str, inputs: st.SearchStrategy[Given], hold: Callable[[Given], None], part: float = 1.0) -> None:
    """Try as many inputs as are asked for, and count them.

    Parameters
    ----------
    name
        What is fuzzed.
    inputs
    hold
        Fails where one is not taken as it should be.
    part
        Of the usual number: some targets are slow.
    """
    wanted, count = round(EACH * part), counted(name)

    def one(given: Given) -> None:
        count()
        try:
            hold(given)
        except BaseException as error:
            error.add_note(f"of {name}, with {given!r}")
            raise

    for number, done in enumerate(range(0, wanted, _A_RUN)):
        run = settings(
            max_examples=min(_A_RUN, wanted - done),
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(hypothesis.given(inputs)(one))
        hypothesis.seed(number)(run)()
