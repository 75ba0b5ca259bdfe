"""The pieces of a survey by themselves: rows cut to size, the example of the docs, the ledger's own edges."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from galaxytree.catalogue import open_catalogue
from galaxytree.client import UnexpectedAnswerError
from galaxytree.ledger import opened
from galaxytree.survey_engine import ModelFacts
from galaxytree.survey_rows import SurveyRows, of_equal_size
from tests.galaxytree.survey.calls import ledger_of, parts_of, read, score, url, write_catalogue
from tests.galaxytree.survey.stand_in import StandIn

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("sizes", [[], [0], [1], [7, 0, 3], [3, 3, 3], [20], [1, 1, 1, 1, 9], [6], [5, 1]])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_tables_are_cut_and_put_together(sizes: list[int], size: int) -> None:
    ends = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
    tables = [pa.table({"number": pa.array(range(*both), pa.int64())}) for both in pairwise(ends)]
    cut = [table["number"].to_pylist() for table in of_equal_size(tables, size)]
    assert [number for piece in cut for number in piece] == list(range(sum(sizes)))
    assert all(len(piece) == size for piece in cut[:-1])
    assert all(cut)


@pytest.mark.parametrize("start", [0, 3, 99])
@pytest.mark.parametrize("where", [None, "mag >= 0"])
@pytest.mark.parametrize(("limit", "count"), [(None, 100), (7, 7), (1000, 100)])
def test_rows_from_a_chunk_on(
    catalogue: Path, monkeypatch: pytest.MonkeyPatch, start: int, where: str | None, limit: int | None, count: int
) -> None:
    monkeypatch.setattr("galaxytree.survey_rows.READ_ROWS", 10)
    rows = SurveyRows(open_catalogue(catalogue), where, limit)
    assert rows.count == count
    found = [(first, table["url"].to_pylist()) for first, table in rows.chunks(3, ["url"], start=start)]
    expected = [
        (first, [url(each) for each in range(first, min(first + 3, count))]) for first in range(start, count, 3)
    ]
    assert found == expected


def test_a_model_that_says_something_else() -> None:
    with pytest.raises(UnexpectedAnswerError, match="'sha256'"):
        ModelFacts.of({"name": "x", "version": "y"})


def test_a_ledger_that_nothing_was_begun_in_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out.csv.ledger"
    with opened(folder) as ledger:
        assert folder.is_dir()
        with pytest.raises(ValueError, match=r"out\.csv\.ledger"):
            _ = ledger.begun
    assert not folder.exists()


def test_parts_can_be_read_by_anyone(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "c.parquet", 7)
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0006"}
    assert score(catalogue, out, "--chunk-rows", "4", "--prefix", "gz_", server=stand_in.url).exit_code == 1
    assert parts_of(out) == ["part-000000000.parquet", "part-000000004.parquet"]
    part = read(ledger_of(out) / "part-000000004.parquet")
    assert part["status"].to_pylist() == ["ok", "ok", "error"]
    assert part["Class1.1"].to_pylist() == read(out)["gz_Class1.1"].to_pylist()[4:]
    assert part.schema.metadata == {b"galaxytree.first": b"4", b"galaxytree.network": b"a" * 64}


def test_the_example_of_the_docs_runs(stand_in: StandIn, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "survey.md").read_text("utf-8"), re.DOTALL)
    write_catalogue(tmp_path / "galaxies.parquet", 10)
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + example.replace("http://127.0.0.1:8000", stand_in.url)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "10 of 10 rows have scores; {}\n"), done
    assert read(tmp_path / "scores.parquet").num_rows == 10
