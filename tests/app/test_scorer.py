"""Many images in this process get what the service says of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import app.scorer
from app.scorer import Scorer
from galaxytree.client_errors import EngineError
from galaxytree.image_files import Unread
from galaxytree.in_process import GivenImage, _scorer_of, new_scorer, the_scorer
from tests.galaxies import jpeg, png
from tests.image_host import ImageHost, image_host
from tests.servers import serving
from tests.tiny_model import write_model

MAX_IMAGE_BYTES = "100000"


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@pytest.fixture(scope="module")
def settings(images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    outputs = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
    model = write_model(tmp_path_factory.mktemp("models") / "rich", outputs=outputs)
    return {
        "model": str(model),
        "device": "cpu",
        "fetch_hosts": images.hosts,
        "max_image_bytes": MAX_IMAGE_BYTES,
        "max_image_pixels": "250000",
    }


def environ(settings: dict[str, str], patch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        patch.setenv(f"GALAXYTREE_{name.upper()}", value)


@pytest.fixture(scope="module")
def scorer(settings: dict[str, str]) -> Iterator[Scorer]:
    with pytest.MonkeyPatch.context() as patch:
        environ(settings, patch)
        one = Scorer()
    yield one
    one.close()
    one.close()


def test_they_get_what_the_service_says(
    scorer: Scorer, images: ImageHost, settings: dict[str, str], tmp_path: Path
) -> None:
    urls = [images.url + path for path in ["/galaxy/0", "/nowhere", "/text", *(f"/galaxy/{n}" for n in range(30))]]
    urls += ["http://10.0.0.1/galaxy.jpg", "ftp://here/galaxy.jpg", urls[3]]
    with serving(tmp_path / "log", **settings) as service:
        facts = httpx.get(f"{service.url}/model").json()
        said = {}
        for query in ("detail=scores&views=1", "detail=full&views=8"):
            answer = httpx.post(f"{service.url}/classify/batch?{query}", json={"urls": urls}, timeout=60)
            said[query] = answer.json()["results"]
    assert {name: facts[name] for name in scorer.facts()} == scorer.facts()
    for query, full, views in (("detail=scores&views=1", False, 1), ("detail=full&views=8", True, 8)):
        rows = scorer.rows(urls, full=full, views=views)  # type: ignore[arg-type]
        for row, result in zip(rows, said[query], strict=True):
            assert row["status"] == result["status"]
            if row["status"] == "error":
                assert {name: result["error"][name] for name in ("code", "detail", "status")} == {
                    name: row["error"][name] for name in ("code", "detail", "status")
                }
                continue
            ours, theirs = row["classification"], result["classification"]
            assert {name: ours[name] for name in ("model", "image", "views")} == {
                name: theirs[name] for name in ("model", "image", "views")
            }
            assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-6)
            assert ours["uncertainty_95"] == pytest.approx(theirs["uncertainty_95"], abs=1e-6)
            assert ours.get("summary") == theirs.get("summary")


def test_bytes_files_and_what_is_none(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "galaxy.jpg"
    path.write_bytes(jpeg(1, size=64))
    images: list[GivenImage] = [
        jpeg(1, size=64),
        path,
        tmp_path / "missing.jpg",
        Unread("no_image", "None."),
        b"no image",
        bytes(int(MAX_IMAGE_BYTES) + 1),
        png(2, size=600),
        png(3),
    ]
    rows = scorer.rows(images)
    codes = [row["error"]["code"] if row["status"] == "error" else None for row in rows]
    assert codes == [
        None, None, "unreadable_file", "no_image", "undecodable_image", "payload_too_large",
        codes[6], None,
    ]  # fmt: skip
    assert codes[6] in {"too_many_pixels", "payload_too_large"}
    assert rows[0] == rows[1]
    assert scorer.rows([]) == []


def test_threads_share_it(scorer: Scorer) -> None:
    images = [jpeg(number, size=64) for number in range(20)]
    alone = scorer.rows(images)
    with ThreadPoolExecutor(4) as threads:
        for rows in threads.map(scorer.rows, [images] * 4):
            for row, expected in zip(rows, alone, strict=True):
                assert row["classification"]["scores"] == pytest.approx(expected["classification"]["scores"], abs=1e-6)


@pytest.mark.parametrize("where", ["decode", "score"])
def test_an_image_that_something_unexpected_befalls_is_a_row(
    scorer: Scorer, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_given: object) -> None:
        msg = "out of luck at /secret/place"
        raise RuntimeError(msg)

    monkeypatch.setattr(app.scorer, where, fail)
    rows = scorer.rows([jpeg(size=64)] * 3)
    assert {row["error"]["code"] for row in rows} == {"internal_error"}
    assert "secret" not in str(rows)
    assert "out of luck" in caplog.text
    monkeypatch.undo()
    assert scorer.rows([jpeg(size=64)])[0]["status"] == "ok"


def test_a_run_that_fails_is_told_without_its_reason(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_given: object, **_more: object) -> None:
        msg = "out of luck at /secret/place"
        raise RuntimeError(msg)

    monkeypatch.setattr(scorer._engine.model, "predict", fail)
    (row,) = scorer.rows([jpeg(size=64)])
    assert row["error"]["code"] == "internal_error"
    assert "secret" not in str(row)
    assert "out of luck" in caplog.text


def test_more_views_than_fit(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    environ({**settings, "max_batch": "4"}, monkeypatch)
    one = Scorer()
    try:
        with pytest.raises(EngineError, match="8 views of an image don't fit into a run of 4"):
            one.rows([jpeg(size=64)], views=8)
    finally:
        one.close()


def test_no_model_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GALAXYTREE_MODEL", str(tmp_path))
    with pytest.raises(EngineError, match="there is no model in"):
        new_scorer()
    monkeypatch.setenv("GALAXYTREE_VIEWS", "5")
    with pytest.raises(EngineError, match="views: "):
        new_scorer()
    monkeypatch.setattr("galaxytree.in_process.entry_points", lambda **_given: [])
    with pytest.raises(EngineError, match="nothing that scores in this process is installed: pip install"):
        new_scorer()

    class Broken:
        def load(self) -> None:
            raise ModuleNotFoundError(name="onnxruntime")

    monkeypatch.setattr("galaxytree.in_process.entry_points", lambda **_given: [Broken()])
    with pytest.raises(EngineError, match=r"packages that are not installed \(onnxruntime\): pip install"):
        new_scorer()


def test_one_in_a_process(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    environ(settings, monkeypatch)
    _scorer_of.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _number: the_scorer(), range(4)))
    (one,) = found
    one.close()
    _scorer_of.cache_clear()
