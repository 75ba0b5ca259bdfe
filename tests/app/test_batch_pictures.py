"""``POST /classify/batch?picture=true``: the bytes that were fetched, beside what was seen in them."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from galaxytree.schemas import BatchAnswer, BatchResult
from tests.app.batches import LINES, Stream, codes_of, lines, results_of, settled
from tests.galaxies import jpeg_of_bytes, png
from tests.image_host import IMAGES, ImageHost, image_host
from tests.servers import Threaded, threaded, wait_for

PATH = "/classify/batch?picture=true&detail=scores"
LARGE = 400_000


def settings(folder: Path, images: ImageHost) -> Settings:
    return Settings(model=folder, device="cpu", drain_seconds=0, workers=1, fetch_hosts=images.hosts, fetch_tries=1)


@pytest.fixture
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        host.let_go()
        yield host


@pytest.fixture
def one(model_folder: Path, images: ImageHost) -> Iterator[Threaded]:
    with threaded(settings(model_folder, images)) as found:
        yield found
        wait_for(lambda: (found.admission.images, found.admission.bytes) == (0, 0), "all to be let go")


def picture_of(result: BatchResult) -> tuple[str, bytes]:
    assert result.picture is not None
    return result.picture.type, base64.b64decode(result.picture.data, validate=True)


def test_a_result_has_what_was_looked_at(one: Threaded, images: ImageHost) -> None:
    body = {"items": [{"url": f"{images.url}/galaxy/3"}]}
    answer = httpx.post(one.url + PATH, json=body)
    (result,) = BatchAnswer.model_validate_json(answer.content).results
    assert picture_of(result) == ("image/jpeg", IMAGES[3])
    # What came can be sent again, and gets the same.
    assert result.classification is not None
    again = httpx.post(f"{one.url}/classify?detail=scores", content=IMAGES[3]).json()
    assert result.classification.scores == pytest.approx(again["scores"], abs=1e-6)


def test_a_png_is_one(one: Threaded, images: ImageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.image_host.IMAGES", [png()])
    answer = httpx.post(one.url + PATH, json={"urls": [f"{images.url}/galaxy/1"]})
    (result,) = BatchAnswer.model_validate_json(answer.content).results
    assert picture_of(result) == ("image/png", png())


def test_only_who_asks_gets_pictures_and_only_of_what_is_an_image(one: Threaded, images: ImageHost) -> None:
    urls = [f"{images.url}/{path}" for path in ("galaxy/1", "text", "missing")]
    answer = httpx.post(one.url + PATH, content=lines(urls), headers=LINES)
    results = sorted(results_of(answer.content), key=lambda each: each.index)
    assert codes_of(results) == ["ok", "undecodable_image", "fetch_failed"]
    assert [result.picture is None for result in results] == [False, True, True]
    assert b"No galaxy here" not in answer.content
    assert base64.b64encode(b"<html>No galaxy here.</html>") not in answer.content
    for query in ("", "?picture=false"):
        answer = httpx.post(f"{one.url}/classify/batch{query}", content=lines(urls), headers=LINES)
        assert b"picture" not in answer.content


def test_any_number_in_lines_and_one_in_a_document(one: Threaded, images: ImageHost) -> None:
    urls = [f"{images.url}/galaxy/{number}" for number in range(30)]
    for said in (
        {"content": lines(urls), "headers": LINES},
        {"json": {"urls": urls}, "headers": {"Accept": LINES["Content-Type"]}},
    ):
        results = results_of(httpx.post(one.url + PATH, **said).content)  # type: ignore[arg-type]
        assert codes_of(results) == ["ok"] * 30
        assert all(picture_of(each) == ("image/jpeg", IMAGES[each.index % len(IMAGES)]) for each in results)
    for said in (
        {"json": {"urls": urls[:2]}},
        {"content": lines(urls[:2]), "headers": {**LINES, "Accept": "application/json"}},
    ):
        answer = httpx.post(one.url + PATH, **said)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "picture=true" in answer.json()["detail"]


def test_of_files_the_sender_has_the_pictures(one: Threaded) -> None:
    answer = httpx.post(one.url + PATH, files={"files": ("a.jpg", IMAGES[0])})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "query.picture: " in answer.json()["detail"]


def test_it_is_yes_or_no(one: Threaded) -> None:
    answer = httpx.post(f"{one.url}/classify/batch?picture=perhaps", json={"urls": ["x"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_long_url_fits_into_a_document(one: Threaded, images: ImageHost) -> None:
    answer = httpx.post(one.url + PATH, json={"urls": [f"{images.url}/galaxy/0?{'x' * 7000}"]})
    assert answer.status_code == 200


def test_who_does_not_read_holds_a_few_pictures_and_no_more(
    model_folder: Path, images: ImageHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.image_host.IMAGES", [jpeg_of_bytes(LARGE)])
    count = 80
    with threaded(settings(model_folder, images)) as one:
        with Stream(one.port, buffer=16_384) as stream:
            stream.begin(path=PATH)
            stream.say(lines([f"{images.url}/galaxy/0"] * count))
            stream.say(b"")
            assert settled(images) < count / 2
            # What was fetched waits in lines to be sent.
            assert LARGE < one.admission.bytes < 12 * 2**20
            assert one.admission.images == 0
            assert stream.status() == 200
            assert [len(each["picture"]["data"]) > LARGE for each in stream.results()] == [True] * count
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")


def test_who_goes_lets_go_of_pictures(model_folder: Path, images: ImageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.image_host.IMAGES", [jpeg_of_bytes(LARGE)])
    with threaded(settings(model_folder, images)) as one:
        with Stream(one.port, buffer=16_384) as stream:
            stream.begin(path=PATH)
            stream.say(lines([f"{images.url}/galaxy/0"] * 200))
            wait_for(lambda: one.admission.bytes > LARGE and one.admission.images == 0, "pictures that wait")
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")
        wait_for(lambda: one.admission.batches == 0, "the batch to end")


@pytest.mark.parametrize("in_lines", [True, False])
def test_who_never_reads_is_cut_off(
    model_folder: Path, images: ImageHost, monkeypatch: pytest.MonkeyPatch, *, in_lines: bool
) -> None:
    # More than the system takes off the service's hands.
    monkeypatch.setattr("tests.image_host.IMAGES", [jpeg_of_bytes(8_000_000)])
    bounds = settings(model_folder, images).model_copy(update={"body_timeout_seconds": 1.0})
    with threaded(bounds) as one, Stream(one.port, buffer=16_384) as stream:
        if in_lines:
            stream.begin(path=PATH)
            stream.say(lines([f"{images.url}/galaxy/0"] * 20))
        else:
            stream.begin("Content-Type: application/json", path=PATH)
            stream.say(b'{"urls": ["%b/galaxy/0"]}' % images.url.encode())
        stream.say(b"")
        wait_for(lambda: one.admission.bytes > 8_000_000 and one.admission.images == 0, "a picture that waits")
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")
        wait_for(lambda: one.admission.batches == 0, "the batch to end")
        with pytest.raises(ConnectionError):
            [*stream.pieces()] if stream.status() == 200 and in_lines else stream.whole()
        assert images.count < 20


def test_pictures_are_fetched_as_there_is_room_for_the_largest(model_folder: Path, images: ImageHost) -> None:
    images.hold()
    bounds = settings(model_folder, images).model_copy(update={"max_image_bytes": 3_000_000, "queue_bytes": 12_000_000})
    with threaded(bounds) as one:
        with Stream(one.port) as stream, Stream(one.port) as other:
            for each in (stream, other):
                each.begin(path=PATH)
                each.say(lines(f"{images.url}/held/{number}" for number in range(4)))
                each.say(b"")
            # Each may come to 4 MB of a result, and of 12 MB those who wait in turn get 9.
            wait_for(lambda: settled(images) == 2, "as many as there is room for")
            assert one.admission.bytes <= 9_000_000
            images.let_go()
            for each in (stream, other):
                assert each.status() == 200
                assert {result["status"] for result in each.results()} == {"ok"}
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be let go")
