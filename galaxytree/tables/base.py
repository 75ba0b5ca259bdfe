"""What all formats have in common: a table to read, and a table to write."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from galaxytree.tables.errors import UnreadableError, UnwritableError


class Catalogue(ABC):
    """A table in a file, read in order and never as a whole.

    Parameters
    ----------
    path
        The file.
    kind
        The name of its format.
    schema
        Its columns; metadata of fields are ``unit``, ``description`` and ``ucd`` where they are known, as they stand in
        the file; the schema's own metadata are the table's.
    rows
        How many there are.
    """

    def __init__(self, path: Path, kind: str, schema: pa.Schema, rows: int) -> None:
        self.path = path
        self.format = kind
        self.schema = schema
        self.rows = rows

    @abstractmethod
    def pieces(self, start: int, size: int) -> Iterator[pa.Table]:
        """Yield the rows from ``start`` on in pieces, of about ``size`` rows where the format lets one choose."""

    def batches(self, size: int = 4096, *, start: int = 0) -> Iterator[pa.Table]:
        """Yield the rows in the file's order.

        Parameters
        ----------
        size
            How many rows each table has; the last one may have fewer.
        start
            The first row, from 0.

        Raises
        ------
        UnreadableError
            If the file can't be read, or is no longer what it was when it was opened.
        """
        gathered, count, seen = [], 0, start
        for piece in self._readable(start, size):
            at = 0
            while at < piece.num_rows:
                part = piece.slice(at, size - count)
                gathered.append(part)
                at, count, seen = at + part.num_rows, count + part.num_rows, seen + part.num_rows
                if count == size:
                    yield pa.concat_tables(gathered).combine_chunks()
                    gathered, count = [], 0
        if seen != max(self.rows, start):
            msg = f"{self.path} had {self.rows} rows when it was opened and has {seen} now"
            raise UnreadableError(msg)
        if gathered:
            yield pa.concat_tables(gathered).combine_chunks()

    def _readable(self, start: int, size: int) -> Iterator[pa.Table]:
        if start >= self.rows:
            return
        try:
            yield from self.pieces(start, size)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise unreadable(self.path, error) from error

    def sha256(self) -> str:
        """Return the SHA-256 of the file's bytes, as 64 hexadecimal digits."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(self.path, error) from error


class Sink(Protocol):
    """A file that a table is being written to."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> Mapping[str, str]:
        """Write what is left, so that the file is whole; return what belongs beside it, by the ending of its name."""

    def abandon(self) -> None:
        """Let go of the file, however far it is."""


class TableWriter:
    """Takes the rows of a table that is being written; see `galaxytree.catalogue.writing`."""

    def __init__(self, path: Path, sink: Sink, schema: pa.Schema, rows: int) -> None:
        self._path = path
        self._sink = sink
        self._schema = schema
        self._rows = rows
        self._written = 0

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Parameters
        ----------
        table
            Has the columns that were announced, in their order; other types are cast where nothing gets lost.

        Raises
        ------
        UnwritableError
            If it has others, if there are more rows than were announced, or if the file can't be written.
        """
        if table.schema.names != self._schema.names:
            msg = f"rows for {self._path} don't have the columns that were announced"
            raise UnwritableError(msg)
        if self._written + table.num_rows > self._rows:
            msg = f"{self._path} gets more than the {self._rows} rows that were announced"
            raise UnwritableError(msg)
        try:
            self._sink.write(table if table.schema.equals(self._schema) else table.cast(self._schema))
        except (OSError, pa.ArrowException) as error:
            raise unwritable(self._path, error) from error
        self._written += table.num_rows

    def finish(self) -> Mapping[str, str]:
        """Make the file whole, and return what belongs beside it, by the ending of its name.

        Raises
        ------
        UnwritableError
            If rows are missing, or the file can't be written.
        """
        if self._written != self._rows:
            msg = f"{self._path} got {self._written} of the {self._rows} rows that were announced"
            raise UnwritableError(msg)
        try:
            return self._sink.close()
        except (OSError, pa.ArrowException) as error:
            raise unwritable(self._path, error) from error


def unreadable(path: Path, why: object) -> UnreadableError:
    """Return the error that says that a table can't be read, and why."""
    return UnreadableError(f"can't read {path}: {_reason(why)}")


def unwritable(path: Path, why: object) -> UnwritableError:
    """Return the error that says that a table can't be written, and why."""
    return UnwritableError(f"can't write {path}: {_reason(why)}")


def _reason(why: object) -> str:
    if isinstance(why, OSError) and why.errno:
        return os.strerror(why.errno)
    return " ".join(str(why).split()) or type(why).__name__


def named(names: list[str], path: Path) -> list[str]:
    """Return the names of columns, with one for those that have none.

    Raises
    ------
    UnreadableError
        If two columns have the same name.
    """
    names = [name or f"column_{place}" for place, name in enumerate(names, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise unreadable(path, f"two columns have the name {twice[0]!r}")
    return names


def text_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return the metadata of a field or a schema as text."""
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in (metadata or {}).items()}
