"""What a CSV file can't say, in a file beside it: types, units, and what the table says of itself.

It is the metadata file of the W3C's recommendation "Metadata Vocabulary for Tabular Data" (2015), with units and UCDs
under schema.org's names. A table is read without it just as well; it is ignored where it speaks of other columns, and a
type that values don't have is too.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxytree.tables.base import text_of

ENDING = "-metadata.json"
TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "unsignedByte": pa.uint8(),
    "unsignedShort": pa.uint16(),
    "unsignedInt": pa.uint32(),
    "unsignedLong": pa.uint64(),
    "float": pa.float32(),
    "double": pa.float64(),
}
SAID = {"unit": "schema:unitText", "description": "dc:description", "ucd": "schema:propertyID"}
LARGEST_BYTES = 16 << 20
"""A larger file is no notes on a table."""


def notes(schema: pa.Schema, name: str, delimiter: str) -> str:
    """Return what belongs beside a CSV file."""
    names = {kind: name for name, kind in TYPES.items()}
    columns = []
    for field in schema:
        said = text_of(field.metadata)
        about = {SAID[key]: said[key] for key in SAID if said.get(key)}
        columns.append({"titles": field.name, "datatype": names[field.type], **about})
    table: dict[str, Any] = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": name,
        "dialect": {"delimiter": delimiter, "quoteChar": '"', "encoding": "utf-8"},
        "tableSchema": {"columns": columns},
    }
    if schema.metadata:
        table["notes"] = [{"name": name, "value": value} for name, value in text_of(schema.metadata).items()]
    return json.dumps(table, ensure_ascii=False, indent=1) + "\n"


def noted(path: Path, names: list[str]) -> tuple[list[pa.Field], dict[str, str]] | None:
    """Return the columns and the metadata that notes on a CSV file give; None if there are none on these columns."""
    beside = path.with_name(path.name + ENDING)
    try:
        if beside.stat().st_size > LARGEST_BYTES:
            return None
        table = json.loads(beside.read_text("utf-8"))
        columns = table["tableSchema"]["columns"]
        fields = [
            pa.field(
                str(column["titles"]),
                TYPES[column["datatype"]],
                metadata={key: str(column[name]) for key, name in SAID.items() if name in column} or None,
            )
            for column in columns
        ]
        metadata = {str(note["name"]): str(note["value"]) for note in table.get("notes", [])}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return (fields, metadata) if [field.name for field in fields] == names else None
