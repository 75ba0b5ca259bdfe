"""What a stranger without a key finds where keys are set: nothing but 401, health, and what the docs call public."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.areas import PUBLIC, PUBLIC_FOLDER
from tests.app.callers import bearer, write_keys
from tests.galaxies import jpeg
from tests.hostile.peers import Peer, peer
from tests.servers import Process, serving

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE"]
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")

# Of a form that somebody who looks for holes would try.
ODD = [
    "/admin",
    "/admin/",
    "/admin/reload",
    "/admin/models",
    "/metrics",
    "/metrics/",
    "/classify/",
    "/classify//",
    "//classify",
    "/classify/batch/",
    "/classify;jsessionid=1",
    "/Classify",
    "/CLASSIFY",
    "/%63lassify",
    "/classify%2Fbatch",
    "/classify%00",
    "/./classify",
    "/../classify",
    "/docs/../classify",
    "/page/../classify",
    "/page/..%2fadmin%2freload",
    "/docs/../admin/reload",
    "/health/../metrics",
    "/health/live/../../metrics",
    "/health",
    "/health/",
    "/health/live/",
    "/healthz",
    "/v2",
    "/v2/",
    "/v2/models/galaxytree",
    "/v2/models/galaxytree/ready",
    "/v2/models/galaxytree/infer",
    "/v2/repository/index",
    "/openapi.json/",
    "/openapi.yaml",
    "/.env",
    "/.git/config",
    "/static/",
    "/debug",
    "/server-status",
    "/classify?key=open",
    "/classify?api_key=open",
    "/metrics?token=open",
    "/*",
    "/%2e%2e/etc/passwd",
    "/docs%2f..%2fmetrics",
    "/model/..%2fmetrics",
    "/%6detrics",
    "/metrics%20",
    "/metrics%0a",
    "/%E2%82%AC",
]

PRETENDING = [
    {"Authorization": "Bearer"},
    {"Authorization": "Basic b3Blbjpz"},
    {"Authorization": "open"},
    {"X-API-Key": "open"},
    {"Cookie": "key=open"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Original-URL": "/health/live", "X-Rewrite-URL": "/health/live"},
    {"X-HTTP-Method-Override": "GET"},
    {"Forwarded": "for=127.0.0.1;host=localhost"},
    {"Host": "localhost"},
    {"Origin": "https://galaxies.example", "Access-Control-Request-Method": "POST"},
]


@pytest.fixture(scope="module")
def guarded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = str(write_keys(folder, survey="open"))
    with serving(folder / "log", model=str(model_folder), api_keys_file=keys, workers="1") as process:
        yield process


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDER)


def ask(guarded: Process, method: str, target: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask in a stranger's words, which no library puts right."""
    with peer(guarded.port) as one:
        one.say(Peer.head(method, target, "Connection: close", *headers))
        raw = b""
        while piece := one.socket.recv(65536):
            raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), found, body


def refused(answer: tuple[int, dict[str, str], bytes]) -> bool:
    status, headers, body = answer
    assert status == 401, answer
    assert headers["www-authenticate"] == "Bearer"
    assert headers["content-type"] in {"application/problem+json", "application/json"}
    assert b'"unauthorized"' in body or body == b""
    return True


def described(guarded: Process) -> list[str]:
    paths = list(httpx.get(f"{guarded.url}/openapi.json").json()["paths"])
    assert {"/classify", "/classify/batch", "/health/live"} <= set(paths)
    return [re.sub(r"\{[^}]*\}", "galaxytree", path) for path in paths]


@pytest.mark.parametrize("method", METHODS)
def test_every_route_that_is_described(guarded: Process, method: str) -> None:
    for path in described(guarded):
        answer = ask(guarded, method, path)
        if is_public(path) and method in {"GET", "HEAD"}:
            # A cut-out without a position can't be told.
            assert answer[0] in ({422} if path == "/cutout" and method == "GET" else {200, 405}), (path, answer)
        else:
            assert refused(answer)


@pytest.mark.parametrize("method", METHODS)
def test_every_path_that_nobody_described(guarded: Process, method: str) -> None:
    for path in ODD:
        answer = ask(guarded, method, path)
        # What is below the page is looked up among its files, and nowhere else.
        assert (answer[0] == 404 and path.startswith(PUBLIC_FOLDER)) or refused(answer), path


@pytest.mark.parametrize("headers", PRETENDING, ids=lambda headers: next(iter(headers)))
def test_who_pretends(guarded: Process, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/classify"),
        ("POST", "/classify/batch"),
        ("GET", "/metrics"),
        ("OPTIONS", "/admin"),
    ):
        body = jpeg() if method == "POST" else b""
        answer = httpx.request(method, guarded.url + path, headers=headers, content=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_whole_url_as_the_target(guarded: Process) -> None:
    for host in ("galaxytree", "elsewhere.example", "user:open@galaxytree", "[::1]:80"):
        assert refused(ask(guarded, "POST", f"http://{host}/classify"))
        assert refused(ask(guarded, "GET", f"http://{host}/metrics"))
        assert ask(guarded, "GET", f"http://{host}/health/live")[0] == 200


@pytest.mark.parametrize(
    "target", ["galaxytree:80", "*", "metrics", "?metrics", "http:metrics", "http://galaxytree", "/metrics HTTP/1.1 x"]
)
@pytest.mark.parametrize("method", ["GET", "CONNECT", "OPTIONS"])
def test_targets_that_are_none(guarded: Process, method: str, target: str) -> None:
    assert ask(guarded, method, target)[0] in {400, 401}


def test_what_is_sent_behind_a_public_request_is_asked_for_its_key_too(guarded: Process) -> None:
    with peer(guarded.port) as one:
        one.say(Peer.head("GET", "/health/live") + Peer.head("POST", "/classify", "Content-Length: 2") + b"ab")
        assert [answer.status for answer in one.answers(2)] == [200, 401]


def test_what_is_public_is_the_docs_table(guarded: Process) -> None:
    table = PAGE.partition("<!-- public -->")[2].partition("<!-- end of public -->")[0]
    told = set(re.findall(r"`(?:GET )?(/[^`]*)`", table))
    assert told == {*PUBLIC, f"{PUBLIC_FOLDER}…"}
    for path in sorted(PUBLIC):
        # A cut-out without a position can't be told.
        assert ask(guarded, "GET", path)[0] == (422 if path == "/cutout" else 200), path


def test_who_has_a_key_is_told_what_there_is(guarded: Process) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/classify", 405), ("TRACE", "/classify", 405)):
        assert httpx.request(method, guarded.url + path, headers=bearer("open")).status_code == status


def test_nothing_went_wrong_meanwhile(guarded: Process) -> None:
    assert "Traceback" not in guarded.log
    assert "ERROR" not in guarded.log
