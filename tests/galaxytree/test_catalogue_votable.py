"""VOTables that others wrote, and what others make of ours."""

import base64
import math
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import from_table, parse
from astropy.table import MaskedColumn, Table

from galaxytree.catalogue import UnreadableError, open_catalogue, writing

VALUES: dict[str, Any] = {
    "id": MaskedColumn([2**53 + 1, -(2**63) + 1, 5], mask=[False, False, True]),
    "ra": MaskedColumn([0.1, 1e-300, 3.0], unit="deg", description="Right ascension", mask=[False, False, True]),
    "flux": np.array([0.1, np.inf, -np.inf], np.float32),
    "byte": np.array([0, 255, 7], np.uint8),
    "short": MaskedColumn(np.array([-5, 6, 7], np.int16), mask=[False, True, False]),
    "int": np.array([-(2**31), 6, 7], np.int32),
    "name": np.array(["NGC 1, <&> x", "größe \u661f", " b"]),
    "yes": np.array([True, False, True]),
    "pair": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
}
NAMES = ["NGC 1, <&> x", "größe \u661f", " b"]


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_what_astropy_writes_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    values = dict(VALUES)
    hidden: Any = None
    if form == "binary":
        # Integers have no null in this form unless one is declared.
        values |= {name: values[name].filled(9) for name in ("id", "short")}
        hidden = 9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = from_table(Table(values))
        file.to_xml(str(tmp_path / "x.vot"), tabledata_format=form)
    catalogue = open_catalogue(tmp_path / "x.vot")
    assert catalogue.rows == 3
    assert catalogue.schema.field("ra").metadata == {b"unit": b"deg", b"description": b"Right ascension"}
    found = pa.concat_tables(catalogue.batches(2))
    assert found.to_pydict() == {
        "id": [2**53 + 1, -(2**63) + 1, hidden],
        "ra": [0.1, 1e-300, None],
        "flux": [pytest.approx(0.1), np.inf, -np.inf],
        "byte": [0, 255, 7],
        "short": [-5, hidden, 7],
        "int": [-(2**31), 6, 7],
        "name": NAMES,
        "yes": [True, False, True],
        "pair": [[1, 2], [3, 4], [5, 6]],
    }
    assert [row for batch in catalogue.batches(1, start=1) for row in batch["name"].to_pylist()] == NAMES[1:]


