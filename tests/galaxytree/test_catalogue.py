"""Tables in and out: what every format does, and what gets through from each to each."""

import hashlib
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galaxytree.catalogue import (
    Catalogue,
    UnknownFormatError,
    UnreadableError,
    UnwritableError,
    open_catalogue,
    writing,
)

ENDINGS = (".csv", ".parquet", ".fits", ".vot")
ALL_ENDINGS = (*ENDINGS, ".tsv", ".csv.gz", ".tsv.gz", ".pq", ".fit", ".votable", ".xml", ".CSV", ".Fits")

LONG_NAME = "flux of the brightest star-forming region within the aperture, in the band r, corrected for extinction"
COLUMNS: list[tuple[str, pa.DataType, dict[str, str], list[Any]]] = [
    ("objID", pa.int64(), {"ucd": "meta.id"}, [2**53 + 1, 2**63 - 1, -(2**63) + 1, None, 0]),
    ("ra", pa.float64(), {"unit": "deg", "description": "Right ascension, J2000"}, [184.1, 0.0, 1e-300, None, 359.9]),
    ("petroR90_r", pa.float32(), {"unit": "arcsec"}, [0.1, 3e38, None, 7.0, -0.0]),
    ("mag, r", pa.float64(), {"unit": "mag(AB)", "ucd": "phot.mag;em.opt.R"}, [17.25, None, 1e22, 1.0, 2.0]),
    ("Größe µ-\u661f", pa.float64(), {"unit": "µm", "description": 'Länge, "gemessen" <grob> & so'}, [1.5] * 5),
    (LONG_NAME, pa.int32(), {"unit": "10**(-7) erg s**(-1) cm**(-2) " * 3 + "Hz**(-1)"}, [1, -(2**31), None, 4, 5]),
    ("name", pa.string(), {}, ["NGC 1, the first", 'a "quoted" one', "\u661f系 Größe", None, "two\nlines <&> ]]>"]),
    ("digits", pa.string(), {}, ["007", "+5", "1", None, "99999999999999999999"]),
    ("words", pa.string(), {}, ["true", "NaN", "null", "-", None]),
    ("is spiral", pa.bool_(), {}, [True, False, None, True, False]),
    ("n", pa.int16(), {}, [1, -32767, None, 3, 32767]),
    ("flags", pa.uint8(), {}, [0, 255, 1, 2, 3]),
    ("none at all", pa.float64(), {}, [None] * 5),
    ("back\\slash = x", pa.string(), {"description": "a\\nb"}, ["\\", "\\N", "a=b", "'", "`"]),
]
METADATA = {"title": "Ten galaxies, \u661f", "TELESCOP": "SDSS 2.5m", "EXPTIME": "53.9", "command": "galaxytree " * 20}
SCHEMA = pa.schema([pa.field(name, kind, metadata=said or None) for name, kind, said, _ in COLUMNS], METADATA)
TABLE = pa.Table.from_arrays([pa.array(values, kind) for _, kind, _, values in COLUMNS], schema=SCHEMA)


def write(path: Path, table: pa.Table, **metadata: str) -> Path:
    with writing(path, table.schema, rows=table.num_rows, metadata=metadata) as writer:
        for first in range(0, table.num_rows, 2):
            writer.write(table.slice(first, 2))
    return path


def whole(catalogue: Catalogue, size: int = 3) -> pa.Table:
    return pa.concat_tables(catalogue.batches(size)) if catalogue.rows else catalogue.schema.empty_table()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the same table in each format."""
    folder = tmp_path_factory.mktemp("tables")
    return {ending: write(folder / f"galaxies{ending}", TABLE) for ending in ENDINGS}


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_a_table_gets_through_any_two_formats_unchanged(
    files: dict[str, Path], tmp_path: Path, first: str, second: str
) -> None:
    one = open_catalogue(files[first])
    with writing(tmp_path / f"copy{second}", one.schema, rows=one.rows, metadata={}) as writer:
        for batch in one.batches(2):
            writer.write(batch)
    other = open_catalogue(tmp_path / f"copy{second}")
    assert other.rows == 5
    assert other.schema.names == TABLE.schema.names
    assert [field.type for field in other.schema] == [field.type for field in SCHEMA]
    assert [field.metadata for field in other.schema] == [field.metadata for field in SCHEMA]
    assert other.schema.metadata == SCHEMA.metadata
    assert whole(other).to_pydict() == TABLE.to_pydict()


@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_a_name_says_the_format(tmp_path: Path, ending: str) -> None:
    catalogue = open_catalogue(write(tmp_path / f"x{ending}", TABLE.select(["objID", "name"])))
    assert whole(catalogue).to_pydict() == TABLE.select(["objID", "name"]).to_pydict()
    assert catalogue.format in {"CSV", "Parquet", "FITS", "VOTable"}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("start", [0, 1, 4999, 5000, 9999, 10_000, 10_001])
def test_rows_come_in_order_from_any_one_on(many: dict[str, Path], ending: str, start: int) -> None:
    catalogue = open_catalogue(many[ending])
    assert catalogue.rows == 10_000
    batches = list(catalogue.batches(700, start=start))
    assert [batch.num_rows for batch in batches[:-1]] == [700] * (len(batches) - 1)
    assert [row for batch in batches for row in batch["i"].to_pylist()] == list(range(start, 10_000))
    assert all(batch.schema.equals(catalogue.schema) for batch in batches)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a table of many rows in each format."""
    folder = tmp_path_factory.mktemp("many")
    rows = np.arange(10_000)
    table = pa.table({"i": rows, "name": [f"galaxy {row}, of a kind " + "x" * 200 for row in rows]})
    return {ending: write_at_once(folder / f"many{ending}", table) for ending in ENDINGS}


