"""Tables of galaxies get their scores, part by part: in this process, through a service, and as Dask and LSDB do it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from galaxytree import in_process
from galaxytree.client_errors import UnreachableError
from galaxytree.image_files import MAX_FILE_BYTES, read_image
from galaxytree.scoring import empty_frame, score_frame, score_table
from tests.galaxies import jpeg
from tests.image_host import ImageHost, image_host
from tests.servers import Process, environment, serving
from tests.tiny_model import write_model

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "clusters.md"


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@pytest.fixture(scope="module")
def settings(images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = write_model(tmp_path_factory.mktemp("models") / "rich", outputs=("scores", "uncertainty", "out_of_domain"))
    return {"model": str(folder), "device": "cpu", "fetch_hosts": images.hosts}


@pytest.fixture(scope="module")
def scorer(settings: dict[str, str]) -> Iterator[in_process.Scores]:
    """Load a model in this process."""
    in_process._scorer_of.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"GALAXYTREE_{name.upper()}", value)
        one = in_process.the_scorer()
        yield one
        one.close()
    in_process._scorer_of.cache_clear()


@pytest.fixture(scope="module")
def fetching(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("fetching") / "log", **settings) as process:
        yield process


@pytest.fixture(params=["here", "service"])
def way(request: pytest.FixtureRequest, scorer: in_process.Scores) -> dict[str, Any]:
    """Say who scores: this process, or a service."""
    assert scorer
    return {} if request.param == "here" else {"server": request.getfixturevalue("fetching").url}


@pytest.fixture
def files(tmp_path: Path) -> pd.DataFrame:
    """Write galaxies; some rows have none, or one that can't be read."""
    paths = []
    for number in range(10):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg(number, size=64))
        paths.append(str(path))
    (tmp_path / "6.jpg").write_bytes(b"no image")
    return pd.DataFrame(
        {
            "objid": np.arange(10) + 2**53 + 1,
            "file": [*paths[:3], None, "", str(tmp_path / "missing.jpg"), *paths[6:]],
            "ra": np.arange(10) * 36.0,
            "dec": np.arange(10) * 9.0 - 40,
            "odd": [(number,) for number in range(10)],
        }
    )


CODES = [None, None, None, "no_image", "no_image", "unreadable_file", "undecodable_image", None, None, None]


def codes(frame: pd.DataFrame) -> list[str | None]:
    return [None if pd.isna(code) else str(code) for code in frame["error_code"]]


def test_urls_of_a_table(images: ImageHost, way: dict[str, Any]) -> None:
    urls = [f"{images.url}/galaxy/0", None, f"{images.url}/nowhere", "http://10.0.0.1/x.jpg", f"{images.url}/galaxy/8"]
    table = pa.table({"name": list("abcde"), "url": urls}, metadata={"of": "mine"})
    found = score_table(table, url_column="url", **way)
    assert found.select(["name", "url"]).equals(table)
    assert found.schema.metadata[b"of"] == b"mine"
    assert found["error_code"].to_pylist() == [None, "no_image", "fetch_failed", "url_forbidden", None]
    assert found["Class1.1"][0].as_py() == pytest.approx(found["Class1.1"][4].as_py(), abs=1e-6)
    assert found.schema.names[-4:] == ["out_of_domain", "status", "error_code", "error_detail"]
    assert "path" not in found.schema.names
    full = score_table(table.slice(0, 1), url_column="url", detail="full", views=8, **way)
    assert full["summary"][0].as_py()
    assert full["Class1.1"][0].as_py() != found["Class1.1"][0].as_py()


