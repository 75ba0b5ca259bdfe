"""FITS tables that others wrote, and what others make of ours."""

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table

from galaxytree.catalogue import UnreadableError, UnwritableError, open_catalogue, writing


def saved(path: Path, *columns: fits.Column, kind: Any = fits.BinTableHDU) -> Path:  # noqa: ANN401
    table = kind.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 3))), fits.ImageHDU(np.zeros(2)), table]).writeto(path)
    return path


def read(path: Path) -> pa.Table:
    return pa.concat_tables(open_catalogue(path).batches(2))


def write(path: Path, table: pa.Table) -> Path:
    with writing(path, table.schema, rows=table.num_rows, metadata={}) as writer:
        for row in range(table.num_rows):
            writer.write(table.slice(row, 1))
    return path


def test_every_kind_of_column_that_astropy_writes_is_read(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "x.fits",
        fits.Column("bit", "3X", array=np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], bool)),
        fits.Column("u8", "B", array=np.array([0, 255, 7], np.uint8), null=7),
        fits.Column("i8", "B", bzero=-128, array=np.array([-128, 127, 0], np.int8)),
        fits.Column("i16", "I", array=np.array([-5, 6, 7], np.int16), null=-5),
        fits.Column("u16", "I", bzero=2**15, array=np.array([0, 2**16 - 1, 7], np.uint16)),
        fits.Column("u32", "J", bzero=2**31, array=np.array([0, 2**32 - 1, 7], np.uint32)),
        fits.Column("u64", "K", bzero=2**63, array=np.array([0, 2**64 - 1, 7], np.uint64)),
        fits.Column("i64", "K", array=np.array([2**53 + 1, -(2**63), 7])),
        fits.Column("f32", "E", array=np.array([0.1, np.nan, np.inf], np.float32), unit="mag"),
        fits.Column("list", "2J", array=np.array([[1, 2], [3, 4], [5, 6]])),
        fits.Column("one", "1D", array=np.array([1.0, 2.0, 3.0])),
        fits.Column("square", "4E", dim="(2,2)", array=np.arange(12, dtype=np.float32).reshape(3, 2, 2)),
        fits.Column("text", "5A", array=np.array([b"Gr\xc3\xb6", b"  x", b""])),
        fits.Column("latin", "5A", array=np.array([b"Gr\xf6", b"", b"a"])),
        fits.Column("yes", "L", array=np.array([True, False, True])),
    )
    assert read(path).to_pydict() == {
        "bit": [[True, False, True], [False] * 3, [True] * 3],
        "u8": [0, 255, None],
        "i8": [-128, 127, 0],
        "i16": [None, 6, 7],
        "u16": [0, 2**16 - 1, 7],
        "u32": [0, 2**32 - 1, 7],
        "u64": [0, 2**64 - 1, 7],
        "i64": [2**53 + 1, -(2**63), 7],
        "f32": [pytest.approx(0.1), None, np.inf],
        "list": [[1, 2], [3, 4], [5, 6]],
        "one": [1, 2, 3],
        "square": [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]],
        "text": ["Grö", "  x", None],
        "latin": ["Grö", None, "a"],
        "yes": [True, False, True],
    }
    assert open_catalogue(path).schema.field("f32").metadata == {b"unit": b"mag"}


