"""A survey through a real service, which fetches from a real host of images."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxytree.client import Client
from tests.galaxies import jpeg
from tests.galaxytree.survey.calls import ledger_of, parts_of, read, score, scoring
from tests.image_host import ImageHost, image_host
from tests.servers import Process, serving, wait_for
from tests.tiny_model import write_model

ROWS = 120
CHUNKS = ("--chunk-rows", "10", "--concurrency", "2")


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@pytest.fixture(scope="module")
def fetching(images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Serve a model that says all that models can say, and may fetch from the host."""
    folder = tmp_path_factory.mktemp("fetching")
    outputs = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
    model = write_model(folder / "rich", outputs=outputs)
    with serving(folder / "log", model=str(model), fetch_hosts=images.hosts) as process:
        yield process


def test_killed_in_the_middle_with_urls_that_fail(images: ImageHost, fetching: Process, tmp_path: Path) -> None:
    paths = [f"/galaxy/{number}" if number < 60 else f"/held/{number}" for number in range(ROWS)]
    paths[7], paths[13], paths[90], paths[101] = "/nowhere", "/text", "/nowhere/2", "/galaxy/0"
    urls: list[str | None] = [images.url + path for path in paths]
    urls[20] = None
    urls[21] = "http://10.0.0.1/secret.jpg"
    catalogue = tmp_path / "galaxies.parquet"
    pq.write_table(pa.table({"id": list(range(ROWS)), "url": pa.array(urls, pa.string())}), catalogue)
    undisturbed, out = tmp_path / "undisturbed.parquet", tmp_path / "out.parquet"
    images.let_go()
    ended = score(catalogue, undisturbed, *CHUNKS, server=fetching.url)
    assert ended.exit_code == 1, ended.output
    rows = read(undisturbed).to_pylist()
    assert {number: row["error_code"] for number, row in enumerate(rows) if row["status"] == "error"} == {
        7: "fetch_failed",
        13: "undecodable_image",
        20: "no_image",
        21: "url_forbidden",
        90: "fetch_failed",
    }
    assert rows[101]["Class1.1"] == rows[0]["Class1.1"]
    # It says which host is to be allowed, and where.
    assert "  row 22: url_forbidden: The URL is not fetched: 10.0.0.1 is not among" in ended.stderr
    assert "GALAXYTREE_FETCH_HOSTS" in ended.stderr

    images.hold()
    images.asked.clear()
    with scoring(catalogue, out, *CHUNKS, server=fetching.url) as process:
        wait_for(lambda: len(parts_of(out)) == 6 and images.asked["/held/79"], "what isn't held, and what is in flight")
        process.send_signal(signal.SIGKILL)
        process.wait()
    images.let_go()
    assert score(catalogue, out, *CHUNKS, server=fetching.url).exit_code == 1
    assert out.read_bytes() == undisturbed.read_bytes()
    assert {images.asked[f"/galaxy/{number}"] for number in range(1, 60) if number not in {7, 13, 20, 21}} == {1}
    twice = {path for path, times in images.asked.items() if times == 2 and path.startswith("/held")}
    assert twice <= set(paths[60:80])
    assert max(images.asked[path] for path in paths if path.startswith("/held")) <= 2


def test_files_get_the_scores_that_they_get_alone(fetching: Process, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number, size=80))
    (tmp_path / "5.jpg").write_bytes(b"no image")
    catalogue = tmp_path / "c.csv"
    catalogue.write_text("name,file\n" + "".join(f"galaxy é {number},{number}.jpg\n" for number in range(6)))
    out = tmp_path / "out.parquet"
    words = ["--path-column", "file", "--views", "8", "--detail", "full", *CHUNKS]
    ended = score(catalogue, out, *words, server=fetching.url)
    assert ended.exit_code == 1, ended.output
    rows = read(out).to_pylist()
    assert rows[5]["error_code"] == "undecodable_image"
    with Client(fetching.url) as client:
        for number in range(5):
            said = client.classify(tmp_path / f"{number}.jpg", views=8)
            assert said.path is not None
            assert said.uncertainty is not None
            row = rows[number]
            assert row["name"] == f"galaxy é {number}"
            assert {name: row[name] for name in said.scores} == pytest.approx(said.scores, abs=1e-6)
            assert row["Class1.1_uncertainty"] == pytest.approx(said.uncertainty["Class1.1"], abs=1e-6)
            assert row["out_of_domain"] == pytest.approx(said.out_of_domain, abs=1e-6)
            assert (row["path"], row["summary"]) == (" ".join(said.path), said.summary)
    assert read(out).schema.metadata[b"views"] == b"8"
    assert ledger_of(out).exists()
