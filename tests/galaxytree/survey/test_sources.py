"""Where images are: columns of URLs, of files, and positions; and rows that say nothing of use."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxytree import image_files, uploads
from tests.galaxytree.survey.calls import read, score, url
from tests.galaxytree.survey.stand_in import StandIn, scores_of


def written(path: Path, **columns: Any) -> Path:  # noqa: ANN401
    pq.write_table(pa.table(columns), path)
    return path


def test_urls_that_are_missing_are_failed_rows_and_never_sent(stand_in: StandIn, tmp_path: Path) -> None:
    urls = [url(0), None, "", "  ", f" {url(4)}\n"]
    catalogue = written(tmp_path / "c.parquet", id=[1, 2, 3, 4, 5], image_url=urls)
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert "  3 no_image" in ended.stderr
    rows = read(out).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "error", "error", "error", "ok"]
    assert (rows[1]["error_code"], rows[1]["error_detail"]) == (
        "no_image",
        "The column image_url is empty in this row.",
    )
    assert rows[4]["Class1.1"] == pytest.approx(scores_of(url(4))["scores"]["Class1.1"], rel=1e-6)
    assert stand_in.asked == {url(0): 1, url(4): 1}
    # They fail again without anybody being asked.
    assert score(catalogue, out, "--retry-failed", server=stand_in.url).exit_code == 1
    assert len(stand_in.calls) == 1


def test_a_catalogue_without_any_image(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = written(tmp_path / "c.parquet", url=pa.array([None] * 5, pa.null()))
    ended = score(catalogue, tmp_path / "out.parquet", "--chunk-rows", "2", server=stand_in.url)
    assert ended.exit_code == 1, ended.output
    assert "5 of 5 rows (100.0%), 5 failed" in ended.stderr
    assert not stand_in.calls


def test_urls_that_are_words_of_a_dictionary(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = written(tmp_path / "c.parquet", url=pa.array([url(0), url(0), None]).dictionary_encode())
    assert score(catalogue, tmp_path / "out.parquet", server=stand_in.url).exit_code == 1
    assert stand_in.asked == {url(0): 2}


@pytest.mark.parametrize(
    ("columns", "words", "said"),
    [
        (["id"], [], "the catalogue has no column url, image_url, cutout_url"),
        (["url", "cutout_url"], [], "the catalogue has the columns url and cutout_url: say where the images are"),
        (["id"], ["--url-column", "link"], "the catalogue has no column link (--url-column); its columns are id"),
        (["id"], ["--url-column", "id"], "the column id (--url-column) holds int64, not text"),
        (["url"], ["--survey", "sdss", "--ra-column", "url"], "the column url (--ra-column) holds string, not numbers"),
        (["id"], ["--survey", "sdss"], "the catalogue has no column ra (--ra-column)"),
        (
            ["id"],
            ["--survey", "sdss", "--ra-column", "id", "--dec-column", "id"],
            "different ones; these are id, id",
        ),
        (["id"], ["--dec-column", "id"], "are for --survey"),
        (["id"], ["--hips", "CDS/P/DSS2/red"], "--hips is for --survey hips"),
        (["url"], ["--url-column", "url", "--survey", "sdss"], "images are in one place"),
    ],
)
def test_what_the_catalogue_does_not_have(
    stand_in: StandIn, tmp_path: Path, columns: list[str], words: list[str], said: str
) -> None:
    table: dict[str, Any] = {name: [1] if name == "id" else ["x"] for name in columns}
    ended = score(written(tmp_path / "c.parquet", **table), tmp_path / "out.parquet", *words, server=stand_in.url)
    assert ended.exit_code == 2
    assert f"unfit_catalogue: {said}" in ended.stderr or said in ended.stderr
    assert not stand_in.calls


def test_files_beside_the_catalogue(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CALL_BYTES", 1000)
    monkeypatch.setattr(image_files, "MAX_FILE_BYTES", 5000)
    (tmp_path / "images").mkdir()
    for number, size in enumerate((400, 700, 300, 4000, 10)):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(bytes([number]) * size)
    (tmp_path / "images" / "large.jpg").write_bytes(bytes(5001))
    outside = tmp_path / "elsewhere.jpg"
    outside.write_bytes(b"elsewhere")
    paths = [
        "images/0.jpg", "images/1.jpg", "images/none.jpg", "images", None, "images/2.jpg", "images/3.jpg", "a\0b",
        "images/large.jpg", "images/4.jpg", str(outside),
    ]  # fmt: skip
    catalogue = written(tmp_path / "c.parquet", file=paths)
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, "--path-column", "file", server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    rows = read(out).to_pylist()
    failed = {number: row["error_code"] for number, row in enumerate(rows) if row["status"] == "error"}
    assert failed == {
        2: "unreadable_file", 3: "unreadable_file", 4: "no_image", 7: "unreadable_file", 8: "payload_too_large"
    }  # fmt: skip
    assert [rows[number]["error_detail"] for number in (2, 3, 7)] == [
        "none.jpg: No such file or directory", "images: Is a directory", "'a\\x00b': embedded null byte"
    ]  # fmt: skip
    for number, row in enumerate(rows):
        if number not in failed:
            data = (tmp_path / str(paths[number])).read_bytes()
            assert row["Class1.1"] == pytest.approx(scores_of(data)["scores"]["Class1.1"], rel=1e-6)
    assert [size for size, _ in stand_in.calls] == [2, 2, 2]
    assert stand_in.asked["0.jpg"] == 1

    (tmp_path / "images" / "none.jpg").write_bytes(b"here now")
    assert score(catalogue, out, "--path-column", "file", "--retry-failed", server=stand_in.url).exit_code == 1
    assert read(out)["status"].to_pylist()[2] == "ok"
    assert stand_in.asked["none.jpg"] == 1
    assert stand_in.asked["0.jpg"] == 1


def test_files_that_another_network_scores(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    catalogue = written(tmp_path / "c.parquet", file=["a.jpg"])
    stand_in.changes_after = 0
    ended = score(catalogue, tmp_path / "out.parquet", "--path-column", "file", server=stand_in.url)
    assert ended.exit_code == 2
    assert "network_changed" in ended.stderr


def test_a_pipe_is_no_file_and_not_waited_for(stand_in: StandIn, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    catalogue = written(tmp_path / "c.parquet", file=["pipe.jpg", "/dev/null"])
    out = tmp_path / "out.parquet"
    assert score(catalogue, out, "--path-column", "file", server=stand_in.url).exit_code == 1
    assert read(out)["error_code"].to_pylist() == ["unreadable_file"] * 2
    assert not stand_in.calls


def test_no_file_can_be_read(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = written(tmp_path / "c.parquet", file=["nothing", "at", "all"])
    assert score(catalogue, tmp_path / "out.parquet", "--path-column", "file", server=stand_in.url).exit_code == 1
    assert not stand_in.calls


def test_positions_on_the_sky(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = written(
        tmp_path / "c.parquet",
        ra=[10.0, None, 400.0, 20.0, 30.0, float("nan")],
        dec=[1.0, 2.0, 3.0, -91.0, 5.0, 1.0],
        petroR90_r=pa.array([4.0, 4.0, 4.0, 4.0, 0.0, 4.0], pa.float32()),
    )
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, "--survey", "sdss", server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert "Warning" not in ended.stderr
    rows = read(out).to_pylist()
    assert [row["error_code"] for row in rows] == [None, *["bad_position"] * 5]
    assert rows[2]["error_detail"] == "Right ascension 400.0 is not from 0 to 360 degrees."
    (asked,) = stand_in.asked
    query = parse_qs(urlsplit(asked).query)
    assert float(query["scale"][0]) == pytest.approx(0.02 * 4)
    assert (float(query["ra"][0]), float(query["dec"][0])) == (10, 1)


@pytest.mark.parametrize("names", [("RA", "DEC", "PETROR90_R"), ("Ra", "Dec", "petror90_r")])
def test_positions_in_columns_with_other_capitals(stand_in: StandIn, tmp_path: Path, names: tuple[str, ...]) -> None:
    catalogue = written(tmp_path / "c.parquet", **dict(zip(names, ([10.0], [1.0], [4.0]), strict=True)))
    ended = score(catalogue, tmp_path / "out.parquet", "--survey", "sdss", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert "Warning" not in ended.stderr
    (asked,) = stand_in.asked
    query = parse_qs(urlsplit(asked).query)
    assert (float(query["ra"][0]), float(query["scale"][0])) == (10, pytest.approx(0.08))


def test_columns_that_differ_in_capitals_alone(stand_in: StandIn, tmp_path: Path) -> None:
    # Of these the one that is so written; of the others none.
    catalogue = written(tmp_path / "c.parquet", URL=[url(1)], url=[url(2)])
    assert score(catalogue, tmp_path / "out.parquet", server=stand_in.url).exit_code == 0
    assert stand_in.asked == {url(2): 1}
    catalogue = written(tmp_path / "d.parquet", URL=[url(1)], Url=[url(2)])
    ended = score(catalogue, tmp_path / "o.parquet", server=stand_in.url)
    assert (ended.exit_code, "the catalogue has no column url" in ended.stderr) == (2, True)
    catalogue = written(tmp_path / "e.parquet", Image_URL=[url(3)])
    assert score(catalogue, tmp_path / "o.parquet", server=stand_in.url).exit_code == 0
    assert stand_in.asked[url(3)] == 1


def test_positions_in_other_columns_and_units(stand_in: StandIn, tmp_path: Path) -> None:
    fields = [
        pa.field("alpha", pa.float64(), metadata={"unit": "rad"}),
        pa.field("delta", pa.float64()),
        pa.field("size", pa.float64(), metadata={"unit": "arcmin"}),
    ]
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table([[1.0], [2.0], [0.1]], schema=pa.schema(fields)), path)
    words = ["--survey", "hips", "--hips", "CDS/P/SDSS9/color", "--ra-column", "alpha", "--dec-column", "delta"]
    out = tmp_path / "out.parquet"
    ended = score(path, out, *words, "--radius-column", "size", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert ended.stderr.count("Warning: the network was trained on pictures of SDSS") == 1
    (asked,) = stand_in.asked
    query = parse_qs(urlsplit(asked).query)
    assert query["hips"] == ["CDS/P/SDSS9/color"]
    assert float(query["ra"][0]) == pytest.approx(57.29578)
    assert float(query["fov"][0]) == pytest.approx(0.02 * 6 * 424 / 3600)
    assert b"--hips CDS/P/SDSS9/color --ra-column alpha" in read(out).schema.metadata[b"command"]
    without = score(path, tmp_path / "o.parquet", *words, "--dry-run", server=stand_in.url)
    assert "Warning: the network was trained" in without.stdout
    assert "without a column of radii" in without.stdout
