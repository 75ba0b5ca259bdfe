"""Parquet, by pyarrow: row groups are streamed; types, units and nulls are kept as they are."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from galaxytree.tables.base import Catalogue, named

BUFFER_BYTES = 1 << 18
"""How much of each column is read at a time."""

GROUP_ROWS = 65_536
"""How many rows a row group has: few enough to be held while it fills, enough to be read fast."""

NOT_OF_THE_TABLE = {b"pandas", b"ARROW:schema"}
"""Metadata that say how some program had the columns in memory; they are wrong once a column is added."""


class ParquetCatalogue(Catalogue):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            named(schema.names, path)
            metadata = {key: value for key, value in (schema.metadata or {}).items() if key not in NOT_OF_THE_TABLE}
            self._groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            rows = file.metadata.num_rows
        fields = [field.with_metadata(_of_the_field(field)) for field in schema]
        super().__init__(path, "Parquet", pa.schema(fields, metadata), rows)

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


def _of_the_field(field: pa.Field) -> dict[bytes, bytes]:
    return {key: value for key, value in (field.metadata or {}).items() if not key.startswith(b"PARQUET:")}


class ParquetSink:
    """A Parquet file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._held: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._held.append(table)
        if sum(each.num_rows for each in self._held) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        held, self._held = self._held, []
        self._writer.write_table(pa.concat_tables(held), GROUP_ROWS)

    def close(self) -> dict[str, str]:
        """Write what is held, and the footer."""
        if self._held:
            self._flush()
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
