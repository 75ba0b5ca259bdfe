"""Parquet, by pyarrow: row groups are streamed; types, units and nulls are kept as they are."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from galaxytree.tables.base import Catalogue, named
from galaxytree.tables.parquet_notes import noted, with_notes

BUFFER_BYTES = 1 << 18
"""How much of each column is read at a time."""

GROUP_ROWS = 65_536
"""How many rows a row group has: few enough to be held while it fills, enough to be read fast."""


class ParquetCatalogue(Catalogue):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        with pq.ParquetFile(path) as file:
            schema = noted(file.schema_arrow, path)
            names = named(schema.names, path)
            self._groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            rows = file.metadata.num_rows
        fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
        super().__init__(path, "Parquet", pa.schema(fields, schema.metadata), rows)

    def pieces(self, start: int, size: int) -> Iterator[pa.Table]:
        """Yield the rows from ``start`` on, one row group after the other."""
        with pq.ParquetFile(self.path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            first, groups = 0, []
            for group, rows in enumerate(self._groups):
                if first + rows <= start:
                    first += rows
                else:
                    groups.append(group)
            for batch in file.iter_batches(size, row_groups=groups, use_threads=False):
                skipped = min(max(start - first, 0), batch.num_rows)
                first += batch.num_rows
                yield pa.table(batch.columns, self.schema.names).cast(self.schema).slice(skipped)


class ParquetSink:
    """A Parquet file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, with_notes(schema), compression="zstd")
        self._held: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._held.append(table)
        if sum(each.num_rows for each in self._held) >= GROUP_ROWS:
            held = pa.concat_tables(self._held)
            whole = held.num_rows // GROUP_ROWS * GROUP_ROWS
            self._held = [held.slice(whole)]
            self._writer.write_table(held.slice(0, whole), GROUP_ROWS)

    def close(self) -> dict[str, str]:
        """Write what is held, and the footer."""
        if any(each.num_rows for each in self._held):
            self._writer.write_table(pa.concat_tables(self._held), GROUP_ROWS)
        self._writer.close()
        return {}

    def abandon(self) -> None:
        """Let go of the file."""
        self._held = []
        self._writer.close()


def open_table(path: Path) -> Catalogue:
    """Open a Parquet file."""
    return ParquetCatalogue(path)


def kept(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are written: Parquet keeps all types."""
    return schema


def create(path: Path, schema: pa.Schema, rows: int, name: str) -> ParquetSink:  # noqa: ARG001
    """Begin a Parquet file."""
    return ParquetSink(path, schema)
