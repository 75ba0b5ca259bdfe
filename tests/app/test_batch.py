"""``POST /classify/batch`` of a running service: what is answered for which body."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from galaxytree.schemas import BatchAnswer
from tests.app.batches import LINES, NDJSON, PATH, Stream, codes_of, lines, results_of
from tests.galaxies import jpeg_of_bytes, png
from tests.image_host import IMAGES, ImageHost, image_host
from tests.servers import Process, serving

MOST_ITEMS = 20
MOST_BYTES = 50_000
FORM = {"Content-Type": "multipart/form-data; boundary=galaxy"}


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        host.let_go()
        yield host


@pytest.fixture(scope="module")
def server(images: ImageHost, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(
        tmp_path_factory.mktemp("batch") / "log",
        model=str(model_folder),
        workers="1",
        fetch_hosts=images.hosts,
        fetch_tries="1",
        batch_items=str(MOST_ITEMS),
        batch_concurrency="8",
        max_image_bytes=str(MOST_BYTES),
        queue_images="8",
    ) as process:
        yield process


@pytest.fixture(scope="module")
def impatient(images: ImageHost, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Serve to those who don't dawdle; the others are not to be taken for such on a busy machine."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    settings = {"model": str(model_folder), "workers": "1", "fetch_hosts": images.hosts}
    with serving(log, body_timeout_seconds="2", **settings) as process:
        yield process


@pytest.fixture
def ask(server: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def scores_alone(ask: httpx.Client, image: bytes) -> dict[str, float]:
    found: dict[str, float] = ask.post("/classify", content=image).json()["scores"]
    return found


def post(ask: httpx.Client, path: str = PATH, **said: Any) -> BatchAnswer:  # noqa: ANN401 (as httpx has them)
    answer = ask.post(path, **said)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return BatchAnswer.model_validate_json(answer.content)


def test_lines_are_answered_in_lines_and_none_is_left_out(ask: httpx.Client, images: ImageHost) -> None:
    urls = [f"{images.url}/galaxy/{number % 4}" for number in range(100)]
    answer = ask.post(PATH, content=lines(urls), headers=LINES)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, NDJSON)
    results = results_of(answer.content)
    assert codes_of(results) == ["ok"] * 100
    alone = [scores_alone(ask, image) for image in IMAGES[:4]]
    for result in results:
        assert result.id == str(result.index)
        assert result.classification is not None
        assert result.classification.scores == pytest.approx(alone[result.index % 4], abs=1e-6)


def test_a_document_is_answered_in_the_order_asked(ask: httpx.Client, images: ImageHost) -> None:
    paths = ["galaxy/1", "missing", "galaxy/1", "text", "galaxy/2"]
    items = [{"id": f"No. {place} ß é", "url": f"{images.url}/{path}"} for place, path in enumerate(paths)]
    found = post(ask, json={"items": items})
    assert [result.index for result in found.results] == [0, 1, 2, 3, 4]
    assert [result.id for result in found.results] == [item["id"] for item in items]
    assert codes_of(found.results) == ["ok", "fetch_failed", "ok", "undecodable_image", "ok"]
    assert (found.summary.ok, found.summary.failed) == (3, 2)
    assert found.results[0].classification == found.results[2].classification


def test_urls_alone(ask: httpx.Client, images: ImageHost) -> None:
    found = post(ask, json={"urls": [f"{images.url}/galaxy/1", "http://127.0.0.1:1/", "nonsense"]})
    assert codes_of(found.results) == ["ok", "url_forbidden", "url_forbidden"]
    assert [result.id for result in found.results] == [None] * 3


def test_files(ask: httpx.Client) -> None:
    large = jpeg_of_bytes(MOST_BYTES + 1)
    parts = [("a.jpg", IMAGES[0]), ("bßé.png", png()), ("c", b"no image"), ("d", large), ("e", IMAGES[0]), ("f", b"")]
    found = post(ask, files=[("files", part) for part in parts], data={"note": "of no interest"})
    assert [result.id for result in found.results] == [name for name, _ in parts]
    codes = ["ok", "ok", "undecodable_image", "payload_too_large", "ok", "undecodable_image"]
    assert codes_of(found.results) == codes
    assert found.results[0].classification is not None
    assert found.results[0].classification.scores == pytest.approx(scores_alone(ask, IMAGES[0]), abs=1e-6)


def test_a_file_without_a_name_has_no_id(ask: httpx.Client) -> None:
    body = b'--galaxy\r\nContent-Disposition: form-data; name="files"\r\n\r\n' + IMAGES[0] + b"\r\n--galaxy--\r\n"
    (result,) = post(ask, content=body, headers=FORM).results
    assert (result.id, result.status) == (None, "ok")


def test_a_name_in_latin_1(ask: httpx.Client) -> None:
    head = '--galaxy\r\nContent-Disposition: form-data; name="files"; filename="é"\r\n\r\n'.encode("latin-1")
    (result,) = post(ask, content=head + IMAGES[0] + b"\r\n--galaxy--\r\n", headers=FORM).results
    assert (result.id, result.status) == ("é", "ok")


@pytest.mark.parametrize(
    ("accept", "in_lines"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        (NDJSON, True),
        (f"{NDJSON}, application/json", False),
        (f"{NDJSON}, */*;q=0.1", True),
        (f"{NDJSON};q=0, */*", False),
        (f"{NDJSON};q=nonsense", False),
        ("text/html", False),
    ],
)
def test_a_document_is_answered_as_it_is_accepted(ask: httpx.Client, accept: str, *, in_lines: bool) -> None:
    answer = ask.post(PATH, json={"urls": ["nonsense"]}, headers={"Accept": accept})
    if in_lines:
        assert codes_of(results_of(answer.content)) == ["url_forbidden"]
    else:
        assert codes_of(BatchAnswer.model_validate_json(answer.content).results) == ["url_forbidden"]


@pytest.mark.parametrize(
    ("accept", "in_lines"), [("text/html", True), (f"application/json;v=1, {NDJSON};q=0.9", False)]
)
def test_lines_are_answered_as_it_is_accepted(ask: httpx.Client, accept: str, *, in_lines: bool) -> None:
    answer = ask.post(PATH, content=lines(["nonsense"]), headers={**LINES, "Accept": accept})
    assert answer.headers["Content-Type"] == (NDJSON if in_lines else "application/json")


@pytest.mark.parametrize("query", ["", "?views=8&priority=interactive"])
def test_parameters(ask: httpx.Client, images: ImageHost, query: str) -> None:
    (result,) = post(ask, f"/classify/batch{query}", json={"urls": [f"{images.url}/galaxy/1"]}).results
    assert result.classification is not None
    assert result.classification.views == (8 if query else 1)
    assert result.classification.questions is not None


def test_more_than_there_is_room_for_waits_and_is_not_refused(ask: httpx.Client, images: ImageHost) -> None:
    # Of eight views each there is room for one at a time.
    urls = [f"{images.url}/galaxy/{number}" for number in range(MOST_ITEMS)]
    found = post(ask, f"{PATH}&views=8", json={"urls": urls})
    assert codes_of(found.results) == ["ok"] * MOST_ITEMS


def test_which_network_answers(ask: httpx.Client, images: ImageHost) -> None:
    model = ask.get("/model").json()
    assert model["network_sha256"] == model["sha256"]
    for said in ({"json": {"urls": ["x"]}}, {"content": lines([f"{images.url}/galaxy/1"]), "headers": LINES}):
        assert ask.post(PATH, **said).headers["X-Galaxytree-Network"] == model["sha256"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "says", "name"),
    [
        (b"{", "no JSON", None),
        (b'\xff{"url": "x"}', "no JSON", None),
        (b'"http://galaxy"', "the line: ", None),
        (b"[1, 2]", "the line: ", None),
        (b"{}", "url: Field required", None),
        (b'{"id": "a"}', "url: Field required", "a"),
        (b'{"url": 1, "id": "a"}', "url: Input should be a valid string", "a"),
        (b'{"url": "x", "id": 1}', "id: Input should be a valid string", None),
        (b'{"url": "x", "id": "%b"}' % (b"a" * 257), "id: String should have at most 256", None),
        (b'{"url": "x", "name": "a"}', "name: Extra inputs are not permitted", None),
        (b'{"url": "x", "id": "a", "%b": 1}' % (b"b" * 9999), "bbb: Extra inputs are not permitted", "a"),
        (b'{"url": "%b"}' % (b"x" * 20_000), "more than 16384 bytes", None),
    ],
)
def test_a_wrong_line_is_an_error_of_its_own(
    ask: httpx.Client, images: ImageHost, line: bytes, says: str, name: str | None
) -> None:
    good = orjson.dumps({"url": f"{images.url}/galaxy/1", "id": None})
    body = b"\n".join([b"", good, b"  ", line, good + b"\r", b"", line])
    results = sorted(results_of(ask.post(PATH, content=body, headers=LINES).content), key=lambda each: each.index)
    assert codes_of(results) == ["ok", "invalid_request", "ok", "invalid_request"]
    for wrong in (results[1], results[3]):
        assert wrong.error is not None
        assert wrong.id == name
        assert says in wrong.error.detail
        assert len(wrong.error.detail) < 500


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body: Invalid JSON"),
        (b'{"urls": ["x"]', "the body: Invalid JSON"),
        (b"[]", "the body: "),
        (b"{}", "either items or urls"),
        (b'{"urls": []}', "urls: "),
        (b'{"items": []}', "items: "),
        (b'{"items": [{"url": "x"}], "urls": ["x"]}', "either items or urls"),
        (b'{"items": [{"url": "x"}, {"url": 7}]}', "items.1.url: "),
        (b'{"items": [{"url": "x", "id": 7}]}', "items.0.id: "),
        (b'{"items": [{"url": "x", "name": "a"}]}', "items.0.name: "),
        (b'{"urls": ["x"], "detail": "full"}', "detail: "),
        (b'{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "urls": ["x"]}', "; and 1 more"),
        (b'{"urls": ["x", 1, 2, 3, 4, 5, 6, 7]}', "urls.1: Input should be a valid string"),
    ],
)
def test_a_wrong_document_is_refused_as_a_whole(ask: httpx.Client, body: bytes, says: str) -> None:
    answer = ask.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("many", [b"[" + b"1," * 20_000 + b"1]", b"[" + b"{}," * 20_000 + b"{}]"])
@pytest.mark.parametrize("field", [b"items", b"urls"])
def test_of_very_many_that_are_wrong_one_is_looked_at(ask: httpx.Client, field: bytes, many: bytes) -> None:
    answer = ask.post(PATH, content=b'{"%b": %b}' % (field, many), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    # Each that is told takes a while, in which everybody waits.
    assert ";" not in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"\n\n  \n"])
def test_lines_without_any(ask: httpx.Client, body: bytes) -> None:
    answer = ask.post(PATH, content=body, headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_batch_may_have_so_many_items(ask: httpx.Client) -> None:
    for count, status in ((MOST_ITEMS, 200), (MOST_ITEMS + 1, 422)):
        urls = ["nonsense"] * count
        one_by_one = {"content": lines(urls), "headers": {**LINES, "Accept": "application/json"}}
        files = {"files": [("files", ("a", b"no image"))] * count}
        items = {"json": {"items": [{"url": url} for url in urls]}}
        for said in ({"json": {"urls": urls}}, items, one_by_one, files):
            answer = ask.post(PATH, **said)  # type: ignore[arg-type]
            assert answer.status_code == status, answer.text
            assert status == 200 or f"more than {MOST_ITEMS} items (batch_items; " in answer.json()["detail"]


@pytest.mark.parametrize("body", [b" " * (MOST_ITEMS * 4096 + 1), b'{"":1}' * (MOST_ITEMS * 64 + 1)])
def test_a_document_may_have_so_many_bytes_and_names(ask: httpx.Client, body: bytes) -> None:
    answer = ask.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "nonsense"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_other_bodies_are_refused(ask: httpx.Client, headers: dict[str, str]) -> None:
    answer = ask.post(PATH, content=b'{"urls": ["x"]}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_type_with_a_charset(ask: httpx.Client) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8", "Content-Encoding": "identity"}
    assert ask.post(PATH, content=b'{"urls": ["x"]}', headers=kind).is_success


PART = b'--galaxy\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nno image\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", FORM, "its end is missing"),
        (PART, FORM, "its end is missing"),
        (PART[:-2], FORM, "its end is missing"),
        (b"nonsense", FORM, "can't be read"),
        (PART.replace(b"files", b"file") + b"--galaxy--\r\n", FORM, "no part `files`"),
        (b"--galaxy\r\n\r\nno head\r\n--galaxy--\r\n", FORM, "no part `files`"),
        (PART, {"Content-Type": "multipart/form-data"}, "no boundary"),
        (PART, {"Content-Type": f"multipart/form-data; boundary={'x' * 999}"}, "can't be read"),
    ],
)
def test_a_wrong_form_is_refused_as_a_whole(ask: httpx.Client, body: bytes, kind: dict[str, str], says: str) -> None:
    answer = ask.post(PATH, content=body, headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("query", ["detail=all", "views=2", "priority=first", "views=1&views=8"])
def test_parameters_that_there_are_not(ask: httpx.Client, query: str) -> None:
    answer = ask.post(f"/classify/batch?{query}", json={"urls": ["x"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_another_method(ask: httpx.Client) -> None:
    assert ask.get(PATH).status_code == 405


def test_a_connection_survives_batches_of_every_kind(ask: httpx.Client, images: ImageHost) -> None:
    long = lines([f"{images.url}/galaxy/1"] * 50)
    ports = set()
    for said in (
        {"json": {"urls": ["x"]}},
        {"content": long, "headers": LINES},
        {"json": {}},
        {"files": {"files": PART}},
    ):
        answer = ask.post(PATH, **said)  # type: ignore[arg-type]
        ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1


def test_an_answer_begins_before_the_body_ends(server: Process, images: ImageHost) -> None:
    with Stream(server.port) as stream:
        stream.begin("Expect: 100-continue")
        assert stream.status() == 100
        stream.say(lines([f"{images.url}/galaxy/1"]))
        assert stream.status() == 200
        assert "connection" not in stream.headers
        results = stream.results()
        assert next(results)["status"] == "ok"
        stream.say(b'{"url": ')
        stream.say(b'"nonsense"}')
        stream.say(b"")
        assert [result["index"] for result in results] == [1]
        # The same connection takes the next one.
        stream.begin()
        stream.say(b"{}")
        stream.say(b"")
        assert stream.status() == 200
        assert [result["error"]["code"] for result in stream.results()] == ["invalid_request"]


@pytest.mark.parametrize(
    ("kind", "begun"),
    [(NDJSON, b'{"url": "'), (NDJSON, b""), ("application/json", b'{"urls": ['), (FORM["Content-Type"], PART[:-9])],
)
def test_a_body_that_stalls_before_anything_was_answered(impatient: Process, kind: str, begun: bytes) -> None:
    with Stream(impatient.port) as stream:
        stream.begin(f"Content-Type: {kind}")
        if begun:
            stream.say(begun)
        assert stream.status() == 408
        assert orjson.loads(stream.body())["code"] == "body_timeout"


def test_a_body_that_stalls_later_is_broken_off(impatient: Process, images: ImageHost) -> None:
    with Stream(impatient.port) as stream:
        stream.begin()
        stream.say(lines([f"{images.url}/galaxy/1"] * 3))
        assert stream.status() == 200
        results = stream.results()
        assert [next(results)["status"] for _ in range(3)] == ["ok"] * 3
        with pytest.raises(ConnectionError):
            next(results)


def test_a_body_that_is_slow_but_goes_on_is_read_to_its_end(impatient: Process, images: ImageHost) -> None:
    with Stream(impatient.port) as stream:
        stream.begin()
        for _ in range(4):
            stream.say(lines([f"{images.url}/galaxy/1"]))
            time.sleep(0.6)
        stream.say(b"")
        assert stream.status() == 200
        assert len([*stream.results()]) == 4
