"""VOTable: the first table of a file is read, whatever form its rows have; rows are written as TABLEDATA.

That form is text, which every program reads; a few thousand rows become text at a time.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxytree.tables.base import Catalogue, named, unreadable
from galaxytree.tables.plain import plain, plain_schema
from galaxytree.tables.votable_head import END, NO_XML, WIDER, head_of
from galaxytree.tables.votable_parsing import Rows
from galaxytree.tables.words import words_of


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
        self._file.write(head_of(schema, rows))

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if not table.num_rows:
            return
        columns = [pc.fill_null(_cells(column), "") for column in plain(table, self._schema).columns]
        rows = pc.binary_join_element_wise(*columns, "</TD><TD>")
        self._file.writelines(f"<TR><TD>{row}</TD></TR>\n" for row in rows.to_pylist())

    def close(self) -> dict[str, str]:
        """Write the end."""
        self._file.write(f"</TABLEDATA>\n</DATA>\n</TABLE>\n{END}\n")
        self._file.close()
        return {}

    def abandon(self) -> None:
        """Let go of the file."""
        self._file.close()


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
    words = pc.fill_null(_cells(pa.chunked_array([lists.flatten()], lists.type.value_type)), "NaN").combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, words), " ")
    return pc.if_else(lists.is_valid(), joined, None)


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
