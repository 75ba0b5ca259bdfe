"""FITS: the first table of a file is read, and a binary table is written; astropy reads and writes the headers.

Rows are decoded and encoded a few thousand at a time as NumPy records, since astropy maps whole tables into memory.
"""

import gzip
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits
from numpy.typing import NDArray

from galaxytree.tables.base import Catalogue, named, text_of, unreadable
from galaxytree.tables.errors import UnwritableError
from galaxytree.tables.fits_columns import Decoder, decoder
from galaxytree.tables.fits_texts import FIELD_CARDS, Cards, texts_of
from galaxytree.tables.plain import plain, plain_schema

BLOCK_BYTES = 2880
"""FITS files are made of blocks of this size."""

MOST_COLUMNS = 999
"""The number of a column has three digits at most."""


class FitsCatalogue(Catalogue):
    """The first table of a FITS file."""

    def __init__(self, path: Path) -> None:
        self._at, header = _first_table(path)
        cards, metadata = texts_of(header)
        places = range(1, header["TFIELDS"] + 1)
        names = named([cards.get(f"TTYPE{place}", "") for place in places], path)
        self._row_bytes = int(header["NAXIS1"])
        rows = int(header["NAXIS2"])
        self._decoders: list[Decoder] = []
        fields, at = [], 0
        for place, name in zip(places, names, strict=True):
            each = decoder(header, place, at, name, path)
            at += each.width
            self._decoders.append(each)
            said = {key: cards[f"{card}{place}"] for key, card in FIELD_CARDS.items() if f"{card}{place}" in cards}
            fields.append(pa.field(name, each.type, metadata=said or None))
        super().__init__(path, "FITS", pa.schema(fields, metadata or None), rows)
        if not path.name.lower().endswith(".gz") and path.stat().st_size < self._at + rows * self._row_bytes:
            raise unreadable(path, "it ends before its last row")

    def pieces(self, start: int, size: int) -> Iterator[pa.Table]:
        """Yield the rows from ``start`` on, ``size`` at a time."""
        with _opened(self.path) as file:
            file.seek(self._at + start * self._row_bytes)
            for first in range(start, self.rows, size):
                count = min(size, self.rows - first)
                data = file.read(count * self._row_bytes)
                if len(data) < count * self._row_bytes:
                    raise unreadable(self.path, "it ends before its last row")
                rows = np.frombuffer(data, np.uint8).reshape(count, self._row_bytes)
                columns = [each.decode(rows) for each in self._decoders]
                yield pa.Table.from_arrays(columns, schema=self.schema)


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb"))


def _first_table(path: Path) -> tuple[int, Any]:
    """Return where the rows of the first table begin, and its header."""
    # astropy warns of much that is of no harm, and of files that are cut off, which is checked here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(path, memmap=False, lazy_load_hdus=True) as file:
                for part in file:
                    if isinstance(part, fits.BinTableHDU | fits.TableHDU):
                        return part.fileinfo()["datLoc"], part.header
        except (OSError, EOFError, gzip.BadGzipFile, ValueError, fits.VerifyError) as error:
            raise unreadable(
                path, error if isinstance(error, OSError) and error.errno else "it is no FITS file"
            ) from error
    raise unreadable(path, "there is no table in it")


NUMBERS = {
    pa.uint8(): ("B", "u1", 0),
    pa.int16(): ("I", ">i2", 0),
    pa.int32(): ("J", ">i4", 0),
    pa.int64(): ("K", ">i8", 0),
    pa.int8(): ("B", "u1", -(1 << 7)),
    pa.uint16(): ("I", ">i2", 1 << 15),
    pa.uint32(): ("J", ">i4", 1 << 31),
    pa.uint64(): ("K", ">i8", 1 << 63),
    pa.float32(): ("E", ">f4", 0),
    pa.float64(): ("D", ">f8", 0),
}
"""Type -> its letter in TFORM, how NumPy calls what is stored, and TZERO, which is added to it."""


