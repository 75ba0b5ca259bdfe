"""CSV as the world writes it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from galaxytree.catalogue import UnreadableError, open_catalogue, writing


def read(path: Path, content: str | bytes) -> pa.Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    catalogue = open_catalogue(path)
    return pa.concat_tables(catalogue.batches()) if catalogue.rows else catalogue.schema.empty_table()


@pytest.mark.parametrize(
    ("words", "kind", "values"),
    [
        (["1", "-2", "0", ""], pa.int64(), [1, -2, 0, None]),
        (["9007199254740993", "null"], pa.int64(), [9007199254740993, None]),
        (["9223372036854775807", "NaN", "NA"], pa.int64(), [9223372036854775807, None, None]),
        (["9223372036854775808", "1"], pa.string(), ["9223372036854775808", "1"]),
        (["9007199254740993", "1.5"], pa.string(), ["9007199254740993", "1.5"]),
        (["007", "8"], pa.string(), ["007", "8"]),
        (["+5", "8"], pa.string(), ["+5", "8"]),
        (["+12.5", "-05.25", "3", ""], pa.float64(), [12.5, -5.25, 3.0, None]),
        ([" 1.5", "2.5 "], pa.float64(), [1.5, 2.5]),
        (["1", "2.", ".5", "1e5", "-1E-3", "inf", "-Infinity"], pa.float64(), [1, 2, 0.5, 1e5, -1e-3, 1e999, -1e999]),
        (["nan", "1.5", "null"], pa.float64(), ["nan", 1.5, None]),
        (["nan", "NaN"], pa.float64(), ["nan", "nan"]),
        (["True", "false", "TRUE", ""], pa.bool_(), [True, False, True, None]),
        (["true", "1"], pa.string(), ["true", "1"]),
        (["true", "nan"], pa.string(), ["true", "nan"]),
        (["NA", "null"], pa.string(), ["NA", "null"]),
        (["", ""], pa.string(), [None, None]),
        (["0x10", "1"], pa.string(), ["0x10", "1"]),
        (["1,5", "2"], pa.string(), ["1,5", "2"]),
        (["12:30:00", "2020-01-01"], pa.string(), ["12:30:00", "2020-01-01"]),
    ],
)
def test_types_are_those_in_which_nothing_gets_lost(
    tmp_path: Path, words: list[str], kind: pa.DataType, values: list[Any]
) -> None:
    for quote in ('"', ""):
        if not quote and any("," in word for word in words):
            continue
        lines = [f"{quote if word else ''}{word}{quote if word else ''},x" for word in words]
        table = read(tmp_path / "x.csv", "\n".join(["a,b", *lines, ""]))
        assert table.schema.field("a").type == kind
        assert ["nan" if value != value else value for value in table["a"].to_pylist()] == values  # noqa: PLR0124


def test_types_are_found_in_the_whole_file(tmp_path: Path) -> None:
    rows = 200_000
    lines = [f"{row},{row},{row},," for row in range(rows)]
    table = read(tmp_path / "x.csv", "\n".join(["i,f,s,t,b", *lines, "1,0.5,x,late,true", ""]))
    assert [field.type for field in table.schema] == [pa.int64(), pa.float64(), pa.string(), pa.string(), pa.bool_()]
    assert table.num_rows == rows + 1
    assert table["f"][7].as_py() == 7.0
    assert table["s"][7].as_py() == "7"
    assert table.slice(rows).to_pylist() == [{"i": 1, "f": 0.5, "s": "x", "t": "late", "b": True}]


def test_an_empty_value_is_null_and_an_empty_text_is_not(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", 'a,b\n,x\n"",y\n')["a"].to_pylist() == [None, ""]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_windows_files_are_read(tmp_path: Path, end: str, mark: bytes) -> None:
    content = mark + f'"größe, x",b{end}1.5,"two{end}lines"{end}{end}2.5,"a ""word"""'.encode()
    table = read(tmp_path / "x.csv", content)
    assert table.to_pydict() == {"größe, x": [1.5, 2.5], "b": [f"two{end}lines", 'a "word"']}


def test_the_only_column_may_be_null(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "a\n1\n\n3\n")["a"].to_pylist() == [1, None, 3]


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", ",a\n0,5\n").to_pydict() == {"column_1": [0], "a": [5]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a,b\n1,2\n3\n", "row 2 (counted from 1, after the line of names) has 1 values, not 2: '3'"),
        ("a,b\n1,2\n3,4,5\n", "row 2 (counted from 1, after the line of names) has 3 values, not 2: '3,4,5'"),
        ("a,b,a\n1,2,3\n", "two columns have the name 'a'"),
        (b"a,b\n1,Gr\xf6\xdfe\n", "UTF-8"),
        ('a,b\n1,"never closed' + "x" * (3 << 20), "quotation mark"),
        ("", "it is empty"),
        ("a,b", "it is empty"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str | bytes, why: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path / "x.csv", content)
    assert why in str(caught.value)


