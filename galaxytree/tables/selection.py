"""Conditions on rows, in SQL, by DuckDB.

It works in memory, without files, networks or extensions, and without a way to allow them.
"""

import functools
import threading

import duckdb
import numpy as np
import pyarrow as pa

from galaxytree.tables.errors import FilterError

SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
_LOCK = threading.Lock()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=dict(SETTINGS))
    connection.execute("SET lock_configuration = true")
    return connection


def selected(table: pa.Table, expression: str) -> pa.Array:
    """Return which rows meet a condition; see `galaxytree.catalogue.where`."""
    place = "row"
    while place in {name.lower() for name in table.schema.names}:
        place += "_"
    numbered = table.append_column(place, pa.array(np.arange(table.num_rows)))
    # A line of its own for what follows, so that a comment at the end of the expression ends with it.
    condition = f"FROM catalogue WHERE ({expression}\n)"
    try:
        with _LOCK, _database().cursor() as rows:
            if len(rows.extract_statements(f"SELECT 1 {condition}")) != 1:
                msg = f"{expression!r} is not one condition"
                raise FilterError(msg)
            rows.register("catalogue", numbered)
            try:
                kind = rows.execute(f"SELECT ({expression}\n) FROM catalogue LIMIT 0").description[0][1]  # noqa: S608
                if str(kind) != "BOOLEAN":
                    msg = f"{expression!r} is no condition: it is of type {kind}"
                    raise FilterError(msg)
                found = rows.execute(f'SELECT "{place}" AS found {condition}').fetchnumpy()["found"]
            finally:
                rows.unregister("catalogue")
    except duckdb.Error as error:
        msg = f"{expression!r} can't be understood: {_sentence(error)}"
        raise FilterError(msg) from error
    mask = np.zeros(table.num_rows, bool)
    mask[np.asarray(found, np.int64)] = True
    return pa.array(mask)


def _sentence(error: Exception) -> str:
    """Return what DuckDB says in one line, without the picture of where."""
    said = str(error).partition("\nLINE ")[0]
    return " ".join(said.split())
