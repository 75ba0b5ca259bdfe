"""Surveys that are measured: the host says what it should, and the page hides nothing."""

import http.client
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command_line
from benchmarks.__main__ import main
from benchmarks.failures import NotMeasuredError
from benchmarks.images import Images
from benchmarks.survey import catalogue, performing
from benchmarks.survey.measure import Disturbed, Steady
from benchmarks.survey.page import SurveyResults, publish
from benchmarks.survey.performing import SurveySettings
from benchmarks.survey.running import ImageHost, image_host
from tests.benchmarks.made_up import results as made_up

ROWS = 16


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> object:
    # Few made-up galaxies: a folder that has none of Galaxy Zoo's.
    with pytest.MonkeyPatch.context() as patch, image_host(tmp_path_factory.mktemp("none"), ROWS) as running:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield running


def test_the_host_serves_well_or_badly_and_counts(host: ImageHost) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{host.port}", timeout=0.5) as client:
        good = client.get("/good/7.jpg")
        assert good.content.startswith(b"\xff\xd8")
        assert client.get("/good/8.jpg").content != good.content
        assert client.get("/missing/9.jpg").status_code == 404
        assert client.get("/text/10.jpg").headers["content-type"] == "text/html"
        with pytest.raises(httpx.ReadTimeout):
            client.get("/slow/11.jpg")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/cut/12.jpg")
        client.get("/good/7.jpg")
    counts = host.counts()
    assert [counts[row] for row in range(6, 14)] == [0, 2, 1, 1, 1, 1, 1, 0]


def test_the_host_hangs_up_on_what_is_no_http(host: ImageHost) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.connect()
    connection.sock.sendall(b"hello\r\n\r\n")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse().read()
    connection.close()


def test_a_host_that_does_not_come_up_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(NotMeasuredError, match="did not come up"), image_host(tmp_path, -1):
        pass


def test_two_rows_in_a_hundred_are_bad_and_of_every_kind() -> None:
    kinds = [catalogue.mostly_good(row) for row in range(1000)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "good": 980, "missing": 5, "slow": 5, "cut": 5, "text": 5,
    }  # fmt: skip


def written(folder: Path, ids: list[int], statuses: list[str], scores: list[float | None]) -> Path:
    table = pa.table({"objid": ids, "status": statuses, "Class1.1": pa.array(scores, pa.float32())})
    pq.write_table(table, folder / "out.parquet")
    return folder / "out.parquet"


def test_what_is_wrong_with_a_table_is_counted(tmp_path: Path) -> None:
    given = catalogue.write(tmp_path / "catalogue.csv", 3, 80, catalogue.good).read_text("utf-8").splitlines()
    ids = [int(line.partition(",")[0]) for line in given[1:]]
    assert given[1].endswith(",http://127.0.0.1:80/good/0.jpg")
    well = written(tmp_path, ids, ["ok"] * 3, [0.5] * 3)
    assert not any(catalogue.held_against(well, 3, catalogue.good).values())
    ill = written(tmp_path, [ids[1], ids[0]], ["ok", "error"], [None, None])
    found = catalogue.held_against(ill, 3, catalogue.good)
    assert found == {"rows": 1, "misplaced": 2, "status": 1, "unscored": 1}


def steady(**changed: object) -> Steady:
    well = Steady(
        precision="fp32",
        rows=100_000,
        seconds=100,
        cpu_seconds=7,
        classify_per_second=[1000, 1100],
        resident=[200, 201, 202, 203, 210],
        service_mib=300,
        wrong={"rows": 0, "misplaced": 0},
        fetched_again=0,
        status=0,
    )
    return well.model_copy(update=changed)


def disturbed(**changed: object) -> Disturbed:
    well = Disturbed(
        precision="fp32",
        rows=100_000,
        bad=2000,
        seconds=(100, 130),
        kills=3,
        restarts=1,
        same=True,
        scored_again=4000,
        wrong={"rows": 0},
        statuses=(1, 1),
    )
    return well.model_copy(update=changed)


def page(folder: Path, *, whole: bool = True, **of: object) -> str:
    run = made_up()
    results = SurveyResults(
        command="python -m benchmarks survey",
        finished="today",
        machine=run.machine,
        commit=run.commit,
        model=run.model,
        images="made up",
        whole=whole,
    ).model_copy(update=of)
    return publish(results, folder).read_text("utf-8")


def test_a_page_of_surveys_that_went_well(tmp_path: Path) -> None:
    text = page(tmp_path, steady=[steady()], disturbed=[disturbed()])
    assert "0.952: 1000 rows/s in 100 s" in text
    assert "not met" not in text
    assert "not to be published" not in text
    assert text.count("| met |") == 5


@pytest.mark.parametrize(
    "bad",
    [
        {"steady": [steady(seconds=106)]},
        {"steady": [steady(resident=[200, 200, 200, 200, 301])]},
        {"steady": [steady(wrong={"rows": 1})]},
        {"steady": [steady(status=1)]},
        {"disturbed": [disturbed(same=False)]},
        {"disturbed": [disturbed(wrong={"misplaced": 2})]},
        {"disturbed": [disturbed(scored_again=33_000)]},
    ],
    ids=str,
)
def test_what_was_not_reached_is_said(tmp_path: Path, bad: dict[str, object]) -> None:
    assert page(tmp_path, **bad).count("**not met**") == 1


def test_a_part_of_a_run_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fails(*_: object) -> Steady:
        msg = "no service"
        raise NotMeasuredError(msg)

    monkeypatch.setattr(performing, "galaxies", lambda *_: Images((b"image",), "none"))
    monkeypatch.setattr(performing, "steady", lambda *_: steady())
    monkeypatch.setattr(performing, "disturbed", lambda *_: disturbed())
    monkeypatch.setattr(performing, "RESULTS", tmp_path / "whole")
    monkeypatch.setattr(performing, "PARTIAL_RESULTS", tmp_path / "part")
    whole = performing.perform(SurveySettings(data=tmp_path), "bench", said.append)
    assert whole.is_relative_to(tmp_path / "whole")
    part = performing.perform(SurveySettings(data=tmp_path, rows=10), "bench", said.append)
    assert part.is_relative_to(tmp_path / "part")
    monkeypatch.setattr(performing, "steady", fails)
    stopped = performing.perform(SurveySettings(data=tmp_path), "bench", said.append)
    assert "not to be published" in stopped.read_text("utf-8")
    assert said == ["stopped: no service"]


def test_pages_are_written_anew_from_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page(tmp_path, steady=[steady()])
    (written_to,) = (tmp_path / "surveys").glob("*.md")
    written_to.unlink()
    monkeypatch.setattr(command_line, "RESULTS", tmp_path)
    done = CliRunner().invoke(main, ["table"])
    assert done.exit_code == 0, done.output
    assert written_to.read_text("utf-8") == text
