"""Conditions on rows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from galaxytree.catalogue import FilterError, where

TABLE = pa.table(
    {
        "ra": [10.0, None, 200.0, 300.0],
        "mag, r": [17.0, 18.0, None, 15.5],
        'say "x"': ["a", "b", None, "ü"],
        "row": [2**53 + 1, 2**53 + 2, 3, 4],
        "kind": pa.array(["star", "galaxy", "galaxy", None]).dictionary_encode(),
        "pair": pa.array([[1, 2]] * 4, pa.list_(pa.int64(), 2)),
    }
)


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("ra > 100", [False, False, True, True]),
        ('"mag, r" < 17.5', [True, False, False, True]),
        ('"say ""x""" = \'ü\'', [False, False, False, True]),
        ("RA > 100 AND NOT kind = 'star'", [False, False, True, False]),
        ("ra IS NULL OR ra BETWEEN 0 AND 90", [True, True, False, False]),
        ("row = 9007199254740993", [True, False, False, False]),
        ("pair[1] = 1 -- as they all have", [True] * 4),
        ('"say ""x""" LIKE \'a%\' /* ; */ or false', [True, False, False, False]),
        ("true", [True] * 4),
    ],
)
def test_rows_are_selected(expression: str, selected: list[bool]) -> None:
    assert where(TABLE, expression).to_pylist() == selected
    assert where(TABLE.slice(1, 2), expression).to_pylist() == selected[1:3]
    assert where(TABLE.slice(0, 0), expression).to_pylist() == []


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("dec > 1", 'Referenced column "dec" not found'),
        ("ra >", "syntax error"),
        ("ra", "of type DOUBLE"),
        ("'yes'", "of type VARCHAR"),
        ("", ""),
        ("avg(ra) > 5", "aggregates"),
        ("row_number() over () > 1", "window"),
        ("1 = 1); DROP TABLE catalogue; SELECT (1 = 1", "not one condition"),
        ("ra > 'x'", "Could not convert"),
        ("EXISTS (SELECT * FROM TABLE)", ""),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(expression: str, why: str) -> None:
    with pytest.raises(FilterError) as caught:
        where(TABLE, expression)
    assert why in str(caught.value)
    assert repr(expression) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code == "bad_filter"
    assert where(TABLE, "ra > 100").to_pylist() == [False, False, True, True]


def test_a_condition_reaches_no_file_and_nothing_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n", "utf-8")
    for source in (
        f"'{tmp_path}/secret.csv'",
        f"read_text('{tmp_path}/secret.csv')",
        f"glob('{tmp_path}/*')",
        "TABLE_",
    ):
        with pytest.raises(FilterError):
            where(TABLE, f"EXISTS (SELECT * FROM {source})")  # noqa: S608
    for setting in (
        "SET enable_external_access = true",
        "COPY (SELECT 1) TO 'x.csv'",
        "INSTALL httpfs",
        "ATTACH 'x.db'",
    ):
        with pytest.raises(FilterError):
            where(TABLE, f"true); {setting}; SELECT (true")
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_threads_may_ask_at_once() -> None:
    tables = [pa.table({"a": list(range(size))}) for size in range(1, 40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda table: where(table, "a % 2 = 0").to_pylist(), tables))
    assert found == [[row % 2 == 0 for row in range(size)] for size in range(1, 40)]