def test_no_rows_are_no_lines(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    with writing(tmp_path / "x.csv", table.schema, rows=1, metadata={}) as writer:
        writer.write(table.slice(0, 0))
        writer.write(table)
        writer.write(table.slice(0, 0))
    assert (tmp_path / "x.csv").read_text("utf-8") == "a\n1\n"


def test_what_is_written_is_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "a, b": pa.array([1.0, 0.1, None, float("nan"), -1e22], pa.float64()),
            "f": pa.array([0.1, 1, 16777216, None, 1e-45], pa.float32()),
            "s": ["x", "", None, ' "y" ', "ü,\n"],
            "b": [True, None, False, True, True],
        }
    )
    with writing(tmp_path / "x.csv", table.schema, rows=5, metadata={}) as writer:
        writer.write(table)
    assert (tmp_path / "x.csv").read_text("utf-8") == (
        '"a, b",f,s,b\n1.0,0.1,x,true\n0.1,1.0,"",\n,16777216.0,,false\nnan,," ""y"" ",true\n-1e+22,1e-45,"ü,\n",true\n'
    )


class TestNotes:
    """What is beside a CSV file."""

    SCHEMA = pa.schema([pa.field("ra", pa.float64(), metadata={"unit": "deg"}), pa.field("id", pa.string())])

    def written(self, folder: Path) -> Path:
        with writing(folder / "x.csv", self.SCHEMA, rows=1, metadata={"model": "m"}) as writer:
            writer.write(pa.table([[1.0], ["12"]], schema=self.SCHEMA))
        return folder / "x.csv"

    def test_they_are_a_metadata_file_of_the_w3c(self, tmp_path: Path) -> None:
        said = json.loads(Path(f"{self.written(tmp_path)}-metadata.json").read_text("utf-8"))
        assert said["@context"] == "http://www.w3.org/ns/csvw"
        assert said["url"] == "x.csv"
        assert said["notes"] == [{"name": "model", "value": "m"}]
        assert said["tableSchema"]["columns"] == [
            {"titles": "ra", "datatype": "double", "schema:unitText": "deg"},
            {"titles": "id", "datatype": "string"},
        ]

    def test_a_file_is_read_without_them(self, tmp_path: Path) -> None:
        path = self.written(tmp_path)
        Path(f"{path}-metadata.json").unlink()
        assert open_catalogue(path).schema.equals(
            pa.schema({"ra": pa.float64(), "id": pa.int64()}), check_metadata=True
        )

    @pytest.mark.parametrize(
        "notes",
        [
            "",
            "{}",
            "[]",
            "null",
            "\x00",
            '{"tableSchema": {"columns": [{"titles": "a", "datatype": "long"}]}}',
            '{"tableSchema": {"columns": [{"titles": "ra", "datatype": "x"}]}}',
            '{"tableSchema": 5}',
            "big",
        ],
    )
    def test_notes_on_something_else_are_ignored(self, tmp_path: Path, notes: str) -> None:
        path = self.written(tmp_path)
        text = " " * (17 << 20) + "{}" if notes == "big" else notes
        Path(f"{path}-metadata.json").write_text(text, "utf-8")
        assert open_catalogue(path).schema.equals(
            pa.schema({"ra": pa.float64(), "id": pa.int64()}), check_metadata=True
        )

    @pytest.mark.parametrize(
        ("noted", "words", "kind"),
        [
            ("float", ["1.5", "nan"], pa.float32()),
            ("double", ["1", "2"], pa.float64()),
            ("double", ["9007199254740993", "1"], pa.int64()),
            ("short", ["1", "-32768"], pa.int16()),
            ("short", ["1", "32768"], pa.int64()),
            ("unsignedByte", ["255", "0"], pa.uint8()),
            ("unsignedByte", ["-1", "0"], pa.int64()),
            ("int", ["1.5", "2"], pa.float64()),
            ("boolean", ["1", "0"], pa.int64()),
            ("boolean", ["", ""], pa.bool_()),
            ("double", ["NaN", ""], pa.float64()),
            ("string", ["1", "0"], pa.string()),
            ("long", ["x", "1"], pa.string()),
            ("boolean", ["true", "false"], pa.bool_()),
        ],
    )
    def test_a_noted_type_counts_where_values_have_it(
        self, tmp_path: Path, noted: str, words: list[str], kind: pa.DataType
    ) -> None:
        columns = [{"titles": "a", "datatype": noted}, {"titles": "b", "datatype": "string"}]
        (tmp_path / "x.csv-metadata.json").write_text(json.dumps({"tableSchema": {"columns": columns}}), "utf-8")
        table = read(tmp_path / "x.csv", "".join(["a,b\n", *(f"{word},x\n" for word in words)]))
        assert table.schema.field("a").type == kind
