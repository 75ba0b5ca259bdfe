"""Parquet that others wrote, and what others make of ours."""

import warnings
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse
from astropy.table import Table

from galaxytree.catalogue import UnreadableError, open_catalogue, writing

SCHEMA = pa.schema(
    [
        pa.field("ra", pa.float64(), metadata={"unit": "deg", "ucd": "pos.eq.ra", "description": "Right <ascension>"}),
        pa.field("lists", pa.list_(pa.list_(pa.int64()))),
        pa.field("bytes", pa.binary(), nullable=True),
    ],
    {"model": "m"},
)


def write(path: Path) -> Path:
    with writing(path, SCHEMA, rows=1, metadata={}) as writer:
        writer.write(pa.table([[1.0], [[[1], []]], [b"\xff"]], schema=SCHEMA))
    return path


def test_units_are_seen_by_programs_that_follow_voparquet(tmp_path: Path) -> None:
    said = pq.read_schema(write(tmp_path / "x.parquet")).metadata
    assert said[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    # Warnings are errors here.
    table = parse(BytesIO(said[b"IVOA.VOTable-Parquet.content"]), verify="exception").get_first_table()
    assert [field.name for field in table.fields] == ["ra", "lists", "bytes"]
    assert (table.fields[0].unit, table.fields[0].ucd) == ("deg", "pos.eq.ra")


def test_it_is_written_for_them_once(tmp_path: Path) -> None:
    catalogue = open_catalogue(write(tmp_path / "x.parquet"))
    assert [field.metadata for field in catalogue.schema] == [field.metadata for field in SCHEMA]
    assert catalogue.schema.metadata == SCHEMA.metadata
    with writing(tmp_path / "y.parquet", catalogue.schema, rows=1, metadata={}) as writer:
        for batch in catalogue.batches():
            writer.write(batch)
    assert (tmp_path / "y.parquet").read_bytes() == (tmp_path / "x.parquet").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"<VOTABLE>", b"\xff", b"<html/>"])
def test_units_of_voparquet_are_read(tmp_path: Path, content: bytes | None) -> None:
    said = dict(pq.read_schema(write(tmp_path / "x.parquet")).metadata)
    if content is not None:
        said[b"IVOA.VOTable-Parquet.content"] = content
    table = pa.table({"ra": [1.0], "dec": [2.0]})
    with pq.ParquetWriter(tmp_path / "y.parquet", table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(said)
    schema = open_catalogue(tmp_path / "y.parquet").schema
    known = {b"unit": b"deg", b"ucd": b"pos.eq.ra", b"description": b"Right <ascension>"}
    assert schema.field("ra").metadata == (known if content is None else None)
    assert schema.field("dec").metadata is None
    assert schema.metadata == {b"model": b"m"}


@pytest.mark.parametrize("yaml", [None, b"", b"{}", b"[", b"datatype: 5", b"datatype:\n- {nome: ra}"])
def test_units_of_astropy_are_read(tmp_path: Path, yaml: bytes | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Table({"ra": [1.0], "name": ["x"]}, units={"ra": "deg"}, descriptions={"ra": "Right ascension"})
        table.write(tmp_path / "x.parquet")
    if yaml is not None:
        other = pq.read_table(tmp_path / "x.parquet").replace_schema_metadata({"table_meta_yaml": yaml})
        pq.write_table(other, tmp_path / "x.parquet")
    schema = open_catalogue(tmp_path / "x.parquet").schema
    known = {b"unit": b"deg", b"description": b"Right ascension"}
    assert schema.field("ra").metadata == (known if yaml is None else None)
    assert not schema.metadata


def test_what_pandas_had_in_memory_is_not_passed_on(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6], name="k"))
    frame.to_parquet(tmp_path / "x.parquet")
    catalogue = open_catalogue(tmp_path / "x.parquet")
    assert catalogue.schema.metadata is None
    assert pa.concat_tables(catalogue.batches()).to_pydict() == {"a": [1, 2], "k": [5, 6]}


def test_row_groups_before_the_first_row_are_not_read(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(1000)), "b": [str(row) * 100 for row in range(1000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=100)
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    # What comes before the last groups is spoilt: reading it would fail.
    at = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(8).column(0).dictionary_page_offset
    data[4:at] = b"\xff" * (at - 4)
    (tmp_path / "x.parquet").write_bytes(data)
    catalogue = open_catalogue(tmp_path / "x.parquet")
    assert [row for batch in catalogue.batches(7, start=850) for row in batch["a"].to_pylist()] == [*range(850, 1000)]
    with pytest.raises(UnreadableError):
        list(catalogue.batches(7, start=750))


def test_columns_without_a_name_get_one_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"": [1], "a": [2]}), tmp_path / "x.parquet")
    catalogue = open_catalogue(tmp_path / "x.parquet")
    assert pa.concat_tables(catalogue.batches()).to_pydict() == {"column_1": [1], "a": [2]}
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(UnreadableError, match="two columns have the name 'a'"):
        open_catalogue(tmp_path / "x.parquet")


def test_many_rows_become_row_groups(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(150_000))})
    with writing(tmp_path / "x.parquet", table.schema, rows=150_000, metadata={}) as writer:
        for first in range(0, 150_000, 1000):
            writer.write(table.slice(first, 1000))
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 3
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read() == table