def write_at_once(path: Path, table: pa.Table) -> Path:
    with writing(path, table.schema, rows=table.num_rows, metadata={}) as writer:
        writer.write(table)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_may_have_no_rows(tmp_path: Path, ending: str) -> None:
    catalogue = open_catalogue(write(tmp_path / f"x{ending}", TABLE.slice(0, 0)))
    assert catalogue.rows == 0
    assert catalogue.schema.names == SCHEMA.names
    assert not list(catalogue.batches())


@pytest.fixture
def quiet() -> Iterator[None]:
    """Let astropy warn, of units that it doesn't know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("ending", [".csv", ".fits", ".vot"])
def test_astropy_reads_it(files: dict[str, Path], ending: str) -> None:
    options = {"use_names_over_ids": True} if ending == ".vot" else {}
    table = Table.read(files[ending], **options)
    assert len(table) == 5
    assert list(table["objID"].filled(-1)) == [2**53 + 1, 2**63 - 1, -(2**63) + 1, -1, 0]
    assert list(table["ra"].filled(-1)) == [184.1, 0.0, 1e-300, -1, 359.9]
    names = table["name"].filled("") if ending != ".vot" else table["name"]
    assert [str(name) for name in names][:3] == ["NGC 1, the first", 'a "quoted" one', "\u661f系 Größe"]
    if ending != ".csv":
        assert table["ra"].unit == "deg"
        assert table["petroR90_r"].unit == "arcsec"
        assert table["petroR90_r"].dtype.itemsize == 4
        assert list(table["is spiral"])[:2] == [True, False]


@pytest.mark.usefixtures("quiet")
def test_what_a_fits_table_says_of_itself_is_seen_by_astropy(files: dict[str, Path]) -> None:
    said = Table.read(files[".fits"]).meta
    assert said["TELESCOP"] == "SDSS 2.5m"
    assert said["EXPTIME"] == 53.9
    assert ("command=" + "galaxytree " * 20).strip() in {
        str(value).replace("\\x20", "").strip() for value in said.values()
    }


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_pandas_reads_it(files: dict[str, Path], ending: str) -> None:
    if ending == ".csv":
        frame = pd.read_csv(files[ending], dtype={"objID": "Int64", "digits": str})
    else:
        frame = pd.read_parquet(files[ending], dtype_backend="numpy_nullable")
    assert list(frame.columns) == SCHEMA.names
    assert frame["objID"].fillna(-1).tolist() == [2**53 + 1, 2**63 - 1, -(2**63) + 1, -1, 0]
    assert frame["name"].fillna("").tolist() == [value or "" for value in TABLE["name"].to_pylist()]
    assert frame["mag, r"].fillna(-1).tolist() == [17.25, -1, 1e22, 1.0, 2.0]


VALUES = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
        st.none() | st.floats(),
        st.none() | st.floats(width=32),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
        st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def as_held(ending: str, value: Any) -> Any:  # noqa: ANN401
    """Return what is left of a value, as docs/catalogues.md says."""
    if isinstance(value, float) and value != value:  # noqa: PLR0124
        return None if ending == ".fits" else "nan"
    if isinstance(value, str) and ending == ".fits":
        return value.partition("\0")[0].rstrip(" ") or None
    if isinstance(value, str) and ending == ".vot":
        bad = {*map(chr, range(32)), "\ufffe", "\uffff"} - {"\t", "\n", "\r"}
        return "".join("\ufffd" if letter in bad else letter for letter in value) or None
    return value


@pytest.mark.parametrize("ending", ENDINGS)
@given(rows=VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_values_get_through(tmp_path: Path, ending: str, rows: list[tuple[Any, ...]]) -> None:
    kinds = [pa.int64(), pa.float64(), pa.float32(), pa.string(), pa.bool_()]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    path = write(tmp_path / f"x{ending}", pa.table(columns, ["i", "d", "f", "s", "b"]))
    found = whole(open_catalogue(path))
    assert [field.type for field in found.schema] == kinds
    for wanted, got in zip(columns, found.columns, strict=True):
        assert [as_held(ending, value) for value in wanted.to_pylist()] == [
            as_held("", value) for value in got.to_pylist()
        ]


@pytest.mark.parametrize("name", ["x.txt", "x", "x.gz", "csv", "x.parquet.gz"])
def test_other_names_are_of_no_known_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"\.csv, .*\.parquet, .*\.fits, .*\.vot") as caught:
        open_catalogue(tmp_path / name)
    assert caught.value.code == "unknown_format"
    with pytest.raises(UnknownFormatError), writing(tmp_path / name, SCHEMA, rows=0, metadata={}):
        pass


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [None, b"", b"\x00\x01\xff\xfe\n\x80" * 100, b"<html>Not found</html>"])
def test_what_is_no_table_is_refused(tmp_path: Path, ending: str, content: bytes | None) -> None:
    path = tmp_path / f"x{ending}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableError, match=r"x\.") as caught:
        open_catalogue(path)
    assert caught.value.code == "unreadable_catalogue"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".parquet", ".fits", ".vot"])  # CSV has no end that could be missing
def test_a_table_that_is_cut_off_is_refused(many: dict[str, Path], tmp_path: Path, ending: str) -> None:
    data = many[ending].read_bytes()
    path = tmp_path / f"x{ending}"
    path.write_bytes(data[: len(data) // 2 + 100])
    with pytest.raises(UnreadableError):
        open_catalogue(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_that_changed_since_it_was_opened_is_noticed(tmp_path: Path, ending: str) -> None:
    table = pa.table({"i": np.arange(5000), "s": ["x" * 50] * 5000})
    catalogue = open_catalogue(write_at_once(tmp_path / f"x{ending}", table))
    write_at_once(tmp_path / f"x{ending}", table.slice(0, 10))
    with pytest.raises(UnreadableError):
        list(catalogue.batches())
    catalogue.path.unlink()
    with pytest.raises(UnreadableError, match="No such file"):
        list(catalogue.batches())
    with pytest.raises(UnreadableError, match="No such file"):
        catalogue.sha256()


def test_the_sum_is_that_of_the_bytes(files: dict[str, Path]) -> None:
    for path in files.values():
        assert open_catalogue(path).sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class BoomError(Exception):
    """Something that goes wrong while a table is written."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_appears_whole_or_not_at_all(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"what was there")

    def broken() -> None:
        with writing(path, SCHEMA, rows=5, metadata={}) as writer:
            writer.write(TABLE.slice(0, 2))
            raise BoomError

    with pytest.raises(BoomError):
        broken()
    assert listed(tmp_path) == [path.name]
    assert path.read_bytes() == b"what was there"
    write(path, TABLE)
    assert open_catalogue(path).rows == 5
    beside = [f"{path.name}-metadata.json"] if ending == ".csv" else []
    assert listed(tmp_path) == [path.name, *beside]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("rows", [4, 6])
