"""The client, against a running service and against what is none."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.settings import Settings
from galaxytree.client import (
    Client,
    GalaxytreeError,
    ImageRefusedError,
    RequestRefusedError,
    ServiceFailedError,
    TryLaterError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
    problem_error,
)
from galaxytree.schemas import Problem
from tests.galaxies import jpeg
from tests.servers import Process, threaded


def test_a_file_and_its_bytes(service: Process, tmp_path: Path) -> None:
    path = tmp_path / "galaxy.jpg"
    path.write_bytes(jpeg())
    with Client(service.url) as client:
        from_file = client.classify(path)
        assert client.classify(path.read_bytes()) == from_file
        assert from_file.summary
        assert client.classify(path, detail="scores").summary is None
        with pytest.raises(FileNotFoundError):
            client.classify(tmp_path / "nowhere.jpg")


def test_views(service: Process) -> None:
    with Client(service.url) as client:
        as_set, one, eight = (client.classify(jpeg(), views=views) for views in (None, 1, 8))
        assert as_set == one
        assert (one.views, eight.views) == (1, 8)
        assert one.scores != eight.scores


def test_an_image_that_is_refused(service: Process) -> None:
    with Client(service.url) as client, pytest.raises(ImageRefusedError, match="no JPEG or PNG") as refused:
        client.classify(b"no image")
    assert refused.value.code == "undecodable_image"
    assert refused.value.problem.status == 422


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "c", UnauthorizedError),
        (413, "c", ImageRefusedError),
        (422, "undecodable_image", ImageRefusedError),
        (422, "invalid_request", RequestRefusedError),
        (429, "c", TryLaterError),
        (503, "c", TryLaterError),
        (500, "c", ServiceFailedError),
    ],
)
def test_a_type_for_each_problem(status: int, code: str, kind: type[GalaxytreeError]) -> None:
    error = problem_error(Problem(type="urn:x", title="t", status=status, detail="d", code=code), 2.0)
    assert type(error) is kind
    assert (str(error), error.code, error.retry_after_seconds) == ("d", code, 2.0)


def test_a_request_that_is_refused_says_nothing_of_the_image(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", max_batch=7)) as one, Client(one.url) as client:
        with pytest.raises(RequestRefusedError, match="no room for 8 views") as refused:
            client.classify(jpeg(), views=8)
        assert not isinstance(refused.value, ImageRefusedError)
        assert client.classify(jpeg()).views == 1


class Oracle(BaseHTTPRequestHandler):
    """Answers whatever its server was told to."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.server.says  # type: ignore[attr-defined]
        self.server.heard = dict(self.headers)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def oracle() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Oracle)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_when_to_try_again_and_the_key(oracle: ThreadingHTTPServer) -> None:
    problem = Problem(type="urn:x", title="t", status=429, detail="d", code="overloaded").model_dump_json().encode()
    with Client(f"http://127.0.0.1:{oracle.server_port}", api_key="sesame", patience_seconds=0) as client:
        for said, wait in (({"Retry-After": "3"}, 3.0), ({"Retry-After": "tomorrow"}, None), ({}, None)):
            oracle.says = (429, said, problem)  # type: ignore[attr-defined]
            with pytest.raises(TryLaterError) as busy:
                client.classify(b"image")
            assert busy.value.retry_after_seconds == wait
    assert oracle.heard["Authorization"] == "Bearer sesame"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [200, 404])
def test_something_else_answers(oracle: ThreadingHTTPServer, status: int) -> None:
    oracle.says = (status, {}, b"<html>welcome</html>")  # type: ignore[attr-defined]
    with Client(f"http://127.0.0.1:{oracle.server_port}") as client, pytest.raises(UnexpectedAnswerError) as odd:
        client.classify(b"image")
    assert odd.value.code == "unexpected_answer"


def test_an_older_service_that_ignores_the_views(oracle: ThreadingHTTPServer, service: Process) -> None:
    with Client(service.url) as client:
        answer = client.classify(jpeg(), views=1)
    before_there_were_views = answer.model_dump_json(exclude={"views"}).encode()
    oracle.says = (200, {}, before_there_were_views)  # type: ignore[attr-defined]
    with Client(f"http://127.0.0.1:{oracle.server_port}") as client:
        assert client.classify(jpeg()) == client.classify(jpeg(), views=1) == answer
        with pytest.raises(UnexpectedAnswerError, match="views=1, not 8"):
            client.classify(jpeg(), views=8)


def test_nobody_answers() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1") as silence:
        client.classify(b"image")
    assert silence.value.code == "unreachable"
