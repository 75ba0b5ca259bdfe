"""CSV, read by pyarrow: types are found in the whole file before the first row is handed on.

CSV has no types, no units and no place for what a table says of itself; `galaxytree.tables.csv_notes` keeps these in
a file beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from galaxytree.tables.base import Catalogue, named, unreadable
from galaxytree.tables.csv_notes import ENDING, noted, notes
from galaxytree.tables.plain import plain, plain_schema
from galaxytree.tables.words import Guess, values, words_of

BLOCK_BYTES = 1 << 20
"""How much is read at a time; a row can't be longer."""


def _delimiter(name: str) -> str:
    return "\t" if name.lower().endswith((".tsv", ".tsv.gz")) else ","


def _compression(name: str) -> str | None:
    return "gzip" if name.lower().endswith(".gz") else None


class CsvCatalogue(Catalogue):
    """A CSV file with a line of names at its head, in UTF-8."""

    def __init__(self, path: Path) -> None:
        names, blocks = self._read(path)
        named_columns = named(names, path)
        guesses = [Guess() for _ in names]
        rows = 0
        for block in blocks:
            rows += block.num_rows
            for guess, column in zip(guesses, block.columns, strict=True):
                guess.see(column)
        notes, metadata = noted(path, names) or ([pa.field(name, pa.null()) for name in names], {})
        fields = [
            pa.field(name, guess.type(note.type), metadata=note.metadata)
            for name, guess, note in zip(named_columns, guesses, notes, strict=True)
        ]
        super().__init__(path, "CSV", pa.schema(fields, metadata or None), rows)

    @staticmethod
    def _read(path: Path) -> tuple[list[str], Iterator[pa.RecordBatch]]:
        names = _header(path)
        ragged: list[Any] = []

        def keep(row: Any) -> str:  # noqa: ANN401
            ragged.append(row)
            return "error"

        places = [str(place) for place in range(len(names))]
        reading = pc_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=places, skip_rows=0, use_threads=False)
        parsing = pc_csv.ParseOptions(
            delimiter=_delimiter(path.name),
            newlines_in_values=True,
            # The only value of a row may be null; where there are more columns, an empty line is no row.
            ignore_empty_lines=len(names) > 1,
            invalid_row_handler=keep,
        )
        converting = pc_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

        def blocks() -> Iterator[pa.RecordBatch]:
            try:
                with pa.input_stream(path, compression=_compression(path.name)) as stream:
                    head = True
                    for block in pc_csv.open_csv(stream, reading, parsing, converting):
                        yield block.slice(1) if head else block
                        head = False
            except pa.ArrowInvalid as error:
                raise unreadable(path, _why(error, ragged)) from error

        return names, blocks()

    def pieces(self, start: int, size: int) -> Iterator[pa.Table]:  # noqa: ARG002
        """Yield the rows from ``start`` on, a block at a time."""
        _, blocks = self._read(self.path)
        first = 0
        for block in blocks:
            words = block.slice(max(start - first, 0))
            first += block.num_rows
            columns = [
                values(pa.chunked_array([column]), field.type)
                for column, field in zip(words.columns, self.schema, strict=True)
            ]
            yield pa.Table.from_arrays(columns, schema=self.schema)


def _header(path: Path) -> list[str]:
    """Return the names in the first line, which may be all there is."""
    parsing = pc_csv.ParseOptions(
        delimiter=_delimiter(path.name), newlines_in_values=True, invalid_row_handler=lambda _: "skip"
    )
    reading = pc_csv.ReadOptions(block_size=BLOCK_BYTES, autogenerate_column_names=True, use_threads=False)
    converting = pc_csv.ConvertOptions()
    try:
        with pa.input_stream(path, compression=_compression(path.name)) as stream:
            count = len(pc_csv.open_csv(stream, reading, parsing, converting).schema)
        converting = pc_csv.ConvertOptions(column_types={f"f{place}": pa.string() for place in range(count)})
        with pa.input_stream(path, compression=_compression(path.name)) as stream:
            first = pc_csv.open_csv(stream, reading, parsing, converting).read_next_batch()
    except pa.ArrowInvalid as error:
        raise unreadable(path, _why(error, [])) from error
    return [column[0].as_py() for column in first.columns]


def _why(error: Exception, ragged: list[Any]) -> str:
    if ragged:
        row = ragged[0]
        found, wanted = row.actual_columns, row.expected_columns
        # pyarrow counts the line of names too.
        which = f"row {row.number - 1} (counted from 1, after the line of names)"
        return f"{which} has {found} values, not {wanted}: {row.text[:80]!r}"
    said = str(error)
    if "UTF8" in said:
        return "it isn't in UTF-8"
    if "Empty CSV file" in said:
        return "it is empty; the least is a line with the names of the columns"
    if "straddling" in said:
        return f"a row is longer than {BLOCK_BYTES} bytes; is there a quotation mark that isn't closed?"
    return said.removeprefix("CSV parse error: ")


class CsvSink:
    """A CSV file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema, name: str) -> None:
        self._schema = schema
        self._name = name
        self._delimiter = _delimiter(name)
        self._stream = pa.output_stream(str(path), compression=_compression(name))
        heads = self._quoted(pa.chunked_array([pa.array(schema.names, pa.string())])).to_pylist()
        self._stream.write((self._delimiter.join(heads) + "\n").encode())

    def _quoted(self, words: pa.ChunkedArray) -> pa.ChunkedArray:
        unsafe = pc.match_substring_regex(words, f'^$|[\n\r"{self._delimiter}]|^\\s|\\s$')
        doubled = pc.replace_substring(words, '"', '""')
        return pc.if_else(unsafe, pc.binary_join_element_wise('"', doubled, '"', ""), words)

    def _words(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        words = self._quoted(column) if pa.types.is_string(column.type) else words_of(column)
        return pc.fill_null(words, "")

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if not table.num_rows:
            return
        columns = [self._words(column) for column in plain(table, self._schema).columns]
        lines = pc.binary_join_element_wise(*columns, self._delimiter)
        self._stream.write(("\n".join(lines.to_pylist()) + "\n").encode())

    def close(self) -> dict[str, str]:
        """Close the file, and return the notes on it."""
        self._stream.close()
        return {ENDING: notes(self._schema, self._name, self._delimiter)}

    def abandon(self) -> None:
        """Let go of the file."""
        self._stream.close()


def open_table(path: Path) -> Catalogue:
    """Open a CSV file."""
    return CsvCatalogue(path)


def kept(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are written."""
    return plain_schema(schema, kind="CSV", lists="none")


def create(path: Path, schema: pa.Schema, rows: int, name: str) -> CsvSink:  # noqa: ARG001
    """Begin a CSV file."""
    return CsvSink(path, schema, name)
