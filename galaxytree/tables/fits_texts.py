"""What a FITS table says of itself and its columns, in the cards of its header.

A card holds printable ASCII, and astropy reads no table with a column's name of over 68 characters. A text that fits
has its usual card: ``TTYPEn``, ``TUNITn``, and TOPCAT's ``TCOMMn`` for descriptions and ``TUCDn``. One that doesn't has
a stand-in there, and its whole in a card ``GTTEXTk = 'TTYPEn=...'``, escaped as Python escapes text. What the table
says of itself is in cards of the same name, or, where a name is no FITS keyword, in ``GTMETAk = 'name=...'``.
"""

import re
from collections.abc import Mapping
from typing import Any

FIELD_CARDS = {"unit": "TUNIT", "description": "TCOMM", "ucd": "TUCD"}
KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
PLAIN = re.compile(r"[\x20-\x7e]*")
OF_THE_FORMAT = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|EXTEND|CHECKSUM|DATASUM|CONTINUE|COMMENT|HISTORY|LONGSTRN|END"
    r"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|BCOL|DIM|COMM|UCD|UTYP|LMIN|LMAX|DMIN|DMAX)\d+|GTTEXT\d+|GTMETA\d+|)"
)
LONGEST_NAME = 60

TABLE_NAME = "GALAXYTREE"
"""What a table is called (EXTNAME) that says no name of itself; nobody is told of it who reads the table."""


class Cards:
    """Puts texts into the header of a table that is being written.

    Parameters
    ----------
    header
        An astropy header.
    """

    def __init__(self, header: Any) -> None:  # noqa: ANN401
        self._header = header
        self._wholes = 0
        self._metas = 0
        self._names: set[str] = set()

    def name(self, place: int, name: str) -> None:
        """Name a column, counted from 1."""
        short = re.sub(r"[^\x20-\x7e]", "_", name).strip()[:LONGEST_NAME].rstrip() or f"column_{place}"
        plain = short
        while plain in self._names:
            plain = f"{short}_{place}"
            place_taken = plain in self._names
            short += "_" if place_taken else ""
        self._names.add(plain)
        self._put(f"TTYPE{place}", name, plain)

    def text(self, keyword: str, text: str) -> None:
        """Put a text where others look for it."""
        self._put(keyword, text, re.sub(r"[^\x20-\x7e]", "?", text))

    def _put(self, keyword: str, text: str, plain: str) -> None:
        self._header[keyword] = plain
        # The blanks at the end of a card's text don't count.
        if plain != text or text != text.rstrip():
            self._wholes += 1
            self._header[f"GTTEXT{self._wholes}"] = f"{keyword}={_escaped(text)}"

    def table(self, metadata: Mapping[str, str]) -> None:
        """Put what the table says of itself, and a name of it."""
        self._header["EXTNAME"] = TABLE_NAME
        for name, text in metadata.items():
            if name in {"COMMENT", "HISTORY"} and all(PLAIN.fullmatch(line) for line in text.split("\n")):
                for line in text.split("\n"):
                    self._header.add_history(line) if name == "HISTORY" else self._header.add_comment(line)
            elif KEYWORD.fullmatch(name) and not OF_THE_FORMAT.fullmatch(name) and _is_plain(text):
                self._header[name] = _typed(text)
            else:
                self._metas += 1
                self._header[f"GTMETA{self._metas}"] = (
                    f"{_escaped(name).replace('=', chr(92) + 'x3d')}={_escaped(text)}"
                )


def _is_plain(text: str) -> bool:
    return bool(PLAIN.fullmatch(text)) and text == text.rstrip()


def _typed(text: str) -> str | int | float | bool:
    """Return a number where a text is just how Python writes that number, so that cards stay what they were."""
    if text in {"True", "False"}:
        return text == "True"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text and abs(number) < float("inf"):
            return number
    return text


def _escaped(text: str) -> str:
    said = text.encode("unicode_escape").decode("ascii")
    return said[:-1] + "\\x20" if said.endswith(" ") else said


def _whole(said: str) -> str:
    try:
        return said.encode("latin-1", "replace").decode("unicode_escape")
    except UnicodeDecodeError:
        return said


def texts_of(header: Any) -> tuple[dict[str, str], dict[str, str]]:  # noqa: ANN401
    """Return what a header says, and what it says of the table alone.

    Parameters
    ----------
    header
        An astropy header.

    Returns
    -------
    tuple of dict
        Text by keyword for all cards, with the whole of each text that has a stand-in; and the table's metadata.
    """
    cards = {card.keyword: str(card.value).rstrip() for card in header.cards if card.keyword not in {"", "CONTINUE"}}
    for keyword in [keyword for keyword in cards if keyword.startswith("GTTEXT")]:
        which, _, said = cards[keyword].partition("=")
        cards[which] = _whole(said)
    table = {name: text for name, text in cards.items() if not OF_THE_FORMAT.fullmatch(name)}
    if table.get("EXTNAME") == TABLE_NAME:
        del table["EXTNAME"]
    for keyword in ("COMMENT", "HISTORY"):
        if keyword in header:
            table[keyword] = "\n".join(str(line) for line in header[keyword])
    for keyword, text in cards.items():
        if keyword.startswith("GTMETA"):
            name, _, said = text.partition("=")
            table[_whole(name)] = _whole(said)
    return cards, table
