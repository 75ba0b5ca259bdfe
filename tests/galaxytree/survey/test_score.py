"""``galaxytree score`` from a catalogue to a table, against a stand-in for a service."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table

from galaxytree.catalogue import open_catalogue
from tests.galaxytree.survey.calls import ledger_of, read, score, url, write_catalogue
from tests.galaxytree.survey.stand_in import COLUMNS, StandIn, scores_of


def test_every_row_once_in_order_with_what_the_catalogue_has(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, "--chunk-rows", "16", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert f"{out} is written: 100 rows, 100 with scores, 0 failed" in ended.stdout
    table = read(out)
    assert table.schema.names[:4] == ["objid", "url", "mag", "Class1.1"]
    assert table.schema.names[-4:] == ["out_of_domain", "status", "error_code", "error_detail"]
    assert table.select(["objid", "url", "mag"]).equals(read(catalogue))
    for number, row in enumerate(table.to_pylist()):
        said = scores_of(url(number))
        assert row["Class1.1"] == pytest.approx(said["scores"]["Class1.1"], rel=1e-6)
        assert row["Class11.6_uncertainty_95"] == pytest.approx(said["uncertainty_95"]["Class11.6"], rel=1e-6)
        assert (row["status"], row["error_code"]) == ("ok", None)
    assert set(stand_in.asked.values()) == {1}
    assert sorted(size for size, _ in stand_in.calls) == [4, *[16] * 6]
    assert not ledger_of(out).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["galaxies.parquet", "out.parquet"]


def test_the_table_says_where_it_is_from_and_not_when(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    outs = [tmp_path / "out.parquet", tmp_path / "other" / "another.parquet"]
    for out, words in zip(outs, (["--chunk-rows", "7"], ["--concurrency", "1"]), strict=True):
        assert score(catalogue, out, "--where", "mag < 5", *words, server=stand_in.url).exit_code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    said = {key.decode(): value.decode() for key, value in read(outs[0]).schema.metadata.items()}
    assert said["model"] == "stand-in"
    assert said["model_sha256"] == "b" * 64
    assert said["network_sha256"] == "a" * 64
    assert said["command"] == ("galaxytree score galaxies.parquet --url-column url --where 'mag < 5' --detail scores")
    assert not any("time" in key or "created" in key for key in said)


def test_failed_rows_are_rows_and_are_listed(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0007", "g0042", "g0043"}
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert "100 rows, 97 with scores, 3 failed" in ended.stdout
    assert "  1 g0007\n" in ended.stderr
    assert "  row 8: g0007: g0007, it seems.\n  row 43: g0042: g0042, it seems." in ended.stderr
    assert ended.stderr.endswith("Rows are counted from 1. The same command with --retry-failed tries these again.\n")
    table = read(out)
    rows = table.to_pylist()
    assert [number for number, row in enumerate(rows) if row["status"] == "error"] == [7, 42, 43]
    assert (rows[42]["error_code"], rows[42]["error_detail"]) == ("g0042", "g0042, it seems.")
    assert all(rows[7][name] is None for name in COLUMNS)
    assert table["objid"].null_count == 0
    assert ledger_of(out).is_dir()

    again = score(catalogue, out, server=stand_in.url)
    assert again.exit_code == 1
    assert "was done already: 100 rows, 97 with scores, 3 failed" in again.stdout
    assert "row 8: g0007" in again.stderr
    assert set(stand_in.asked.values()) == {1}


def test_retrying_asks_for_just_those_that_failed(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    undisturbed, out = tmp_path / "undisturbed.parquet", tmp_path / "out.parquet"
    assert score(catalogue, undisturbed, server=stand_in.url).exit_code == 0
    stand_in.asked.clear()
    stand_in.failing = {"g0007", "g0042", "g0099"}
    assert score(catalogue, out, "--chunk-rows", "16", server=stand_in.url).exit_code == 1
    stand_in.failing = {"g0099"}
    ended = score(catalogue, out, "--chunk-rows", "16", "--retry-failed", server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert "100 rows, 99 with scores, 1 failed" in ended.stdout
    assert {name for name, times in stand_in.asked.items() if times > 1} == {url(7), url(42), url(99)}
    assert read(out)["status"].to_pylist() == ["ok"] * 99 + ["error"]
    stand_in.failing = set()
    assert score(catalogue, out, "--chunk-rows", "16", "--retry-failed", server=stand_in.url).exit_code == 0
    assert stand_in.asked[url(7)] == 2
    assert stand_in.asked[url(99)] == 3
    assert out.read_bytes() == undisturbed.read_bytes()
    assert not ledger_of(out).exists()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.fits", "out.vot"])
@pytest.mark.parametrize("words", [[], ["--where", "mag < 5 or mag > '7'", "--prefix", "gz_", "--columns", "mag"]])
def test_what_went_well_was_done_already_when_it_is_called_again(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, name: str, words: list[str]
) -> None:
    out = tmp_path / name
    rows = 79 if words else 100
    assert score(catalogue, out, *words, server=stand_in.url).exit_code == 0
    was = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # Nobody needs to answer for that, and nothing is left that could be tried again.
    for more in ([], ["--retry-failed"], ["--concurrency", "1", "--chunk-rows", "7"]):
        ended = score(catalogue, out, *words, *more, server="http://127.0.0.1:9")
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert ended.stdout == f"{out} was done already: {rows} rows, {rows} with scores, 0 failed\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == was
    assert set(stand_in.asked.values()) == {1}


def test_what_went_well_is_another_surveys_for_another_command_or_catalogue(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert score(catalogue, out, server=stand_in.url).exit_code == 0
    was = out.read_bytes()
    others = [["--views", "8"], ["--limit", "100"], ["--detail", "full"], ["--where", "mag >= 0"], ["--prefix", "gz_"]]
    for words in others:
        ended = score(catalogue, out, *words, server=stand_in.url)
        assert (ended.exit_code, "Error: output_exists: " in ended.stderr) == (2, True), words
    assert "neither a ledger nor what it says of itself tells that it is of this catalogue and this" in ended.stderr
    # What a CSV file says of itself stands beside it.
    (tmp_path / "out.csv-metadata.json").unlink()
    assert "output_exists: " in score(catalogue, out, server=stand_in.url).stderr
    assert "no ledger beside it (out.csv.ledger)" in score(catalogue, out, "--retry-failed", server=stand_in.url).stderr
    assert out.read_bytes() == was
    assert set(stand_in.asked.values()) == {1}
    assert score(catalogue, out, "--overwrite", server=stand_in.url).exit_code == 0
    assert set(stand_in.asked.values()) == {2}
    write_catalogue(catalogue, 100, mag=[0.0] * 100)
    assert "output_exists: " in score(catalogue, out, server=stand_in.url).stderr


def test_a_table_with_failed_rows_whose_ledger_is_gone(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.fits"
    stand_in.failing = {"g0007", "g0042"}
    assert score(catalogue, out, server=stand_in.url).exit_code == 1
    shutil.rmtree(ledger_of(out))
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 1
    assert "was done already: 100 rows, 98 with scores, 2 failed" in ended.stdout
    assert "  row 8: g0007: g0007, it seems.\n  row 43: g0042: g0042, it seems.\n" in ended.stderr
    assert "Rows are counted from 1. Their ledger is gone" in ended.stderr
    assert "no ledger beside it" in score(catalogue, out, "--retry-failed", server=stand_in.url).stderr
    assert set(stand_in.asked.values()) == {1}


def test_a_foreign_table_is_not_replaced_unless_it_is_said_so(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    out.write_text("precious")
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 2
    assert "output_exists" in ended.stderr
    assert out.read_text() == "precious"
    assert not stand_in.calls
    assert not ledger_of(out).exists()
    assert score(catalogue, out, "--overwrite", server=stand_in.url).exit_code == 0
    assert read(out).num_rows == 100


def test_a_table_that_was_changed_since_is_foreign(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0007"}
    assert score(catalogue, out, server=stand_in.url).exit_code == 1
    out.write_text("edited by hand")
    stand_in.failing = set()
    assert score(catalogue, out, "--retry-failed", server=stand_in.url).exit_code == 2
    assert out.read_text() == "edited by hand"
    assert score(catalogue, out, "--retry-failed", "--overwrite", server=stand_in.url).exit_code == 0
    assert read(out)["status"].to_pylist() == ["ok"] * 100


def test_a_table_that_is_gone_is_written_again_from_the_ledger(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0007"}
    assert score(catalogue, out, server=stand_in.url).exit_code == 1
    kept = out.read_bytes()
    out.unlink()
    # Nobody needs to answer for that.
    ended = score(catalogue, out, server="http://127.0.0.1:9")
    assert ended.exit_code == 1, ended.output
    assert out.read_bytes() == kept


def test_some_columns_and_rows(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    words = ["--where", "mag >= 2 and objid % 2 = 0", "--limit", "5", "--columns", "objid", "--chunk-rows", "2"]
    assert score(catalogue, out, *words, server=stand_in.url).exit_code == 0
    table = read(out)
    assert table.schema.names[:2] == ["objid", "Class1.1"]
    assert table["objid"].to_pylist() == [2**53 + 1 + number for number in (21, 23, 25, 27, 29)]
    assert set(stand_in.asked) == {url(number) for number in (21, 23, 25, 27, 29)}
    none = tmp_path / "none.parquet"
    assert score(catalogue, none, "--limit", "1", "--columns", "", server=stand_in.url).exit_code == 0
    assert read(none).schema.names[0] == "Class1.1"


def test_a_condition_that_no_row_meets(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, "--where", "mag < 0", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert read(out).num_rows == 0
    assert not stand_in.calls


def test_more_columns_in_detail_and_what_is_asked_of_the_service(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    words = ["--detail", "full", "--views", "8", "--prefix", "gz_", "--limit", "3"]
    assert score(catalogue, out, *words, server=stand_in.url).exit_code == 0
    table = read(out)
    assert table.schema.names[3] == "gz_Class1.1"
    assert table["gz_path"].to_pylist() == ["Class1.1 Class7.1"] * 3
    assert table["gz_summary"].to_pylist() == [f"A galaxy, {len(url(0))} letters long."] * 3
    (_, query) = stand_in.calls[0]
    assert query == {"detail": "full", "views": "8", "priority": "bulk"}


def test_names_that_clash(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "c.parquet", 3, Status=["a", "b", "c"])
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 2
    assert "unfit_catalogue: the catalogue has columns named like those of the scores (Status)" in ended.stderr
    assert "--prefix" in ended.stderr
    assert not stand_in.calls
    assert not ledger_of(out).exists()
    assert score(catalogue, out, "--prefix", "gz_", server=stand_in.url).exit_code == 0
    table = read(out)
    assert (table["Status"].to_pylist(), table["gz_status"].to_pylist()) == (["a", "b", "c"], ["ok"] * 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--columns", "objid,nothing"], "no column nothing (--columns); its columns are objid, url, mag"),
        (["--columns", "objid,url,objid"], "unfit_catalogue: --columns has objid twice"),
        (["--columns", "objid\nurl"], "wrong_option: --columns 'objid\\nurl' is no line of names"),
        (["--where", "nothing = 3"], "bad_filter"),
        (["--api-key", "sesame\n"], "wrong_option: the API key has a line end or another control character in it"),
        (["--server", "ftp://somewhere"], "'ftp://somewhere' is no address of a service"),
        (["--server", "http://[::"], "'http://[::' is no address of a service"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, *words, **({} if "--server" in words else {"server": stand_in.url}))
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not stand_in.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["galaxies.parquet"]


def test_a_table_of_no_known_format_and_a_catalogue_that_is_not_there(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    ended = score(catalogue, tmp_path / "out.xlsx", server=stand_in.url)
    assert (ended.exit_code, "unknown_format" in ended.stderr) == (2, True)
    ended = score(tmp_path / "nowhere.csv", tmp_path / "out.csv", server=stand_in.url)
    assert (ended.exit_code, "unreadable_catalogue" in ended.stderr) == (2, True)


@pytest.mark.parametrize("name", ["out.fits.gz", "folder.csv", "galaxies.parquet", "link.parquet"])
def test_a_table_that_cannot_be_written_there_is_refused_before_anything_is_done(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.parquet").symlink_to(catalogue)
    was = catalogue.read_bytes()
    said = {"out.fits.gz": "unwritable_table: ", "folder.csv": "unwritable_table: "}
    ended = score(catalogue, tmp_path / name, "--overwrite", server=stand_in.url)
    assert (ended.exit_code, said.get(name, "wrong_option: ") in ended.stderr) == (2, True)
    assert not stand_in.calls
    assert catalogue.read_bytes() == was


def test_of_many_failed_rows_the_first_few_are_listed(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    stand_in.failing = {"example"}
    ended = score(catalogue, tmp_path / "out.parquet", "--limit", "8", server=stand_in.url)
    assert ended.exit_code == 1
    assert "  8 example\n  row 1: " in ended.stderr
    assert "  row 5: example: example, it seems.\n  ...\n" in ended.stderr


def test_what_came_of_it_as_json(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    stand_in.failing = {"g0007"}
    ended = score(catalogue, tmp_path / "out.parquet", "--json", server=stand_in.url)
    assert ended.exit_code == 1, (ended.output, ended.exception)
    assert json.loads(ended.stdout) == {
        "output": str(tmp_path / "out.parquet"),
        "rows": 100,
        "ok": 99,
        "failed": {"g0007": 1},
    }


def test_a_key_is_needed(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    stand_in.api_key = "sesame"
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 2
    assert "unauthorized: A key is needed. Set --api-key or GALAXYTREE_API_KEY." in ended.stderr
    assert score(catalogue, out, server=stand_in.url, api_key="sesame").exit_code == 0
    assert b"sesame" not in out.read_bytes()


def test_other_formats(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    stand_in.failing = {"g0007"}
    spoken = {}
    for name in ("out.csv", "out.fits", "out.vot"):
        ended = score(catalogue, tmp_path / name, server=stand_in.url)
        assert ended.exit_code == 1, ended.output
        found = Table.read(tmp_path / name)
        assert len(found) == 100
        assert list(found["objid"]) == read(catalogue)["objid"].to_pylist()
        assert float(found["Class1.1"][3]) == pytest.approx(scores_of(url(3))["scores"]["Class1.1"], rel=1e-6)
        assert str(found["error_code"][7]) == "g0007"
        spoken[name] = open_catalogue(tmp_path / name).schema.field("Class4.1").metadata
    # All of them say in words what a score is.
    assert b'"spiral arms"' in spoken["out.csv"][b"description"]
    assert spoken["out.csv"][b"ucd"] == b"stat.probability;src.morph"
    assert spoken["out.csv"] == spoken["out.fits"] == spoken["out.vot"]
    with fits.open(tmp_path / "out.fits") as file:
        assert [part.name for part in file] == ["PRIMARY", "GALAXYTREE"]


def test_a_dry_run_shows_the_first_requests_and_sends_none(stand_in: StandIn, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "galaxies.parquet", 10, image_url=pa.array([None] * 10, pa.string()))
    out = tmp_path / "out.parquet"
    ended = score(catalogue, out, "--url-column", "url", "--chunk-rows", "3", "--dry-run", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert "10 to score, in 4 chunks of 3, 4 in flight\n" in ended.stdout
    assert "Model: stand-in 2026.11.1" in ended.stdout
    for number in range(5):
        assert f"  row {number + 1}: {url(number)}\n" in ended.stdout
    assert "The first requests (rows are counted from 1):\n" in ended.stdout
    assert url(5) not in ended.stdout
    assert not stand_in.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["galaxies.parquet"]
    alone = score(
        catalogue, out, "--url-column", "image_url", "--dry-run", "--patience-seconds", "0.1",
        server="http://127.0.0.1:9",
    )  # fmt: skip
    assert alone.exit_code == 0, alone.output
    assert "Model: not known" in alone.stdout
    assert "row 1: none (no_image: The column image_url is empty in this row.)" in alone.stdout
    assert "10 to score, in 1 chunk of 256, 4 in flight\n" in alone.stdout