FIELDS = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">
<v:VOTABLE version="1.1" xmlns:v="http://www.ivoa.net/xml/VOTable/v1.1"><v:DESCRIPTION>the file</v:DESCRIPTION>
<v:RESOURCE><v:INFO name="QUERY" value="select *"/><v:INFO name="QUERY" value="from x"/>
<v:PARAM name="EPOCH" value="2000"/>
<v:TABLE><v:DESCRIPTION> Some galaxies </v:DESCRIPTION><v:GROUP><v:PARAM name="of a group" value="1"/></v:GROUP>
<v:FIELD ID="i" datatype="int"><v:VALUES null="-99"><v:OPTION value="1"/></v:VALUES></v:FIELD>
<v:FIELD name="hex" datatype="short"/>
<v:FIELD name="f" datatype="double" unit="mag" ucd="phot.mag"><v:DESCRIPTION>How
bright</v:DESCRIPTION></v:FIELD>
<v:FIELD name="b" datatype="boolean"/><v:FIELD name="c" datatype="char"/>
<v:FIELD name="s" datatype="char" arraysize="8*"/>
<v:FIELD name="list" datatype="float" arraysize="*"/><v:FIELD name="square" datatype="int" arraysize="2x2"/>
<v:DATA>%s</v:DATA></v:TABLE>
<v:TABLE><v:FIELD name="other" datatype="int"/>
<v:DATA><v:TABLEDATA><v:TR><v:TD>1</v:TD></v:TR></v:TABLEDATA></v:DATA></v:TABLE>
</v:RESOURCE></v:VOTABLE>
"""
ROWS = (
    ["-99", "+7", " 1.5 ", "T", "x", "a\xf6", "1 2.5  NaN", "1 2 3 4"],
    ["5", "", "+Inf", "f", "", "", "", ""],
    ["", "-3", "NaN", "?", " ", "<![CDATA[<b>]]>&amp;", "7", "5 6 7 8"],
)


def test_what_other_programs_write_is_read(tmp_path: Path) -> None:
    rows = "".join(f"<v:TR>{''.join(f'<v:TD>{cell}</v:TD>' for cell in row)}</v:TR>\n" for row in ROWS)
    path = tmp_path / "x.xml"
    path.write_bytes((FIELDS % f"<v:TABLEDATA>{rows}</v:TABLEDATA>").encode("latin-1"))
    catalogue = open_catalogue(path)
    assert {key.decode(): value.decode() for key, value in catalogue.schema.metadata.items()} == {
        "QUERY": "select *\nfrom x",
        "EPOCH": "2000",
        "description": "Some galaxies",
    }
    assert catalogue.schema.field("f").metadata == {
        b"unit": b"mag",
        b"ucd": b"phot.mag",
        b"description": b"How\nbright",
    }
    found = pa.concat_tables(catalogue.batches())
    assert [field.type for field in found.schema][-2:] == [pa.list_(pa.float32()), pa.list_(pa.int32(), 4)]
    assert found.drop_columns(["f", "list"]).to_pydict() == {
        "i": [None, 5, None],
        "hex": [7, None, -3],
        "b": [True, False, None],
        "c": ["x", None, " "],
        "s": ["a\xf6", None, "<b>&"],
        "square": [[1, 2, 3, 4], None, [5, 6, 7, 8]],
    }
    assert str(found["f"].to_pylist()) == "[1.5, inf, nan]"
    assert str(found["list"].to_pylist()) == "[[1.0, 2.5, nan], None, [7.0]]"


HEAD = '<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><FIELD name="b" datatype="char" arraysize="*"/><DATA>'
TAIL = "</DATA></TABLE></RESOURCE></VOTABLE>"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no element"),
        ("<html></html>", "begins with html"),
        ("<VOTABLE><RESOURCE/></VOTABLE>", "no table"),
        (
            f"{HEAD}<TABLEDATA><TR><TD>1</TD><TD>x</TD></TR><TR><TD>1</TD></TR></TABLEDATA>{TAIL}",
            "row 2 has 1 cells, not 2",
        ),
        (f"{HEAD}<TABLEDATA><TR><TD>one</TD><TD>x</TD></TR></TABLEDATA>{TAIL}", "one"),
        (f"{HEAD}<TABLEDATA>\n<TR><TD>1</TD><TD>x</TD></TABLEDATA>{TAIL}", "mismatched tag, in line 2"),
        (f"{HEAD}<TABLEDATA><TR>", "no element found"),
        (f"{HEAD}<BINARY><STREAM href='http://x/y'/></BINARY>{TAIL}", "another file"),
        (f"{HEAD}<BINARY><STREAM encoding='gzip'>x</STREAM></BINARY>{TAIL}", "packed"),
        (f"{HEAD}<BINARY><STREAM encoding='base64'>!!!!</STREAM></BINARY>{TAIL}", "base64"),
        (f"{HEAD}<BINARY><STREAM encoding='base64'>AAAA</STREAM></BINARY>{TAIL}", "within a row"),
        (f"{HEAD}<BINARY><STREAM encoding='base64'>AAA</STREAM></BINARY>{TAIL}", "within a row"),
        (f"{HEAD}<FITS><STREAM href='x.fits'/></FITS>{TAIL}", "FITS"),
        ('<VOTABLE><RESOURCE><TABLE ref="t"><DATA/></TABLE></RESOURCE></VOTABLE>', "refers"),
        (f"{HEAD}{TAIL}".replace('"int"', '"floatComplex"'), "column 'a' has floatComplex"),
        (f"{HEAD}{TAIL}".replace('"int"', '"boolean" arraysize="3"'), "column 'a' has boolean arrays"),
        (f"{HEAD}{TAIL}".replace('"b"', '"a"'), "two columns"),
        (f"{HEAD}{TAIL}".replace('"*"', '"many"').replace("char", "int"), "its head is damaged"),
        (f'<?xml version="1.0" encoding="UF-8"?>{HEAD}{TAIL}', "its head is damaged .unknown encoding"),
        (
            f"{HEAD}<BINARY><STREAM encoding='base64'>AAAAAQAAAAA=</STREAM></BINARY>{TAIL}".replace(
                'datatype="int"/>', 'datatype="int"><VALUES null="none"/></FIELD>'
            ),
            "none",
        ),
        (f'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{HEAD}{TAIL}', "entities"),
        (f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{HEAD}{TAIL}', "entities"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "x.vot").write_text(content, "utf-8")
    with pytest.raises(UnreadableError, match=why):
        list(open_catalogue(tmp_path / "x.vot").batches())


@pytest.mark.parametrize("form", ["BINARY", "BINARY2"])
def test_rows_as_bytes_are_read(tmp_path: Path, form: str) -> None:
    fields = (
        '<FIELD name="i" datatype="int"><VALUES null="-1"/></FIELD><FIELD name="s" datatype="char" arraysize="*"/>'
        '<FIELD name="u" datatype="unicodeChar" arraysize="3"/><FIELD name="list" datatype="short" arraysize="*"/>'
        '<FIELD name="b" datatype="boolean"/><FIELD name="bit" datatype="bit"/><FIELD name="d" datatype="double"/>'
    )
    text = "größe"
    rows = [
        struct.pack(">i", 7)
        + struct.pack(">i", len(text.encode()))
        + text.encode()
        + "aü ".encode("utf-16-be")
        + struct.pack(">ihh", 2, -5, 6)
        + b"T\x80"
        + struct.pack(">d", 0.1),
        struct.pack(">ii6xi", -1, 0, 0) + b"?\x00" + struct.pack(">d", math.nan),
    ] * 30_000
    flags = b"\x00" if form == "BINARY2" else b""
    packed = base64.encodebytes(b"".join(flags + row for row in rows)).decode()
    content = (
        HEAD.partition("<FIELD")[0] + fields + f"<DATA><{form}><STREAM encoding='base64'>{packed}</STREAM></{form}>"
    )
    (tmp_path / "x.vot").write_text(content + TAIL, "utf-8")
    catalogue = open_catalogue(tmp_path / "x.vot")
    assert catalogue.rows == 60_000
    for batch in catalogue.batches(20_000, start=20_000):
        assert (
            batch.slice(0, 2).to_pydict()
            == batch.slice(19_998).to_pydict()
            == {
                "i": [7, None],
                "s": [text, None],
                "u": ["aü", None],
                "list": [[-5, 6], []],
                "b": [True, None],
                "bit": [True, False],
                "d": [0.1, None],
            }
        )


def test_a_table_without_data_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "x.vot").write_text(f"{HEAD}{TAIL}".replace("<DATA>", "").replace("</DATA>", ""), "utf-8")
    assert open_catalogue(tmp_path / "x.vot").rows == 0


def test_what_is_written_is_read_by_astropy_without_a_warning(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("a", pa.int8(), metadata={"unit": "deg", "ucd": "pos.eq.ra", "description": "<x> & \x00y"}),
            pa.field("u16", pa.uint16()),
            pa.field("u32", pa.uint32()),
            pa.field("u64", pa.uint64()),
            pa.field("pair", pa.list_(pa.float64(), 2)),
            pa.field("list", pa.list_(pa.float64())),
            pa.field("s", pa.string()),
            pa.field("b", pa.bool_()),
        ],
        {"model": 'm "1"\n<>', "description": "Some galaxies"},
    )
    table = pa.table(
        [
            pa.array([-128, None], pa.int8()),
            pa.array([2**16 - 1, None], pa.uint16()),
            pa.array([2**32 - 1, None], pa.uint32()),
            pa.array([2**64 - 1, None], pa.uint64()),
            pa.array([[1.5, None], None], pa.list_(pa.float64(), 2)),
            pa.array([[1.5, None, 3], []]),
            pa.array(["a\rb\x01 ", None]),
            pa.array([True, None]),
        ],
        schema=schema,
    )
    with writing(tmp_path / "x.vot", schema, rows=2, metadata={}) as writer:
        writer.write(table)
        writer.write(table.slice(0, 0))
    # Warnings are errors here.
    parsed = parse(tmp_path / "x.vot", verify="exception")
    theirs = parsed.get_first_table()
    assert theirs.nrows == 2
    assert [info.value for info in parsed.resources[0].infos] == ['m "1"\n<>']
    assert theirs.description.strip() == "Some galaxies"
    assert theirs.array["a"].tolist() == [-128, None]
    assert theirs.array["u32"].tolist() == [2**32 - 1, None]
    assert theirs.get_field_by_id("a").description == "<x> & \ufffdy"
    found = pa.concat_tables(open_catalogue(tmp_path / "x.vot").batches())
    assert found["u64"].to_pylist() == [str(2**64 - 1), None]
    assert found["s"].to_pylist() == ["a\rb\ufffd ", None]
    assert found["b"].to_pylist() == [True, None]
    assert str(found["pair"].to_pylist()) == "[[1.5, nan], None]"
    assert str(found["list"].to_pylist()) == "[[1.5, nan, 3.0], None]"
    assert open_catalogue(tmp_path / "x.vot").schema.metadata == schema.metadata
