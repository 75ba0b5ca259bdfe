"""Columns of FITS tables: bytes -> values."""

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from galaxytree.tables.base import unreadable
from galaxytree.tables.words import values

BINARY = re.compile(r"(\d*)([A-Z])")
STORED = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
NOT_READ = {
    "P": "lists of varying length",
    "Q": "lists of varying length",
    "C": "complex numbers",
    "M": "complex numbers",
}


class Decoder(ABC):
    """Reads one column.

    Parameters
    ----------
    at, width
        Where its bytes are in a row, and how many.
    kind
        What they become.
    """

    def __init__(self, at: int, width: int, kind: pa.DataType) -> None:
        self.at = at
        self.width = width
        self.type = kind

    def decode(self, rows: NDArray[np.uint8]) -> pa.Array:
        """Return the values in some rows, given as bytes of shape [rows, bytes of a row]."""
        return self.of(np.ascontiguousarray(rows[:, self.at : self.at + self.width]))

    @abstractmethod
    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the values, from the bytes of this column alone."""


class Text(Decoder):
    """Text: it ends at the first NUL, and blanks at its end don't count. Nothing at all is null, as for astropy."""

    def __init__(self, at: int, width: int) -> None:
        super().__init__(at, width, pa.string())

    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the texts."""
        if not self.width:
            return pa.nulls(len(data), pa.string())
        found = data.view(f"S{self.width}")[:, 0].tolist()
        texts = pa.array([_decoded(text.partition(b"\0")[0].rstrip(b" ")) for text in found], pa.string())
        return pc.if_else(pc.equal(texts, ""), None, texts)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


class Words(Text):
    """Numbers as words, in an ASCII table."""

    def __init__(self, at: int, width: int, kind: pa.DataType, none: str | None) -> None:
        super().__init__(at, width)
        self.type = kind
        self._none = none

    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the numbers."""
        words = pc.utf8_trim_whitespace(super().of(data))
        if self._none is not None:
            words = pc.if_else(pc.equal(words, self._none), None, words)
        if pa.types.is_floating(self.type):
            words = pc.replace_substring_regex(words, "[dD]", "E")
        else:
            words = pc.replace_substring_regex(words, r"^\+", "")
        return values(words, self.type)


class Flags(Decoder):
    """Booleans: T, F, or 0 for null."""

    def __init__(self, at: int) -> None:
        super().__init__(at, 1, pa.bool_())

    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the booleans."""
        letters = data[:, 0]
        return pa.array(letters == ord("T"), mask=(letters != ord("T")) & (letters != ord("F")))


class Bits(Decoder):
    """A number of bits, as lists of booleans."""

    def __init__(self, at: int, length: int) -> None:
        super().__init__(at, (length + 7) // 8, pa.list_(pa.bool_(), length))
        self._length = length

    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the lists."""
        bits = np.unpackbits(data, axis=1)[:, : self._length].astype(bool)
        return pa.FixedSizeListArray.from_arrays(pa.array(bits.reshape(-1)), type=self.type)


class Numbers(Decoder):
    """Numbers, or lists of them; NaN is null, as FITS has it.

    Parameters
    ----------
    at
        Where they are.
    stored
        What NumPy calls one of them.
    length
        How many there are in a row; None for one that is no list.
    none
        What stands for null, before scaling.
    scale, zero
        What they are multiplied with, and what is added then.
    """

    def __init__(
        self, at: int, stored: str, length: int | None, *, none: int | None = None, scale: float = 1, zero: float = 0
    ) -> None:
        self._stored = np.dtype(stored)
        self._none = none
        self._scale, self._zero = scale, zero
        bits = self._stored.itemsize * 8
        signed = self._stored.kind == "i"
        self._turned = scale == 1 and zero == ((1 << (bits - 1)) if signed else -128) and self._stored.kind != "f"
        become = self._stored.newbyteorder("=")
        if self._turned:
            become = np.dtype(f"{'u' if signed else 'i'}{bits // 8}")
        elif scale != 1 or zero != 0:
            become = np.dtype("f8")
        self._become = become
        one = pa.from_numpy_dtype(become)
        self._length = length
        kind = one if length is None else pa.list_(one, length)
        super().__init__(at, self._stored.itemsize * (1 if length is None else length), kind)

    def of(self, data: NDArray[np.uint8]) -> pa.Array:
        """Return the numbers."""
        found = data.view(self._stored).reshape(-1) if self.width else np.zeros(0, self._stored)
        numbers = found.astype(self._stored.newbyteorder("="))
        absent = np.isnan(numbers) if numbers.dtype.kind == "f" else None
        if self._none is not None and absent is None:
            absent = numbers == self._none
        if self._turned:
            bits = numbers.dtype.itemsize * 8
            unsigned = numbers.view(f"u{bits // 8}") ^ np.array(1 << (bits - 1), f"u{bits // 8}")
            numbers = unsigned.view(self._become)
        elif numbers.dtype != self._become or self._scale != 1 or self._zero != 0:
            numbers = numbers * self._scale + self._zero
        flat = pa.array(numbers, mask=absent)
        if self._length is None:
            return flat
        return pa.FixedSizeListArray.from_arrays(flat, type=self.type)


def decoder(header: Any, place: int, at: int, name: str, path: Path) -> Decoder:  # noqa: ANN401
    """Return what reads a column.

    Parameters
    ----------
    header
        The table's header.
    place
        Which column, from 1.
    at
        Where it begins in a row of a binary table.
    name, path
        Its name and the file's, to be named if it can't be read.

    Raises
    ------
    UnreadableError
        If there is nothing that reads it.
    """
    form = str(header[f"TFORM{place}"]).strip().upper()
    scaled = {"scale": header.get(f"TSCAL{place}", 1), "zero": header.get(f"TZERO{place}", 0)}
    if header["XTENSION"].strip() == "TABLE":
        return _of_ascii(header, place, form, name, path)
    match = BINARY.match(form)
    length, letter = match.groups() if match else ("", "")
    if letter == "A":
        return Text(at, int(length or 1))
    if letter == "X":
        return Bits(at, int(length or 1))
    if letter == "L" and length in {"", "1"}:
        return Flags(at)
    if letter in STORED:
        several = int(length) if length not in {"", "1"} or f"TDIM{place}" in header else None
        return Numbers(at, STORED[letter], several, none=header.get(f"TNULL{place}"), **scaled)
    what = NOT_READ.get(letter, f"TFORM {form}")
    raise unreadable(path, f"column {name!r} has {what}; leave it out with another program first")


def _of_ascii(header: Any, place: int, form: str, name: str, path: Path) -> Decoder:  # noqa: ANN401
    match = re.match(r"([AIFED])(\d+)", form)
    if match is None or f"TSCAL{place}" in header or f"TZERO{place}" in header:
        raise unreadable(path, f"column {name!r} has TFORM {form}, or is scaled; convert it with another program first")
    at, width = int(header[f"TBCOL{place}"]) - 1, int(match[2])
    none = header.get(f"TNULL{place}")
    if match[1] == "A":
        return Text(at, width)
    kind = pa.int64() if match[1] == "I" else pa.float64()
    return Words(at, width, kind, None if none is None else str(none).strip())
