"""VOTable: the first table of a file is read, whatever form its rows have; rows are written as TABLEDATA.

That form is text, which every program reads; a few thousand rows become text at a time.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxytree.tables.base import Catalogue, named, text_of, unreadable
from galaxytree.tables.plain import plain, plain_schema
from galaxytree.tables.votable_parsing import Rows
from galaxytree.tables.words import words_of

NO_XML = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
"""Characters that XML has no way to write; U+FFFD stands in their place."""

DATATYPES = {
    pa.bool_(): "boolean",
    pa.uint8(): "unsignedByte",
    pa.int16(): "short",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "unicodeChar",
}

WIDER = {pa.int8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.string()}
"""Types that VOTable doesn't have, and those that hold all their values."""


class VoTableCatalogue(Catalogue):
    """The first table of a VOTable file."""

    def __init__(self, path: Path) -> None:
        rows = Rows(path, counting=True)
        for _ in rows.blocks():
            pass
        self._head = rows.head
        if not self._head.fields:
            raise unreadable(path, "there is no table in it")
        columns = [each.arrow(path) for each in self._head.fields]
        names = named([each.name for each in columns], path)
        columns = [each.with_name(name) for each, name in zip(columns, names, strict=True)]
        super().__init__(path, "VOTable", pa.schema(columns, self._head.metadata or None), rows.count)

    def pieces(self, start: int, size: int) -> Iterator[pa.Table]:  # noqa: ARG002
        """Yield the rows from ``start`` on, a block of the file at a time."""
        flags = self._head.form == "BINARY2"
        width = len(self._head.fields) + flags
        first = 0
        for cells in Rows(self.path).blocks():
            count = len(cells) // width
            skipped = min(max(start - first, 0), count)
            first += count
            if skipped == count:
                continue
            by_column = [cells[skipped * width + place :: width] for place in range(width)]
            if self._head.form == "TABLEDATA":
                columns = [each.from_words(cell) for each, cell in zip(self._head.fields, by_column, strict=True)]
            else:
                columns = [
                    each.from_bytes(cell) for each, cell in zip(self._head.fields, by_column[flags:], strict=True)
                ]
            if flags:
                columns = _without_nulls(columns, by_column[0])
            yield pa.Table.from_arrays(columns, schema=self.schema)


def _without_nulls(columns: list[pa.Array], flags: list[bytes]) -> list[pa.Array]:
    """Return columns with nulls where the flags at the head of each row are set."""
    bits = np.unpackbits(np.frombuffer(b"".join(flags), np.uint8).reshape(len(flags), -1), axis=1).astype(bool)
    return [
        pc.if_else(pa.array(bits[:, place]), None, column) if bits[:, place].any() else column
        for place, column in enumerate(columns)
    ]


class VoTableSink:
    """A VOTable that is being written."""

    def __init__(self, path: Path, schema: pa.Schema, rows: int) -> None:
        self._schema = schema
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write(_head(schema, rows))

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if not table.num_rows:
            return
        columns = [pc.fill_null(_cells(column), "") for column in plain(table, self._schema).columns]
        rows = pc.binary_join_element_wise(*columns, "</TD><TD>")
        self._file.writelines(f"<TR><TD>{row}</TD></TR>\n" for row in rows.to_pylist())

    def close(self) -> dict[str, str]:
        """Write the end."""
        self._file.write("</TABLEDATA>\n</DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")
        self._file.close()
        return {}

    def abandon(self) -> None:
        """Let go of the file."""
        self._file.close()


def _clean(text: str) -> str:
    cleaned: str = pc.replace_substring_regex(pa.scalar(text), NO_XML, "\ufffd").as_py()
    return cleaned


def _attributes(**said: str | None) -> str:
    return "".join(f" {name}={quoteattr(_clean(text))}" for name, text in said.items() if text is not None)


def _head(schema: pa.Schema, rows: int) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        '<RESOURCE type="results">',
        *(f"<INFO{_attributes(name=name, value=text)}/>" for name, text in text_of(schema.metadata).items()),
        f'<TABLE nrows="{rows}">',
    ]
    for each in schema:
        said = text_of(each.metadata)
        kind, size = each.type, None
        if pa.types.is_fixed_size_list(kind):
            kind, size = kind.value_type, str(kind.list_size)
        elif pa.types.is_list(kind):
            kind, size = kind.value_type, "*"
        elif pa.types.is_string(kind):
            size = "*"
        about = _attributes(
            name=each.name,
            datatype=DATATYPES[WIDER.get(kind, kind)],
            arraysize=size,
            unit=said.get("unit"),
            ucd=said.get("ucd"),
        )
        described = escape(_clean(said.get("description", "")))
        lines.append(
            f"<FIELD{about}><DESCRIPTION>{described}</DESCRIPTION></FIELD>" if described else f"<FIELD{about}/>"
        )
    return "\n".join([*lines, "<DATA>", "<TABLEDATA>", ""])


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        words = column
        for found, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
            words = pc.replace_substring(words, found, instead)
        return pc.replace_substring_regex(words, NO_XML, "\ufffd")
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return pa.chunked_array([_listed(chunk) for chunk in column.chunks], pa.string())
    words = words_of(column)
    if pa.types.is_floating(column.type):
        for found, instead in (("nan", "NaN"), ("inf", "+Inf"), ("-inf", "-Inf")):
            words = pc.if_else(pc.equal(words, found), instead, words)
    return words


def _listed(lists: pa.Array) -> pa.Array:
    """Return lists as words with blanks between; a number that is missing in one is NaN."""
    whole = lists.cast(pa.list_(lists.type.value_type))
    words = pc.fill_null(_cells(pa.chunked_array([whole.values])), "NaN").combine_chunks()
    return pc.binary_join(pa.ListArray.from_arrays(whole.offsets, words, mask=whole.is_null()), " ")


def open_table(path: Path) -> Catalogue:
    """Open the first table of a VOTable file."""
    return VoTableCatalogue(path)


def kept(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are written."""
    held = plain_schema(schema, kind="VOTable", lists="any")
    return pa.schema([each.with_type(WIDER.get(each.type, each.type)) for each in held], held.metadata)


def create(path: Path, schema: pa.Schema, rows: int, name: str) -> VoTableSink:  # noqa: ARG001
    """Begin a VOTable."""
    return VoTableSink(path, schema, rows)