def test_this_process_and_a_service_say_the_same(
    files: pd.DataFrame, scorer: in_process.Scores, fetching: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scorer
    monkeypatch.setattr("galaxytree.uploads.CALL_ITEMS", 2)
    monkeypatch.setattr("galaxytree.uploads.CALL_BYTES", 3000)
    here, there = (score_frame(files, path_column="file", **way) for way in ({}, {"server": [fetching.url]}))
    assert codes(here) == codes(there) == CODES
    numbers = here.select_dtypes("float32").columns
    assert len(numbers) == 2 * 37 + 1
    np.testing.assert_allclose(here[numbers], there[numbers], atol=1e-5)
    assert here.drop(columns=numbers).equals(there.drop(columns=numbers))


def test_a_frame_keeps_its_index_and_columns(files: pd.DataFrame, way: dict[str, Any]) -> None:
    frame = files.set_index("objid").iloc[::-1]
    found = score_frame(frame, path_column="file", **way)
    assert found[frame.columns].equals(frame)
    assert codes(found) == CODES[::-1]
    assert score_frame(frame.iloc[:0], path_column="file", **way).dtypes.equals(found.dtypes)


def test_bytes(files: pd.DataFrame, way: dict[str, Any]) -> None:
    data = [jpeg(0, size=64), None, b"no image", b""]
    table = score_table(pa.table({"image": pa.array(data, pa.large_binary())}), image_column="image", **way)
    assert table["error_code"].to_pylist() == [None, "no_image", "undecodable_image", "no_image"]
    frame = score_frame(pd.DataFrame({"image": data}), image_column="image", **way)
    assert codes(frame) == table["error_code"].to_pylist()
    alone = score_frame(files.iloc[:1], path_column="file", **way)
    assert frame["Class1.1"][0] == pytest.approx(alone["Class1.1"][0], abs=1e-6)


def test_what_is_wrong_with_a_call_is_said(files: pd.DataFrame, scorer: in_process.Scores) -> None:
    assert scorer
    for asked in ({}, {"url_column": "file", "path_column": "file"}):
        with pytest.raises(ValueError, match="name one column of images"):
            score_frame(files, **asked)
    with pytest.raises(KeyError, match="nothing"):
        score_frame(files, path_column="nothing")
    with pytest.raises(KeyError, match="nothing"):
        score_table(pa.table({"a": [1]}), path_column="nothing")
    with pytest.raises(ValueError, match="the column objid is of int64, not of text"):
        score_frame(files, url_column="objid")
    with pytest.raises(ValueError, match=r"the column file is of .*, not of bytes"):
        score_frame(files, image_column="file")
    with pytest.raises(ValueError, match=r"has columns already that are to be added: Class1\.1, status"):
        score_frame(files.assign(status="x", **{"Class1.1": 0.5}), path_column="file")
    with pytest.raises(ValueError, match="nowhere"):
        score_frame(files, path_column="file", server="nowhere")
    with pytest.raises(UnreachableError):
        score_frame(files, path_column="file", server="http://127.0.0.1:1", patience_seconds=0)


def test_categories_and_a_column_of_nothing(images: ImageHost, scorer: in_process.Scores) -> None:
    assert scorer
    urls = pd.Series([f"{images.url}/galaxy/1", None, f"{images.url}/galaxy/1"], dtype="category")
    assert codes(score_frame(pd.DataFrame({"url": urls}), url_column="url")) == [None, "no_image", None]
    assert score_table(pa.table({"url": pa.nulls(2)}), url_column="url")["status"].to_pylist() == ["error"] * 2


def test_a_file_that_is_too_large(tmp_path: Path, scorer: in_process.Scores) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    frame = score_frame(pd.DataFrame({"file": [str(path), "a\0b"]}), path_column="file")
    assert codes(frame) == ["payload_too_large", "unreadable_file"]
    assert scorer.rows([read_image(path)])[0]["error"]["detail"].startswith(
        f"The file {path.name} has more than 67,108,864 bytes"
    )


def test_dask_maps_over_the_parts_of_a_catalogue(files: pd.DataFrame, way: dict[str, Any]) -> None:
    frame = files.drop(columns="odd")
    parts = dd.from_pandas(frame, npartitions=2)
    asked = {"path_column": "file", **way}
    scored = parts.map_partitions(score_frame, **asked, meta=empty_frame(parts, **asked))
    assert list(scored.columns) == list(score_frame(frame.iloc[:0], **asked).columns)
    with dask.config.set(scheduler="threads"):
        found = scored.compute()
        good = scored[scored.status == "ok"]["Class1.1"].compute()
    expected = score_frame(frame, **asked)
    assert codes(found) == CODES
    assert found["objid"].tolist() == frame["objid"].tolist()
    np.testing.assert_allclose(found["Class1.1"], expected["Class1.1"], atol=1e-6)
    assert len(good) == CODES.count(None)


@pytest.mark.parametrize("name", ["Dask", "LSDB", "pyarrow"])
def test_the_page_s_examples_run(name: str, settings: dict[str, str], tmp_path: Path) -> None:
    """As a user would run them: in a process of their own, in a folder with galaxies."""
    found = re.search(rf"^## {name}\n.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number, size=64))
    frame = pd.DataFrame({"file": [f"{number}.jpg" for number in range(6)], "ra": 10.0, "dec": np.arange(6) * 10.0})
    frame.to_parquet(tmp_path / "galaxies.parquet")
    done = subprocess.run(
        [sys.executable, "-c", found[1]],
        cwd=tmp_path,
        env=environment(**settings) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ok +6$", done.stdout, re.MULTILINE), done.stdout
