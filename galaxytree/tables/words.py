"""Values as words: which type the words of a column have, words -> values, and values -> words.

A column of words is one of numbers only if nothing gets lost when they are read as such:

- integers within 64 bits; not those with a plus sign or leading zeros, which are names that are made of digits;
- floats, also with a plus sign or leading zeros if they have a point or an exponent; mixed with integers over 2^53 they
  stay words, since those would be rounded;
- ``true`` and ``false`` in any case.
"""

import pyarrow as pa
import pyarrow.compute as pc

INTEGER = r"^-?(0|[1-9][0-9]*)$"
FLOAT = r"^([+-]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[0-9]+[eE][+-]?[0-9]+|[+-]?(?i:inf|infinity))$"
NUMBER = f"{INTEGER}|{FLOAT}"
BOOLEAN = r"^(?i:true|false)$"
NOT_A_NUMBER = pa.array(["nan", "NaN", "NAN", "-nan", "-NaN"])
ABSENT = pa.array(["", "null", "NULL", "Null", "none", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "--"])
"""What stands in a column of numbers or booleans where there is no value. In a column of text these are text."""

EXACT_DIGITS = 15
"""Integers with no more digits than this are exact as float64."""


class Guess:
    """Finds the type of a column, from its words, block by block."""

    def __init__(self) -> None:
        self._text = False
        self._kinds: set[str] = set()
        self._long = False
        self._low = self._high = 0

    def see(self, words: pa.Array) -> None:
        """Take in a block of words."""
        if self._text:
            return
        words = pc.utf8_trim_whitespace(words.drop_null())
        words = words.filter(pc.invert(pc.is_in(words, ABSENT)))
        numbers = words.filter(pc.invert(pc.is_in(words, NOT_A_NUMBER)))
        if len(numbers) < len(words):
            self._kinds.add("nan")
        if not len(numbers):
            return
        if _all(numbers, INTEGER):
            self._see_integers(numbers)
        elif _all(numbers, NUMBER):
            self._kinds.add("float")
            self._see_integers(numbers.filter(pc.match_substring_regex(numbers, INTEGER)))
        elif _all(numbers, BOOLEAN):
            self._kinds.add("boolean")
        else:
            self._text = True

    def _see_integers(self, numbers: pa.Array) -> None:
        if not len(numbers):
            return
        self._kinds.add("integer")
        self._long |= bool(pc.any(pc.greater(pc.binary_length(numbers), EXACT_DIGITS)).as_py())
        try:
            found = pc.min_max(numbers.cast(pa.int64())).as_py()
        except pa.ArrowInvalid:
            self._text = True
            return
        self._low, self._high = min(self._low, found["min"]), max(self._high, found["max"])

    def type(self, noted: pa.DataType) -> pa.DataType:
        """Return the type that all words so far have.

        Parameters
        ----------
        noted
            The type that somebody says they have, which is taken if it holds them; null for nobody.
        """
        found = self._type()
        if pa.types.is_null(noted) or noted == found:
            return found
        if pa.types.is_string(noted) or (not self._kinds and not self._text):
            return noted
        if found == pa.int64() and pa.types.is_integer(noted) and "nan" not in self._kinds:
            bits = noted.bit_width
            lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1)
            if pa.types.is_unsigned_integer(noted):
                lowest, highest = 0, (1 << bits) - 1
            return noted if lowest <= self._low and self._high <= highest else found
        if found in {pa.int64(), pa.float64()} and pa.types.is_floating(noted) and not self._long:
            return noted
        return found

    def _type(self) -> pa.DataType:
        kinds = self._kinds - {"nan"}
        if self._text or kinds > {"boolean"} or (kinds == {"integer", "float"} and self._long):
            return pa.string()
        if "float" in kinds or self._kinds == {"nan"}:
            return pa.float64()
        if "integer" in kinds:
            return pa.int64()
        return pa.bool_() if self._kinds == {"boolean"} else pa.string()


def _all(words: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(words, pattern)).as_py())


def values(words: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return what words say.

    Raises
    ------
    pyarrow.ArrowInvalid
        If one is none of that type.
    """
    if pa.types.is_string(kind):
        return words
    words = pc.utf8_trim_whitespace(words)
    absent = pc.is_in(words, ABSENT)
    if not pa.types.is_floating(kind):
        absent = pc.or_(absent, pc.is_in(words, NOT_A_NUMBER))
    return pc.if_else(absent, None, words).cast(kind)


def words_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as words, the shortest that say the same; nulls stay nulls.

    Floats have a point, an exponent, or are ``nan``, ``inf`` or ``-inf``, so that they are read as floats again.
    """
    words = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        whole = pc.match_substring_regex(words, r"^-?[0-9]+$")
        return pc.if_else(whole, pc.binary_join_element_wise(words, ".0", ""), words)
    return words
