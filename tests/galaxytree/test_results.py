"""What became of many images: one by one, and as a table."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from galaxytree.client import (
    NotFetchedError,
    UnexpectedAnswerError,
    UnreadableFileError,
    UnusableImageError,
    problem_error,
)
from galaxytree.decision_tree import load_tree
from galaxytree.results import Result, to_table
from galaxytree.schemas import Classification, Problem
from tests.hostile.services import classification, problem

COLUMNS = load_tree("galaxy-zoo-2").columns
PLAIN = Classification.model_validate(classification("m"))
RICH = PLAIN.model_copy(
    update={
        "uncertainty": dict.fromkeys(COLUMNS, 0.1),
        "uncertainty_95": dict.fromkeys(COLUMNS, 0.2),
        "out_of_domain": 0.25,
        "path": ("Class1.1", "Class7.1"),
        "summary": "A galaxy.",
    }
)
FAILED = problem_error(Problem(**problem("fetch_failed", 502)), 3.0)


def test_a_result_is_an_answer_or_an_error() -> None:
    good, bad = Result(0, b"x", PLAIN), Result(1, "http://a", error=FAILED)
    assert (good.ok, bad.ok) == (True, False)
    assert good.unwrap() is PLAIN
    with pytest.raises(NotFetchedError, match="It is fetch_failed"):
        bad.unwrap()


def test_results_may_come_from_another_process() -> None:
    for error in (FAILED, UnreadableFileError("gone"), UnusableImageError("odd")):
        found = pickle.loads(pickle.dumps(Result(1, "http://a", error=error))).error  # noqa: S301 (our own)
        assert (type(found), str(found), found.code) == (type(error), str(error), error.code)
    assert pickle.loads(pickle.dumps(FAILED)).retry_after_seconds == 3  # noqa: S301


def test_a_table_has_a_row_for_each() -> None:
    results = [
        Result(0, Path("a.jpg"), RICH),
        Result(1, "http://b", error=FAILED),
        Result(2, b"c", error=UnusableImageError("no image")),
    ]
    table = to_table(iter(results))
    assert isinstance(table, pa.Table)
    assert table.column_names[:3] == ["index", "image", "Class1.1"]
    assert table["index"].to_pylist() == [0, 1, 2]
    assert table["image"].to_pylist() == ["a.jpg", "http://b", None]
    assert table["Class11.6"].to_pylist() == [0.5, None, None]
    assert table["Class1.1_uncertainty_95"].to_pylist() == [pytest.approx(0.2), None, None]
    assert table["out_of_domain"].to_pylist() == [0.25, None, None]
    assert table["path"].to_pylist() == ["Class1.1 Class7.1", None, None]
    assert table["error_code"].to_pylist() == [None, "fetch_failed", "unusable_image"]
    assert table["error_detail"].to_pylist() == [None, "It is fetch_failed.", "no image"]
    frame = table.to_pandas()
    assert list(frame["status"]) == ["ok", "error", "error"]


def test_a_table_of_a_model_that_says_no_more_than_scores() -> None:
    names = to_table([Result(0, b"", PLAIN)]).column_names
    assert names == ["index", "image", *COLUMNS, "status", "error_code", "error_detail"]


def test_a_table_of_nothing_and_of_failures_alone_has_the_columns_all_the_same() -> None:
    for results in ([], [Result(0, "http://b", error=FAILED)]):
        table = to_table(results)
        assert table.num_rows == len(results)
        assert table.column_names == ["index", "image", *COLUMNS, "status", "error_code", "error_detail"]


def test_two_models_are_not_mixed() -> None:
    other = PLAIN.model_copy(update={"scores": {"Class1.1": 1.0}})
    with pytest.raises(UnexpectedAnswerError):
        to_table([Result(0, b"", PLAIN), Result(1, b"", other)])


def test_the_fraction_of_those_who_were_asked() -> None:
    tree = load_tree("galaxy-zoo-2")
    scores = dict.fromkeys(tree.columns, 0.0) | {
        "Class1.2": 0.8, "Class1.1": 0.2, "Class2.2": 0.4, "Class2.1": 0.4, "Class4.1": 0.1, "Class4.2": 0.3
    }  # fmt: skip
    answer = PLAIN.model_copy(update={"scores": scores})
    assert answer.fraction("Class4.1") == pytest.approx(0.25)
    assert answer.fraction("Class2.1") == pytest.approx(0.5)
    assert answer.fraction("Class1.2") == pytest.approx(0.8)
    assert answer.fraction("Class10.1") == 0
    with pytest.raises(KeyError):
        answer.fraction("Class12.1")
