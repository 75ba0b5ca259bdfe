"""Columns of VOTables: what a FIELD says of one, and its values from words or from bytes."""

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxytree.tables.base import unreadable
from galaxytree.tables.words import values

NUMBERS: dict[str, tuple[str, pa.DataType]] = {
    "unsignedByte": ("u1", pa.uint8()),
    "short": (">i2", pa.int16()),
    "int": (">i4", pa.int32()),
    "long": (">i8", pa.int64()),
    "float": (">f4", pa.float32()),
    "double": (">f8", pa.float64()),
}
"""Datatype -> what NumPy calls one value in BINARY, and its type here."""

FLAGS = {"boolean", "bit"}
TEXT_BYTES = {"char": 1, "unicodeChar": 2}
TRUE = pa.array(["T", "t", "1", "true", "True", "TRUE"])
FALSE = pa.array(["F", "f", "0", "false", "False", "FALSE"])


@dataclass
class Field:
    """What a FIELD says.

    Attributes
    ----------
    attributes
        Its XML attributes.
    null
        The word that stands for null, besides none at all.
    description
        Its DESCRIPTION.
    """

    attributes: dict[str, str]
    null: str | None = None
    description: str = ""
    lengths: list[str] = field(init=False)

    def __post_init__(self) -> None:
        size = self.attributes.get("arraysize", "").strip()
        self.lengths = size.split("x") if size else []
        self.datatype = self.attributes.get("datatype", "char")

    @property
    def name(self) -> str:
        """The column's name."""
        return self.attributes.get("name") or self.attributes.get("ID", "")

    @property
    def is_text(self) -> bool:
        """Whether it is text."""
        return self.datatype in TEXT_BYTES

    @property
    def varies(self) -> bool:
        """Whether the number of values, or of characters, differs between rows."""
        return any("*" in length for length in self.lengths)

    @property
    def length(self) -> int | None:
        """How many values, or characters, each row has; None where that differs or for a single one."""
        if self.varies or not self.lengths or (self.lengths == ["1"] and not self.is_text):
            return None
        return prod(int(length) for length in self.lengths)

    def arrow(self, path: Path) -> pa.Field:
        """Return the column.

        Raises
        ------
        UnreadableError
            If its values are of a kind that isn't read.
        """
        if self.is_text:
            kind = pa.string()
        elif self.datatype in FLAGS and not self.lengths:
            kind = pa.bool_()
        elif self.datatype in NUMBERS:
            one = NUMBERS[self.datatype][1]
            kind = pa.list_(one) if self.varies else one if self.length is None else pa.list_(one, self.length)
        else:
            what = " ".join([self.datatype, *(["arrays"] if self.lengths else [])])
            raise unreadable(path, f"column {self.name!r} has {what}; leave it out with another program first")
        return pa.field(self.name, kind, metadata=self.said() or None)

    def said(self) -> dict[str, str]:
        """Return what is known of the column, as metadata of a field."""
        said = {key: self.attributes[key] for key in ("unit", "ucd") if self.attributes.get(key)}
        return said | ({"description": self.description} if self.description else {})

    def from_words(self, words: list[str]) -> pa.Array:
        """Return the values of some rows, from the text of their cells.

        Raises
        ------
        pyarrow.ArrowInvalid
            If one is no value of the datatype.
        """
        said = pa.array(words, pa.string())
        said = pc.if_else(pc.equal(said, ""), None, said)
        if self.is_text:
            return said
        if self.datatype in FLAGS:
            return self._booleans(said)
        if self.varies or self.length is not None:
            lists = [None if word is None else word.split() for word in said.to_pylist()]
            flat = self._numbers(pa.array([word for each in lists if each for word in each], pa.string()))
            return self._lists([None if each is None else len(each) for each in lists], flat)
        return self._numbers(said)

    @staticmethod
    def _booleans(said: pa.Array) -> pa.Array:
        said = pc.utf8_trim_whitespace(said)
        known = pc.or_(pc.is_in(said, TRUE), pc.is_in(said, FALSE))
        return pc.if_else(known, pc.is_in(said, TRUE), None)

    def _numbers(self, said: pa.Array) -> pa.Array:
        said = pc.utf8_trim_whitespace(said)
        if self.null is not None:
            said = pc.if_else(pc.equal(said, self.null), None, said)
        kind = NUMBERS[self.datatype][1]
        if pa.types.is_integer(kind):
            said = pc.replace_substring_regex(said, r"^\+", "")
        return values(said, kind)

    def _lists(self, lengths: list[int | None], flat: pa.Array) -> pa.Array:
        kind = NUMBERS[self.datatype][1]
        ends = np.cumsum([0, *(length or 0 for length in lengths)])
        offsets = pa.array(ends, pa.int32(), mask=np.array([*(length is None for length in lengths), False]))
        lists = pa.ListArray.from_arrays(offsets, flat)
        return lists if self.varies else lists.cast(pa.list_(kind, self.length))

    def cell_bytes(self) -> int | None:
        """Return how many bytes a cell has in BINARY; None where a count comes first."""
        if self.varies:
            return None
        return self.one_bytes() * (1 if self.length is None else self.length)

    def one_bytes(self) -> int:
        """Return how many bytes a value or a character has in BINARY."""
        if self.datatype in FLAGS:
            return 1
        return TEXT_BYTES.get(self.datatype) or np.dtype(NUMBERS[self.datatype][0]).itemsize

    def from_bytes(self, cells: list[bytes]) -> pa.Array:
        """Return the values of some rows, from the bytes of their cells in BINARY or BINARY2; NaN is null."""
        if self.is_text:
            coding = "utf-8" if self.datatype == "char" else "utf-16-be"
            texts = pa.array([cell.decode(coding, "replace").partition("\0")[0] for cell in cells], pa.string())
            texts = pc.utf8_rtrim(texts, " ") if not self.varies else texts
            return pc.if_else(pc.equal(texts, ""), None, texts)
        if self.datatype == "bit":
            # The standard has it in the highest bit of the byte, astropy in another.
            return pa.array([cell != b"\0" for cell in cells])
        if self.datatype == "boolean":
            return self._booleans(pa.array([cell.decode("latin-1") for cell in cells], pa.string()))
        stored = np.frombuffer(b"".join(cells), NUMBERS[self.datatype][0])
        absent: Any = np.isnan(stored) if stored.dtype.kind == "f" else None
        if self.null is not None and absent is None:
            absent = stored == int(self.null, 0)
        flat = pa.array(stored.astype(stored.dtype.newbyteorder("=")), mask=absent)
        if self.varies or self.length is not None:
            return self._lists([len(cell) // self.one_bytes() for cell in cells], flat)
        return flat
