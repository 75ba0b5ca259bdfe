"""Answers as a table: every number under its name, in the order of the rows, and nothing for what failed."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable.ucd import check_ucd

from galaxytree.client import UnexpectedAnswerError
from galaxytree.decision_tree import load_tree
from galaxytree.score_table import score_rows, score_schema

COLUMNS = load_tree("galaxy-zoo-2").columns
PROBLEM = {"type": "about:blank", "title": "t", "status": 502, "detail": "It answered 404.", "code": "fetch_failed"}
FAILED = {"index": 1, "id": None, "status": "error", "error": PROBLEM}


def answer(seed: int, *, full: bool = False) -> dict[str, Any]:
    random = np.random.default_rng(seed)

    def table() -> dict[str, float]:
        return {name: round(float(random.uniform()), 8) for name in COLUMNS}

    classification: dict[str, Any] = {
        "scores": table(),
        "uncertainty": table(),
        "uncertainty_95": table(),
        "out_of_domain": 0.25,
    }
    if full:
        classification |= {"path": ["Class1.1", "Class7.2"], "summary": f"Galaxy {seed}."}
    return {"index": seed, "id": str(seed), "status": "ok", "classification": classification}


def schema_of(*, rich: bool = True, full: bool = False) -> pa.Schema:
    return score_schema(COLUMNS, uncertainty=rich, uncertainty_95=rich, out_of_domain=rich, full=full)


def test_every_number_is_under_its_name() -> None:
    rows = [answer(0), FAILED, answer(2)]
    table = score_rows(rows, schema_of())
    assert table.schema.names == [
        *COLUMNS,
        *(f"{name}_uncertainty" for name in COLUMNS),
        *(f"{name}_uncertainty_95" for name in COLUMNS),
        "out_of_domain",
        "status",
        "error_code",
        "error_detail",
    ]
    table.validate(full=True)
    first, second, third = table.to_pylist()
    for row, given in ((first, rows[0]), (third, rows[2])):
        said = given["classification"]
        for name in COLUMNS:
            for part in ("scores", "uncertainty", "uncertainty_95"):
                column = name if part == "scores" else f"{name}_{part}"
                assert row[column] == pytest.approx(said[part][name], rel=1e-6)
        assert (row["out_of_domain"], row["status"], row["error_code"], row["error_detail"]) == (0.25, "ok", None, None)
    assert second == dict.fromkeys(table.schema.names) | {
        "status": "error",
        "error_code": "fetch_failed",
        "error_detail": "It answered 404.",
    }


def test_a_model_that_says_less_and_answers_in_full() -> None:
    table = score_rows([answer(0, full=True), FAILED, answer(2, full=True)], schema_of(rich=False, full=True))
    assert table.schema.names == [*COLUMNS, "path", "summary", "status", "error_code", "error_detail"]
    assert table["path"].to_pylist() == ["Class1.1 Class7.2", None, "Class1.1 Class7.2"]
    assert table["summary"].to_pylist() == ["Galaxy 0.", None, "Galaxy 2."]


def test_no_rows_and_none_that_went_well() -> None:
    assert score_rows([], schema_of()).num_rows == 0
    table = score_rows([FAILED, FAILED], schema_of())
    assert table["status"].to_pylist() == ["error", "error"]
    assert table["Class1.1"].null_count == 2


def test_columns_say_what_they_hold() -> None:
    described = schema_of(full=True)
    assert all(described.field(name).metadata[b"description"] for name in described.names)
    in_words = score_schema(
        COLUMNS, uncertainty=True, uncertainty_95=True, out_of_domain=True, full=True, tree="galaxy-zoo-2"
    )
    arms = b'Class4.1, "spiral arms" (Is there any sign of a spiral arm pattern?): '
    assert in_words.field("Class4.1").metadata[b"description"] == arms + b"weighted score"
    assert in_words.field("Class4.1_uncertainty").metadata[b"description"].startswith(arms + b"half the width of the")
    # A tree of which nothing is known here.
    other = score_schema(COLUMNS, uncertainty=True, uncertainty_95=True, out_of_domain=True, full=True, tree="other")
    assert [one.metadata for one in other] == [one.metadata for one in described]


def test_columns_have_words_of_the_virtual_observatory() -> None:
    described = schema_of(full=True)
    ucds = {name: described.field(name).metadata[b"ucd"].decode() for name in described.names}
    assert all(check_ucd(one, check_controlled_vocabulary=True) for one in ucds.values()), ucds
    assert ucds["Class4.1"].startswith("stat.probability")
    assert ucds["Class4.1_uncertainty"].startswith("stat.error")


def test_an_answer_of_another_tree_is_not_taken() -> None:
    renamed, swapped = answer(1), answer(1)
    renamed["classification"]["scores"]["Class1.4"] = renamed["classification"]["scores"].pop("Class11.6")
    scores = swapped["classification"]["scores"]
    swapped["classification"]["scores"] = dict(reversed(scores.items()))
    for other in (renamed, swapped):
        with pytest.raises(UnexpectedAnswerError, match="other scores"):
            score_rows([answer(0), other], schema_of())


@pytest.mark.parametrize("missing", ["uncertainty", "out_of_domain", "scores"])
def test_an_answer_that_lacks_something_is_not_taken(missing: str) -> None:
    less = answer(1)
    del less["classification"][missing]
    with pytest.raises(UnexpectedAnswerError, match=missing):
        score_rows([answer(0), less], schema_of())


@pytest.mark.parametrize("row", [{"status": "ok"}, {"status": "error"}, {}])
def test_a_row_that_is_none_is_not_taken(row: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswerError):
        score_rows([row], schema_of())
