"""Columns as formats from before Arrow can hold them: numbers, booleans, text, and lists of fixed length.

What they can't hold becomes text (times as ISO 8601, lists and structures as JSON), or is refused before any work is
done.
"""

import json
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from galaxytree.tables.errors import UnwritableError

Lists = Literal["none", "fixed", "any"]
"""Which lists of numbers a format has columns of: none, those of one length, or any."""


def plain_schema(schema: pa.Schema, *, kind: str, lists: Lists) -> pa.Schema:
    """Return the columns as a format holds them.

    Parameters
    ----------
    schema
        The columns as they are.
    kind
        The format's name.
    lists
        Which lists of numbers it has.

    Raises
    ------
    UnwritableError
        If it can't hold one.
    """
    fields = []
    for field in schema:
        become = _plain_type(field.type, lists=lists)
        if become is None:
            msg = (
                f"{kind} has nothing to hold column {field.name!r} of type {field.type}; leave it out, or write Parquet"
            )
            raise UnwritableError(msg)
        fields.append(pa.field(field.name, become, metadata=field.metadata))
    return pa.schema(fields, schema.metadata)


def _plain_type(of: pa.DataType, *, lists: Lists) -> pa.DataType | None:  # noqa: PLR0911
    is_ = pa.types
    if is_.is_dictionary(of):
        return _plain_type(of.value_type, lists=lists)
    if is_.is_float16(of):
        return pa.float32()
    if is_.is_boolean(of) or is_.is_integer(of) or is_.is_floating(of):
        return of
    if is_.is_duration(of):
        return pa.int64()
    if is_.is_decimal(of):
        return pa.float64()
    if is_.is_fixed_size_list(of) and lists != "none" and _is_number(of.value_type) and of.list_size > 0:
        return pa.list_(pa.field("item", of.value_type), of.list_size)
    if (is_.is_list(of) or is_.is_large_list(of)) and lists == "any" and _is_number(of.value_type):
        return pa.list_(pa.field("item", of.value_type))
    if is_.is_nested(of):
        return pa.string() if _speaks_json(of) else None
    if any(test(of) for test in (is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_null, is_.is_temporal)):
        return pa.string()
    return None


def _is_number(of: pa.DataType) -> bool:
    return bool(pa.types.is_integer(of) or pa.types.is_float32(of) or pa.types.is_float64(of))


def _speaks_json(of: pa.DataType) -> bool:
    if pa.types.is_map(of) or pa.types.is_union(of):
        return False
    if pa.types.is_nested(of):
        return all(_speaks_json(of.field(place).type) for place in range(of.num_fields))
    return not any(test(of) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary))


def plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows as a format holds them; see `plain_schema`."""
    columns = [_plain(column, field.type) for column, field in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _plain(column: pa.ChunkedArray, become: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return _plain(column.cast(column.type.value_type), become)
    if pa.types.is_nested(column.type) and pa.types.is_string(become):
        said = [
            None if value is None else json.dumps(value, ensure_ascii=False, default=str)
            for value in column.to_pylist()
        ]
        return pa.chunked_array([pa.array(said, pa.string())])
    if pa.types.is_timestamp(column.type):
        # With a T between day and time, as ISO 8601, FITS and the VO have it.
        said = pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
        return said.cast(become)
    return column.cast(become)