@dataclass
class Extent:
    """What has to be known of all rows of a column before the first is written.

    Attributes
    ----------
    width
        Of text: the bytes that the longest value takes.
    nulls
        Whether values are missing.
    low, high
        Of integers: the smallest and the largest one.
    """

    width: int = 1
    nulls: bool = False
    low: int | None = None
    high: int | None = None

    def see(self, column: pa.ChunkedArray) -> None:
        """Take in some rows."""
        if pa.types.is_string(column.type):
            self.width = max(self.width, pc.max(pc.binary_length(column)).as_py() or 0)
        if pa.types.is_fixed_size_list(column.type):
            self.nulls |= column.null_count > 0
            column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
        self.nulls |= column.null_count > 0
        if pa.types.is_integer(column.type) and column.null_count < len(column):
            found = pc.min_max(column).as_py()
            self.low = found["min"] if self.low is None else min(self.low, found["min"])
            self.high = found["max"] if self.high is None else max(self.high, found["max"])

    def null_and_type(self, name: str, kind: pa.DataType) -> tuple[int | None, pa.DataType]:
        """Return a number that stands for none, and a type that has room for it beside all others."""
        if not self.nulls or not pa.types.is_integer(kind):
            return None, kind
        # Readers differ in whether TNULL is meant before or after TZERO is added: nullable integers have none.
        for wide in (pa.int16(), pa.int32(), pa.int64()):
            bits = wide.bit_width
            lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
            low, high = (0, 0) if self.low is None or self.high is None else (self.low, self.high)
            if bits >= kind.bit_width and low >= lowest and high <= highest and (low > lowest or high < highest):
                return (lowest if low > lowest else highest), wide
        msg = f"FITS has no number left that stands for a missing one in column {name!r} of type {kind}"
        raise UnwritableError(msg)


