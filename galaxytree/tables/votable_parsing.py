"""VOTables as streams of XML: the head of the first table, and then its rows, a block of the file at a time.

expat is used as it is: astropy and ElementTree hold whole tables. A file may declare no entities, so that a small one
can't become a huge one; and nothing outside it is fetched.
"""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from galaxytree.tables.base import unreadable
from galaxytree.tables.votable_fields import Field

BLOCK_BYTES = 1 << 17


@dataclass
class Head:
    """What comes before the rows of the first table.

    Attributes
    ----------
    fields
        Its columns.
    metadata
        What INFO and PARAM elements, and the table's DESCRIPTION, say.
    form
        TABLEDATA, BINARY or BINARY2; empty for a table without data.
    """

    fields: list[Field] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    form: str = ""


class Rows:
    """Reads a VOTable.

    Parameters
    ----------
    path
        The file.
    counting
        Whether the rows are to be counted only.
    content
        What is read in place of what the file holds.
    """

    def __init__(self, path: Path, *, counting: bool = False, content: bytes | None = None) -> None:
        self._path = path
        self._counting = counting
        self._content = content
        self.head = Head()
        self.count = 0
        self._open: list[str] = []
        self._text: list[str] = []
        self._done = False
        self._cells: list[Any] = []
        self._in_row = 0
        self._rest = ""
        self._bytes = b""
        self._parser: Any = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = 1 << 16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append
        self._parser.EntityDeclHandler = self._entity

    def blocks(self) -> Iterator[list[Any]]:
        """Yield the cells of some rows, row after row: text, or bytes, in BINARY2 with the flags of nulls first.

        Raises
        ------
        UnreadableError
            If it is no VOTable, is cut off, or has what isn't read.
        """
        with self._path.open("rb") if self._content is None else io.BytesIO(self._content) as file:
            while not self._done and (data := file.read(BLOCK_BYTES)):
                self._parse(data, last=False)
                if self._cells:
                    cells = self._take()
                    yield cells
            if not self._done:
                self._parse(b"", last=True)
        if self._cells:
            yield self._take()

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise unreadable(self._path, f"{expat.ErrorString(error.code)}, in line {error.lineno}") from error

    def _take(self) -> list[Any]:
        # Of a row that goes on in the next block, the cells stay.
        whole = len(self._cells) - self._in_row
        cells, self._cells[:] = self._cells[:whole], self._cells[whole:]
        return cells

    def _entity(self, *_: object) -> None:
        raise unreadable(self._path, "it declares entities, which a table has no need of")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: C901
        tag = tag.rpartition(":")[2]
        if not self._open and tag != "VOTABLE":
            raise unreadable(self._path, f"it is no VOTable: it begins with {tag}")
        parent = self._open[-1] if self._open else ""
        self._open.append(tag)
        self._text.clear()
        if tag == "FIELD":
            self.head.fields.append(Field(attributes))
        elif tag in {"INFO", "PARAM"} and parent != "GROUP" and "name" in attributes:
            self._say(attributes["name"], attributes.get("value", ""))
        elif tag == "VALUES" and parent == "FIELD" and "null" in attributes:
            self.head.fields[-1].null = attributes["null"].strip()
        elif tag == "TABLE" and attributes.get("ref") and not self.head.fields:
            raise unreadable(self._path, "its first table refers to another one for its columns")
        elif tag == "STREAM":
            self._stream(attributes)
        elif tag == "TABLEDATA":
            self.head.form = tag
            self._parser.StartElementHandler = self._start_row
            self._parser.EndElementHandler = self._end_counted if self._counting else self._end_cell
            if self._counting:
                self._parser.CharacterDataHandler = None
        elif tag in {"BINARY", "BINARY2"}:
            self.head.form = tag
        elif tag == "FITS":
            raise unreadable(self._path, "its rows are in a FITS file; open that")

    def _say(self, name: str, text: str) -> None:
        said = self.head.metadata
        said[name] = f"{said[name]}\n{text}" if name in said else text

    def _stream(self, attributes: dict[str, str]) -> None:
        if "href" in attributes or attributes.get("encoding", "base64") != "base64":
            raise unreadable(self._path, "its rows are in another file, or packed in a way that isn't read")
        self._parser.CharacterDataHandler = self._packed
        self._walk = self._walker()

    def _end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        self._open.pop()
        parent = self._open[-1] if self._open else ""
        if tag == "DESCRIPTION":
            text = "".join(self._text).strip()
            if parent == "FIELD":
                self.head.fields[-1].description = text
            elif parent == "TABLE" and text:
                self._say("description", text)
        elif tag == "STREAM":
            if self._rest or self._bytes:
                raise unreadable(self._path, "it ends within a row")
        elif tag == "TABLE" and self.head.fields:
            self._finish()

    def _finish(self) -> None:
        """Stop at the end of the first table."""
        self._done = True
        self._parser.StartElementHandler = self._parser.EndElementHandler = self._parser.CharacterDataHandler = None

    # Rows as elements: the way of nearly all time spent.

    def _start_row(self, tag: str, _: dict[str, str]) -> None:
        self._text.clear()
        if tag[-2:] == "TR":
            self._in_row = 0

    def _end_cell(self, tag: str) -> None:
        if tag[-2:] == "TD":
            self._cells.append("".join(self._text))
            self._in_row += 1
        elif tag[-2:] == "TR":
            if self._in_row != len(self.head.fields):
                found, wanted = self._in_row, len(self.head.fields)
                raise unreadable(self._path, f"row {self.count + 1} has {found} cells, not {wanted}")
            self._in_row = 0
            self.count += 1
        elif tag.rpartition(":")[2] == "TABLEDATA":
            self._finish()

    def _end_counted(self, tag: str) -> None:
        if tag[-2:] == "TR":
            self.count += 1
        elif tag.rpartition(":")[2] == "TABLEDATA":
            self._finish()

    # Rows as bytes, in base64.

    def _packed(self, text: str) -> None:
        packed = self._rest + "".join(text.split())
        whole = len(packed) // 4 * 4
        self._rest = packed[whole:]
        try:
            data = self._bytes + base64.b64decode(packed[:whole], validate=True)
        except ValueError as error:
            raise unreadable(self._path, "its rows aren't in base64") from error
        self._bytes = data[self._walk(data) :]

    def _walker(self) -> Callable[[bytes], int]:
        """Return what takes whole rows from bytes, and says where it stopped."""
        for each in self.head.fields:
            each.arrow(self._path)
        widths = [(each.cell_bytes(), each.one_bytes()) for each in self.head.fields]
        flags = (len(widths) + 7) // 8 if self.head.form == "BINARY2" else 0
        keep = self._cells.extend

        def walk(data: bytes) -> int:
            at, end = 0, len(data)
            while at < end:
                row, here = [data[at : at + flags]] if flags else [], at + flags
                for fixed, one in widths:
                    if fixed is None:
                        width = int.from_bytes(data[here : here + 4], "big") * one
                        here += 4
                    else:
                        width = fixed
                    row.append(data[here : here + width])
                    here += width
                if here > end:
                    break
                at = here
                self.count += 1
                if not self._counting:
                    keep(row)
            return at

        return walk