def test_rows_that_are_missing_or_too_many_are_noticed(tmp_path: Path, ending: str, rows: int) -> None:
    with (
        pytest.raises(UnwritableError, match=f"the {rows} rows"),
        writing(tmp_path / f"x{ending}", SCHEMA, rows=rows, metadata={}) as writer,
    ):
        writer.write(TABLE)
    assert not listed(tmp_path)


def test_rows_have_the_columns_that_were_announced(tmp_path: Path) -> None:
    with writing(tmp_path / "x.csv", pa.schema({"a": pa.int64()}), rows=2, metadata={}) as writer:
        with pytest.raises(UnwritableError, match="columns"):
            writer.write(pa.table({"b": [1]}))
        with pytest.raises(UnwritableError, match=r"x\.csv"):
            writer.write(pa.table({"a": ["no number"]}))
        writer.write(pa.table({"a": pa.array([1], pa.int8())}))
        writer.write(pa.table({"a": pa.array([2], pa.int64())}))


@pytest.mark.parametrize("ending", ENDINGS)
def test_where_nothing_can_be_written_that_is_said_before_any_work(tmp_path: Path, ending: str) -> None:
    with (
        pytest.raises(UnwritableError, match="No such file"),
        writing(tmp_path / "none" / f"x{ending}", SCHEMA, rows=5, metadata={}),
    ):
        pytest.fail("it began")
    (tmp_path / f"folder{ending}").mkdir()
    with (
        pytest.raises(UnwritableError, match="folder"),
        writing(tmp_path / f"folder{ending}", SCHEMA, rows=5, metadata={}),
    ):
        pytest.fail("it began")
    twice = pa.schema([pa.field("a", pa.int64()), pa.field("a", pa.int64())])
    with (
        pytest.raises(UnwritableError, match="same name"),
        writing(tmp_path / f"x{ending}", twice, rows=0, metadata={}),
    ):
        pytest.fail("it began")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is written beside the table goes to the device that is always full.
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    unfinished = tmp_path / f".x{ending}.{os.getpid()}.unfinished"
    unfinished.symlink_to("/dev/full")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnwritableError, match=rf"can't write x{ending}: .*[Nn]o space left") as caught:
        write_at_once(Path(f"x{ending}"), pa.table({"s": [f"{row} " * 50 for row in range(20_000)]}))
    assert caught.value.code == "unwritable_table"
    assert not listed(tmp_path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_that_cannot_get_its_name_leaves_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    writing_it = writing(path, SCHEMA, rows=5, metadata={})
    writing_it.__enter__().write(TABLE)
    path.mkdir()
    with pytest.raises(UnwritableError, match="directory"):
        writing_it.__exit__(None, None, None)
    assert set(listed(tmp_path)) <= {path.name, f"{path.name}-metadata.json"}
    assert not list(path.iterdir())


TIMES = pa.array([0, 86_400_000_001, None], pa.timestamp("us"))
STRANGE = {
    "time": TIMES,
    "time in UTC": TIMES.cast(pa.timestamp("us", "UTC")),
    "day": pa.array([0, None, 20_000], pa.date32()),
    "decimal": pa.array([1, None, 3]).cast(pa.decimal128(19, 0)),
    "category": pa.array(["a", None, "b"]).dictionary_encode(),
    "half": pa.array(np.array([1, 2, 3], np.float16)),
    "large text": pa.array(["a", None, "ü"], pa.large_string()),
    "nothing": pa.nulls(3),
    "lists": pa.array([[1, 2], None, [3]], pa.list_(pa.int64())),
    "texts": pa.array([["a"], None, ["b, c", None]]),
    "structure": pa.array([{"a": 1, "b": "ü"}, None, {"a": None, "b": "x"}]),
    "seconds": pa.array([1, None, 3], pa.duration("s")),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_types_that_a_format_lacks_become_text_or_numbers(tmp_path: Path, ending: str) -> None:
    found = whole(open_catalogue(write(tmp_path / f"x{ending}", pa.table(STRANGE)))).to_pydict()
    if ending == ".parquet":
        assert found == pa.table(STRANGE).to_pydict()
        return
    assert found["time"] == ["1970-01-01T00:00:00.000000", "1970-01-02T00:00:00.000001", None]
    assert found["time in UTC"] == ["1970-01-01T00:00:00.000000Z", "1970-01-02T00:00:00.000001Z", None]
    assert found["day"] == ["1970-01-01", None, "2024-10-04"]
    assert found["decimal"] == [1, None, 3]
    assert found["category"] == ["a", None, "b"]
    assert found["half"] == [1, 2, 3]
    assert found["large text"] == ["a", None, "ü"]
    assert found["nothing"] == [None] * 3
    assert found["lists"] == ([[1, 2], None, [3]] if ending == ".vot" else ["[1, 2]", None, "[3]"])
    assert found["texts"] == ['["a"]', None, '["b, c", null]']
    assert found["structure"] == ['{"a": 1, "b": "ü"}', None, '{"a": null, "b": "x"}']
    assert found["seconds"] == [1, None, 3]


@pytest.mark.parametrize("ending", [".csv", ".fits", ".vot"])
@pytest.mark.parametrize(
    "column", [pa.array([b"\xff"]), pa.array([[b"x"]]), pa.array([[("a", 1)]], pa.map_("string", "int64"))]
)
def test_a_column_that_a_format_has_nothing_for_is_named_before_any_work(
    tmp_path: Path, ending: str, column: pa.Array
) -> None:
    table = pa.table({"fine": [1], "not fine": column})
    with (
        pytest.raises(UnwritableError, match="'not fine'"),
        writing(tmp_path / f"x{ending}", table.schema, rows=1, metadata={}),
    ):
        pytest.fail("it began")
    assert not listed(tmp_path)
