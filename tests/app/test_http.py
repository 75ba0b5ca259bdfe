"""What every answer has in common: problems, ids, headers; and the calls that take no image."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from galaxytree.card import ModelCard
from galaxytree.decision_tree import DecisionTree, load_tree
from tests.galaxies import png
from tests.hostile.peers import peer
from tests.servers import Process, serving, wait_for


def test_the_tree(http: httpx.Client) -> None:
    assert DecisionTree.model_validate_json(http.get("/decision-tree").content) == load_tree("galaxy-zoo-2")


def test_the_model(http: httpx.Client, model_folder: object) -> None:
    found = http.get("/model").json()
    assert found.pop("execution_provider") == "CPUExecutionProvider"
    assert found.pop("execution_provider_reason") == "the CPU was asked for"
    assert found.pop("precision") == "fp32"
    assert found.pop("precision_reason") == "the model has no int8 file"
    assert found.pop("outputs") == ["scores"]
    assert found.pop("explainable") is False
    assert found.pop("default_views") == 1
    assert found.pop("network_sha256") == found["sha256"]
    wanted = found.pop("input")
    assert ModelCard.model_validate(found) == ModelCard.read(model_folder)  # type: ignore[arg-type]
    size = found["framing"]["size"]
    assert wanted == {
        "name": "images", "dtype": "uint8", "shape": ["N", size, size, 3], "framing": found["framing"]
    }  # fmt: skip


def test_health(http: httpx.Client) -> None:
    assert http.get("/health/live").json() == {"status": "live"}
    assert http.get("/health/ready").json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_the_head_of_health(http: httpx.Client, path: str) -> None:
    answer = http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == http.get(path).headers["Content-Length"]


def test_a_slash_too_many_leads_nowhere(http: httpx.Client) -> None:
    answer = http.post("/classify/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_docs_come_from_the_service_itself(http: httpx.Client) -> None:
    page = http.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    files = ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]
    assert named == ["favicon.ico", *files, "openapi.json"]
    for name in named:
        assert http.get(f"/{name}").is_success
        assert http.head(f"/{name}").is_success
    again = http.get(
        "/docs/swagger-ui.css", headers={"If-None-Match": http.head("/docs/swagger-ui.css").headers["ETag"]}
    )
    assert again.status_code == 304
    for nothing in ("/redoc", "/docs/oauth2-redirect", "/docs/nothing.js", "/docs/"):
        assert http.get(nothing).status_code == 404


def test_a_page_that_does_not_exist(http: httpx.Client) -> None:
    answer = http.get("/nowhere")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_method_that_is_not_allowed(http: httpx.Client) -> None:
    answer = http.get("/classify")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def lines_with(request_id: str, service: Process) -> list[str]:
    """Return what was logged for a request: the logger's name and the message, without the client's address."""
    lines = (line.split(f" [{request_id}] ") for line in service.log.splitlines() if f" [{request_id}] " in line)
    return [f"{head.split()[-1]} {said.partition(' - ')[2]}" for head, said in lines]


@pytest.fixture(scope="module")
def debugged(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    log = tmp_path_factory.mktemp("debugged") / "log"
    with serving(log, model=str(model_folder), log_level="debug", workers="1") as process:
        yield process


def test_an_id_for_each_request(http: httpx.Client) -> None:
    first, second = (http.get("/health/live").headers["X-Request-ID"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", "/classify"])
def test_a_sane_id_is_taken_over(debugged: Process, path: str) -> None:
    asked = f"survey.7_galaxy-{path.strip('/').replace('/', '.')}"
    answer = httpx.get(f"{debugged.url}{path}", headers={"X-Request-ID": asked})
    assert answer.headers["X-Request-ID"] == asked
    (line,) = lines_with(asked, debugged)
    assert line == f'uvicorn.access "GET {path} HTTP/1.1" {answer.status_code}'


@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize(("body", "status"), [(png(), 200), (b"no image", 422)])
def test_a_line_for_each_image_when_debugging(debugged: Process, pieces: int, body: bytes, status: int) -> None:
    asked = f"image-{pieces}-{status}"
    head = f"X-Request-ID: {asked}\r\nContent-Length: {len(body)}"
    with peer(debugged.port) as one:
        one.say_in_pieces(one.head("POST", "/classify?detail=scores", head) + body, pieces)
        assert one.answer().status == status
    wait_for(lambda: lines_with(asked, debugged), "the line")
    assert lines_with(asked, debugged) == [f'uvicorn.access "POST /classify?detail=scores HTTP/1.1" {status}']


def test_no_line_of_the_log_for_each_request_otherwise(http: httpx.Client, service: Process) -> None:
    http.get("/health/live", headers={"X-Request-ID": "of-no-interest"})
    http.post("/classify", content=png(), headers={"X-Request-ID": "of-no-interest"})
    assert "of-no-interest" not in service.log


@pytest.mark.parametrize("asked", ["", "a" * 65, "two words", "a;b"])
def test_an_odd_id_is_not_taken_over(http: httpx.Client, asked: str) -> None:
    given = http.get("/health/live", headers={"X-Request-ID": asked}).headers["X-Request-ID"]
    assert given != asked
    assert len(given) == 32


def test_the_server_does_not_say_what_it_is(http: httpx.Client) -> None:
    assert "Server" not in http.get("/health/live").headers


def test_without_keys_the_service_says_that_it_is_open(service: Process) -> None:
    assert "open to everyone" in service.log


def test_a_wrong_path_or_method_is_told_where_images_go(http: httpx.Client) -> None:
    for answer, status, code in (
        (http.get("/clasify"), 404, "not_found"),
        (http.put("/classify", content=b""), 405, "method_not_allowed"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "images are posted to /classify" in answer.json()["detail"]