class FitsSink:
    """A FITS file that is being written.

    The header says how wide texts are and which number stands for none, so all rows are put aside first.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._file = path.open("wb")
        # A file without a name: nothing of it stays, whatever happens.
        self._aside = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        self._rows = pa.ipc.new_stream(self._aside, schema)
        self._extents = [Extent() for _ in schema]
        self._count = 0

    def write(self, table: pa.Table) -> None:
        """Put rows aside."""
        held = plain(table, self._schema)
        for extent, column in zip(self._extents, held.columns, strict=True):
            extent.see(column)
        self._rows.write_table(held)
        self._count += held.num_rows

    def close(self) -> dict[str, str]:
        """Write the header, and then the rows."""
        self._rows.close()
        encoders = [
            _Encoder(field, extent, place)
            for place, (field, extent) in enumerate(zip(self._schema, self._extents, strict=True), 1)
        ]
        record = np.dtype([(f"f{place}", each.stored) for place, each in enumerate(encoders)])
        with self._file, self._aside:
            self._file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
            self._file.write(self._header(encoders, record.itemsize).tostring().encode("ascii"))
            self._aside.seek(0)
            for batch in pa.ipc.open_stream(self._aside):
                rows = np.zeros(batch.num_rows, record)
                for place, (each, column) in enumerate(zip(encoders, batch.columns, strict=True)):
                    rows[f"f{place}"] = each.encode(column)
                self._file.write(rows.tobytes())
            self._file.write(bytes(-self._count * record.itemsize % BLOCK_BYTES))
        return {}

    def _header(self, encoders: list["_Encoder"], row_bytes: int) -> Any:  # noqa: ANN401
        header = fits.Header()
        header["XTENSION"] = ("BINTABLE", "binary table extension")
        for keyword, value in {"BITPIX": 8, "NAXIS": 2, "NAXIS1": row_bytes, "NAXIS2": self._count}.items():
            header[keyword] = value
        for keyword, value in {"PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(encoders)}.items():
            header[keyword] = value
        cards = Cards(header)
        for place, (field, each) in enumerate(zip(self._schema, encoders, strict=True), 1):
            cards.name(place, field.name)
            header.update(each.cards)
            said = text_of(field.metadata)
            for key, card in FIELD_CARDS.items():
                if said.get(key):
                    cards.text(f"{card}{place}", said[key])
        cards.table(text_of(self._schema.metadata))
        return header

    def abandon(self) -> None:
        """Let go of both files."""
        self._file.close()
        self._aside.close()


class _Encoder:
    """Writes a column: ``stored`` is what NumPy makes of it, ``cards`` what the header says."""

    def __init__(self, field: pa.Field, extent: Extent, place: int) -> None:
        kind, self._shape = field.type, cast("tuple[int, ...]", ())
        if pa.types.is_fixed_size_list(kind):
            kind, self._shape = kind.value_type, (kind.list_size,)
        self.cards: dict[str, str | int] = {}
        self._zero = 0
        self._null: int | None = None
        if pa.types.is_string(kind):
            form, stored = f"{extent.width}A", f"S{extent.width}"
        elif pa.types.is_boolean(kind):
            form, stored = "L", "u1"
        else:
            self._null, kind = extent.null_and_type(field.name, kind)
            letter, stored, self._zero = NUMBERS[kind]
            form = "".join(map(str, self._shape)) + letter
            if self._zero:
                self.cards[f"TZERO{place}"] = self._zero
            if self._null is not None:
                self.cards[f"TNULL{place}"] = self._null
        if self._shape == (1,):
            # Without it this would be a column of numbers.
            self.cards[f"TDIM{place}"] = "(1)"
        self.cards = {f"TFORM{place}": form, **self.cards}
        self.stored = np.dtype((stored, self._shape))
        self._kind = kind

    def encode(self, column: pa.Array) -> NDArray[Any]:
        """Return what is stored for some rows."""
        if pa.types.is_string(column.type):
            return np.array(pc.fill_null(column, "").cast(pa.binary()).to_pylist(), self.stored)
        if pa.types.is_boolean(column.type):
            shown = pc.if_else(column, ord("T"), ord("F"))
            return np.asarray(pc.fill_null(shown, 0).to_numpy(zero_copy_only=False), np.uint8)
        if pa.types.is_fixed_size_list(column.type):
            return self._numbers(_flat(column)).reshape(-1, *self._shape)
        return self._numbers(column)

    def _numbers(self, column: pa.Array) -> NDArray[Any]:
        none = float("nan") if pa.types.is_floating(self._kind) else self._null or 0
        numbers = pc.fill_null(column.cast(self._kind), none).to_numpy(zero_copy_only=False)
        if not self._zero:
            return np.asarray(numbers)
        # Adding modulo the type's size is taking TZERO away.
        bits = numbers.dtype.itemsize * 8
        turned = numbers.view(f"u{bits // 8}") ^ np.array(1 << (bits - 1), f"u{bits // 8}")
        return np.asarray(turned.view("u1" if bits == 8 else f"i{bits // 8}"))


def _flat(column: pa.Array) -> pa.Array:
    """Return the values of lists one after the other, with nulls for those of a list that is none."""
    length = column.type.list_size
    values = column.values.slice(column.offset * length, len(column) * length)
    if not column.null_count:
        return values
    absent = pa.array(np.repeat(np.asarray(column.is_null()), length))
    return pc.if_else(absent, None, values)


def open_table(path: Path) -> Catalogue:
    """Open the first table of a FITS file."""
    try:
        return FitsCatalogue(path)
    except fits.VerifyError as error:
        raise unreadable(path, f"its head is damaged ({error})") from error


def kept(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are written."""
    if len(schema) > MOST_COLUMNS:
        msg = f"FITS has tables of {MOST_COLUMNS} columns, and this one would have {len(schema)}; leave some out"
        raise UnwritableError(msg)
    return plain_schema(schema, kind="FITS", lists="fixed")


def create(path: Path, schema: pa.Schema, rows: int, name: str) -> FitsSink:  # noqa: ARG001
    """Begin a FITS file."""
    return FitsSink(path, schema)