def test_text_may_have_no_width(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", pa.table({"a": [1], "s": ["x"]}))
    fits.setval(path, "TFORM2", value="0A", ext=1)
    assert read(path).to_pydict() == {"a": [1], "s": [None]}


@pytest.mark.parametrize(("scale", "zero"), [(0.5, 10.0), (1, 10.0), (0.5, 0.0), (2, 0)])
def test_scaled_columns_are_read(tmp_path: Path, scale: float, zero: float) -> None:
    path = write(tmp_path / "x.fits", pa.table({"a": pa.array([1, None, -1], pa.int16()), "b": [1.5, 2, 3]}))
    for place in (1, 2):
        fits.setval(path, f"TSCAL{place}", value=scale, ext=1)
        fits.setval(path, f"TZERO{place}", value=zero, ext=1)
    assert read(path).to_pydict() == {
        "a": [scale + zero, None, zero - scale],
        "b": [1.5 * scale + zero, 2 * scale + zero, 3 * scale + zero],
    }


def test_ascii_tables_are_read(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "x.fits",
        fits.Column("name", "A6", array=np.array(["NGC 1", "", "b"])),
        fits.Column("i", "I10", array=np.array([1, -2, 3]), null="---"),
        fits.Column("d", "D25.17", array=np.array([0.1, 1e-300, 3])),
        fits.Column("f", "F8.3", array=np.array([0.5, -12.25, 3])),
        kind=fits.TableHDU,
    )
    path.write_bytes(path.read_bytes().replace(b"        -2", b"       ---").replace(b"         3", b"        +3"))
    assert read(path).to_pydict() == {
        "name": ["NGC 1", None, "b"],
        "i": [1, None, 3],
        "d": [0.1, 1e-300, 3],
        "f": [0.5, -12.25, 3],
    }


def test_compressed_files_are_read_and_not_written(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", pa.table({"a": np.arange(5000)}))
    (tmp_path / "x.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    catalogue = open_catalogue(tmp_path / "x.fits.gz")
    assert [row for batch in catalogue.batches(999, start=2500) for row in batch["a"].to_pylist()] == [
        *range(2500, 5000)
    ]
    with pytest.raises(UnwritableError, match="compressed"):
        write(tmp_path / "y.fits.gz", pa.table({"a": [1]}))
    (tmp_path / "x.fits.gz").write_bytes(gzip.compress(path.read_bytes()[:-2880]))
    with pytest.raises(UnreadableError, match="last row"):
        list(open_catalogue(tmp_path / "x.fits.gz").batches())


@pytest.mark.parametrize(
    ("form", "what"), [("PD()", "varying"), ("QE()", "varying"), ("C", "complex"), ("2L", "TFORM 2L")]
)
def test_a_column_that_is_not_read_is_named(tmp_path: Path, form: str, what: str) -> None:
    array = np.array([np.zeros(1), np.zeros(2)], object) if "(" in form else np.zeros((2, 2) if "2" in form else 2)
    path = saved(tmp_path / "x.fits", fits.Column("fine", "J", array=[1, 2]), fits.Column("bad", form, array=array))
    with pytest.raises(UnreadableError, match=f"column 'bad' has .*{what}"):
        open_catalogue(path)


def test_a_scaled_column_of_an_ascii_table_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.fits", fits.Column("bad", "I5", array=np.array([1, 2])), kind=fits.TableHDU)
    with fits.open(path, mode="update") as file:
        file[2].header["TSCAL1"] = 2
    with pytest.raises(UnreadableError, match="column 'bad'"):
        open_catalogue(path)


def test_a_file_without_a_table_is_refused(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "x.fits")
    with pytest.raises(UnreadableError, match="no table"):
        open_catalogue(tmp_path / "x.fits")


INTEGERS = [
    (pa.uint8(), [0, None, 255], pa.int16()),
    (pa.int8(), [-128, None, 127], pa.int16()),
    (pa.int16(), [-(2**15), None, 0], pa.int16()),
    (pa.int16(), [-(2**15), None, 2**15 - 1], pa.int32()),
    (pa.uint16(), [0, None, 2**16 - 1], pa.int32()),
    (pa.uint32(), [0, None, 2**32 - 1], pa.int64()),
    (pa.int64(), [-(2**63), None, 2**63 - 2], pa.int64()),
    (pa.uint64(), [0, None, 5], pa.int64()),
    (pa.int64(), [None] * 3, pa.int64()),
    (pa.uint64(), [0, 1, 2**64 - 1], pa.uint64()),
]


@pytest.mark.parametrize(("kind", "values", "became"), INTEGERS)
def test_a_missing_integer_is_a_number_that_no_other_row_has(
    tmp_path: Path, kind: pa.DataType, values: list[int | None], became: pa.DataType
) -> None:
    path = write(tmp_path / "x.fits", pa.table({"a": pa.array(values, kind)}))
    assert read(path)["a"].to_pylist() == values
    assert read(path)["a"].type == became
    theirs = Table.read(path)["a"]
    mask = getattr(theirs, "mask", np.zeros(3, bool))
    assert [None if hidden else int(value) for value, hidden in zip(theirs, mask, strict=True)] == values


def test_where_no_number_is_left_for_missing_ones_the_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match="'a'"):
        write(tmp_path / "x.fits", pa.table({"a": pa.array([-(2**63), None, 2**63 - 1])}))
    assert not list(tmp_path.iterdir())


def test_lists_of_one_length_stay_lists(tmp_path: Path) -> None:
    pairs = pa.array([[0, 1], [2, 3], None, [4, 5]], pa.list_(pa.float32(), 2))
    table = pa.table({"pair": pairs, "single": pa.array([[1], [2], [3], [4]], pa.list_(pa.uint16(), 1))})
    path = write(tmp_path / "x.fits", table)
    assert read(path).to_pydict() == {
        "pair": [[0, 1], [2, 3], [None, None], [4, 5]],
        "single": [[1], [2], [3], [4]],
    }
    assert Table.read(path)["pair"].shape == (4, 2)


def test_names_that_are_not_for_fits_come_back_and_astropy_sees_others(tmp_path: Path) -> None:
    long = "n" * 100
    names = ["größe", "gräße", long, long + "2", "gr__e", "", " lead", "trail ", "a\\nb", "A", "a"]
    names.remove("")
    schema = pa.schema(
        [pa.field(name, pa.int64(), metadata={"unit": " µ\\m ", "description": name or "x"}) for name in names]
    )
    path = write(
        tmp_path / "x.fits", pa.Table.from_arrays([pa.array([place]) for place, _ in enumerate(names)], schema=schema)
    )
    catalogue = open_catalogue(path)
    assert catalogue.schema.names == names
    assert [field.metadata for field in catalogue.schema] == [field.metadata for field in schema]
    assert list(read(path).to_pydict().values()) == [[place] for place, _ in enumerate(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Table.read(path)
    assert [theirs[name][0] for name in theirs.colnames] == [place for place, _ in enumerate(names)]


def test_what_a_table_says_of_itself_comes_back(tmp_path: Path) -> None:
    said = {
        "EXTNAME": "GALAXIES", "N": "3", "F": "1.50", "G": "2.5", "T": "True", "COMMENT": "one\ntwo", "HISTORY": "made",
        "a long = name": "größe", "NAXIS1": "5", "LONG": "x" * 300, "trail": "x ", "back": "\\n\\", "INF": "inf",
        "": "nameless", "BAD": "\\",
    }  # fmt: skip
    schema = pa.schema([pa.field("a", pa.int64())], said)
    path = write(tmp_path / "x.fits", pa.table([[1]], schema=schema))
    assert {key.decode(): value.decode() for key, value in open_catalogue(path).schema.metadata.items()} == said
    again = write(tmp_path / "y.fits", pa.concat_tables(open_catalogue(path).batches()))
    assert open_catalogue(again).schema.metadata == open_catalogue(path).schema.metadata


def test_escapes_that_are_none_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", pa.table({"ü": [1]}))
    fits.setval(path, "GTTEXT1", value="TTYPE1=\\x", ext=1)
    assert open_catalogue(path).schema.names == ["\\x"]


def test_files_are_what_the_standard_says(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", pa.table({"a": np.arange(1000), "s": ["ü"] * 1000}))
    assert path.stat().st_size % 2880 == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path) as file:
            file.verify("exception")
            assert file[1].header["NAXIS2"] == 1000


def test_more_columns_than_fits_can_number_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.fits", pa.table({f"c{number}": [number] for number in range(999)}))
    assert read(tmp_path / "x.fits")["c998"].to_pylist() == [998]
    with pytest.raises(UnwritableError, match="FITS has tables of 999 columns, and this one would have 1000"):
        write(tmp_path / "y.fits", pa.table({f"c{number}": [number] for number in range(1000)}))


@pytest.mark.parametrize(
    "damage", [(b"TFORM1  =", b"TFORK1  ="), (b"TFIELDS =", b"TFIELDZ ="), (b"= 'deg     '", b"= deg''    '")]
)
def test_a_damaged_header_is_said_in_a_sentence(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    path = saved(tmp_path / "x.fits", fits.Column("a", "1J", unit="deg", array=np.arange(3)))
    was = path.read_bytes()
    path.write_bytes(was.replace(*damage))
    assert path.read_bytes() != was
    with pytest.raises(UnreadableError, match="its head is damaged") as caught:
        open_catalogue(path)
    assert "\n" not in str(caught.value)
