"""Tables in and out: CSV, Parquet, FITS and VOTable, by the file's name, a few thousand rows at a time.

::

    catalogue = open_catalogue(Path("galaxies.fits"))
    with writing(Path("copy.parquet"), catalogue.schema, rows=catalogue.rows, metadata={}) as table:
        for batch in catalogue.batches():
            table.write(batch)

Memory stays flat however many rows there are. What each format keeps is said in ``docs/catalogues.md``.
"""

import contextlib
import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxytree.tables.base import Catalogue, TableWriter, named, text_of, unreadable, unwritable
from galaxytree.tables.errors import CatalogueError, FilterError, UnknownFormatError, UnreadableError, UnwritableError

__all__ = [
    "FORMATS",
    "Catalogue",
    "CatalogueError",
    "FilterError",
    "Format",
    "TableWriter",
    "UnknownFormatError",
    "UnreadableError",
    "UnwritableError",
    "format_of",
    "open_catalogue",
    "where",
    "writing",
    "written_format_of",
]


@dataclass(frozen=True)
class Format:
    """A format of tables.

    Attributes
    ----------
    name
        What it is called.
    endings
        How the names of its files end, in small letters.
    module
        What reads and writes it: ``open_table(path)``, ``kept(schema)`` and ``create(path, schema, rows, name)``.
    only_read
        The endings of files that are read, and not written.
    """

    name: str
    endings: tuple[str, ...]
    module: str
    only_read: tuple[str, ...] = ()

    def code(self) -> Any:  # noqa: ANN401
        """Load the module, with what it needs; astropy is not loaded for a CSV file."""
        return import_module(self.module)


FORMATS = (
    Format("CSV", (".csv", ".tsv", ".csv.gz", ".tsv.gz"), "galaxytree.tables.csv_file"),
    Format("Parquet", (".parquet", ".pq"), "galaxytree.tables.parquet_file"),
    Format("FITS", (".fits", ".fit", ".fits.gz"), "galaxytree.tables.fits_file", only_read=(".fits.gz",)),
    Format("VOTable", (".vot", ".votable", ".xml"), "galaxytree.tables.votable_file"),
)
"""The formats that are known."""


def format_of(path: Path) -> Format:
    """Return the format of a file, by its name.

    Raises
    ------
    UnknownFormatError
        If the name ends like that of no known format.
    """
    for each in FORMATS:
        if path.name.lower().endswith(each.endings):
            return each
    known = ", ".join(ending for each in FORMATS for ending in each.endings)
    msg = f"{path} is of no known format; names end in {known}"
    raise UnknownFormatError(msg)


def written_format_of(path: Path) -> Format:
    """Return the format of a file that is to be written, by its name.

    Raises
    ------
    UnknownFormatError
        If the name ends like that of no known format.
    UnwritableError
        If such files are read, and not written, or a folder has the name.
    """
    found = format_of(path)
    if found.only_read and path.name.lower().endswith(found.only_read):
        raise unwritable(path, f"compressed {found.name} files are read, not written")
    if path.is_dir():
        raise unwritable(path, "it is a folder")
    return found


def open_catalogue(path: Path) -> Catalogue:
    """Open a table: look at its columns, and count its rows.

    Raises
    ------
    UnknownFormatError
        If the file's name says no known format.
    UnreadableError
        If it isn't there, or isn't what its name says.
    """
    code = format_of(path).code()
    try:
        catalogue: Catalogue = code.open_table(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    except (LookupError, TypeError, ValueError) as error:
        # What a head says that makes no sense: a number that is none, a keyword that is missing.
        raise unreadable(path, f"its head is damaged ({error})") from error
    return catalogue


def where(table: pa.Table, expression: str) -> pa.Array:
    """Return which rows meet a condition.

    Parameters
    ----------
    table
        Some rows; each is looked at by itself.
    expression
        A condition in SQL, as DuckDB has it, over the columns' names; names with blanks and the like stand in double
        quotes, as in ``"mag r" < 17.77 AND class = 'GALAXY'``. It can read no files and reach nothing else.

    Returns
    -------
    pyarrow.Array
        bool, one a row, without nulls: a row of which the condition is unknown, since a value is missing, isn't
        selected.

    Raises
    ------
    FilterError
        If it isn't a condition on these columns; the message is DuckDB's.
    """
    # A table that isn't filtered needs no DuckDB.
    from galaxytree.tables.selection import selected  # noqa: PLC0415

    return selected(table, expression)


@contextmanager
def writing(path: Path, schema: pa.Schema, *, rows: int, metadata: Mapping[str, str]) -> Iterator[TableWriter]:
    """Write a table, which appears at ``path`` when it is whole, and not before.

    It is written beside ``path``, flushed to the disk and renamed at the end; if anything goes wrong before, nothing is
    left and what was at ``path`` stays.

    Parameters
    ----------
    path
        The file; its name says the format.
    schema
        The columns; metadata of fields are their ``unit``, ``description`` and ``ucd``, those of the schema are the
        table's.
    rows
        How many rows there will be.
    metadata
        What the table says of itself besides; see ``docs/catalogues.md`` for where each format has it.

    Raises
    ------
    UnknownFormatError
        If the name says no known format.
    UnwritableError
        If the format can't hold a column (said before any row is taken), or the file can't be written.
    """
    code = written_format_of(path).code()
    try:
        named(list(schema.names), path)
    except UnreadableError as error:
        raise unwritable(path, "two columns have the same name") from error
    full = schema.with_metadata({**text_of(schema.metadata), **metadata} or None)
    kept = code.kept(full)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        try:
            sink = code.create(unfinished, kept, rows, path.name)
        except (OSError, pa.ArrowException) as error:
            raise unwritable(path, error) from error
        try:
            writer = TableWriter(path, sink, schema, rows)
            yield writer
            beside = writer.finish()
        except BaseException:
            with contextlib.suppress(OSError, pa.ArrowException):
                sink.abandon()
            raise
        try:
            # The table comes last: what is beside it is of no use without.
            for ending, text in beside.items():
                note = unfinished.with_name(unfinished.name + ending)
                note.write_text(text, "utf-8")
                settle(note, path.with_name(path.name + ending))
            settle(unfinished, path)
        except OSError as error:
            raise unwritable(path, error) from error
    finally:
        for left in [unfinished, *unfinished.parent.glob(f"{glob.escape(unfinished.name)}*")]:
            left.unlink(missing_ok=True)


def settle(unfinished: Path, path: Path) -> None:
    """Flush a file to the disk, and give it its name."""
    flush(unfinished)
    unfinished.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until the disk has what was written to a file, or what a folder holds."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
