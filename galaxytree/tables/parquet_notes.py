"""What others say of the columns of a Parquet file, and what is said to them.

Arrow keeps metadata of fields where other programs don't look. VOParquet (an IVOA note; TOPCAT follows it) has units,
UCDs and descriptions as a VOTable without rows in the file's metadata; it is read and written. astropy has its own YAML
there; that is read, and not passed on, since it is wrong once a column is added. So is what pandas says of its index.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxytree.tables.base import text_of
from galaxytree.tables.errors import CatalogueError
from galaxytree.tables.votable_head import head_of
from galaxytree.tables.votable_parsing import Rows

VERSION = "IVOA.VOTable-Parquet.version"
CONTENT = "IVOA.VOTable-Parquet.content"
ASTROPY = "table_meta_yaml"
OF_A_PROGRAM = ("pandas", "ARROW:schema", "table::len::", VERSION, CONTENT, ASTROPY)
"""How metadata begin that speak of columns as some program had them."""


def with_notes(schema: pa.Schema) -> pa.Schema:
    """Return the columns with what VOParquet says of them."""
    if not any(field.metadata for field in schema):
        return schema
    return schema.with_metadata({**text_of(schema.metadata), VERSION: "1.0", CONTENT: head_of(schema)})


def noted(schema: pa.Schema, path: Path) -> pa.Schema:
    """Return the columns with what is known of each, whoever said it."""
    metadata = text_of(schema.metadata)
    fields = _votable(metadata, path) | _astropy(metadata)
    columns = []
    for field in schema:
        said = {key: text for key, text in text_of(field.metadata).items() if not key.startswith("PARQUET:")}
        said = {**fields.get(field.name, {}), **said}
        columns.append(pa.field(field.name, field.type, field.nullable, said or None))
    kept = {key: text for key, text in metadata.items() if not key.startswith(OF_A_PROGRAM)}
    return pa.schema(columns, kept or None)


def _votable(metadata: Mapping[str, str], path: Path) -> dict[str, dict[str, str]]:
    if CONTENT not in metadata:
        return {}
    rows = Rows(path, content=metadata[CONTENT].encode())
    try:
        for _ in rows.blocks():
            pass
    except CatalogueError:
        # What somebody says of a table is no reason not to read it.
        return {}
    return {each.name: each.said() for each in rows.head.fields}


def _astropy(metadata: Mapping[str, str]) -> dict[str, dict[str, str]]:
    if ASTROPY not in metadata:
        return {}
    # Loaded for files of astropy alone.
    from astropy.table import meta  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header: Any = meta.get_header_from_yaml(metadata[ASTROPY].split("\n"))
        return {
            column["name"]: {key: str(column[key]) for key in ("unit", "description") if column.get(key)}
            for column in header["datatype"]
        }
    except (meta.YamlParseError, LookupError, TypeError, AttributeError, ValueError):
        return {}
