"""What browsers are told: headers on every answer, whose pages may call, and by which names the service goes."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.security_headers import HEADERS
from app.settings import Settings
from tests.app.callers import bearer, write_keys
from tests.galaxies import jpeg
from tests.hostile.peers import Peer, peer
from tests.servers import Process, Threaded, serving, threaded

ORIGIN = "https://galaxies.example"
IMAGE = jpeg(size=64)
INFER, INFER_HEAD = "/v2/models/tiny/infer", "inference-header-content-length"


def whole(port: int, *headers: str, path: str = "/classify", host: str = "galaxytree", body: bytes = IMAGE) -> Peer:
    """Ask for an image that comes whole with its head, as one write."""
    one = Peer(port)
    head = "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers, "", ""])
    one.say(head.encode() + body)
    return one


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/live"),
        ("GET", "/nowhere"),
        ("PUT", "/classify"),
        ("POST", "/classify"),
        ("POST", "/classify?detail=neither"),
        ("POST", "/classify/batch"),
        ("GET", "/openapi.json"),
    ],
)
def test_every_answer_has_them(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path, content=IMAGE if method == "POST" else None)
    for name, value in HEADERS:
        assert answer.headers.get_list(name.decode()) == [value.decode()]
    assert "Server" not in answer.headers
    assert "X-Powered-By" not in answer.headers


@pytest.mark.parametrize("body", [IMAGE, b"no image"])
def test_an_image_that_comes_whole_too(service: Process, body: bytes) -> None:
    one = whole(service.port, body=body)
    answer = one.answer()
    one.vanish()
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()


def test_what_is_no_http_too(service: Process) -> None:
    with peer(service.port) as one:
        one.say(b"nonsense\r\n\r\n")
        answer = one.answer()
    assert (answer.status, answer.headers["x-content-type-options"]) == (400, "nosniff")
    assert "server" not in answer.headers


def test_the_page_of_the_documentation_may_load_what_shows_it_and_nothing_from_elsewhere(http: httpx.Client) -> None:
    (policy,) = http.get("/docs").headers.get_list("Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (rules["default-src"], rules["frame-ancestors"], rules["connect-src"]) == ("'none'", "'none'", "'self'")
    assert not re.search(r"https?:|\*|unsafe-eval", policy)
    assert rules["script-src"] == "'self'"


def test_no_other_page_may_call_unless_that_is_set(http: httpx.Client) -> None:
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for answer in (http.options("/classify", headers=asks), http.post("/classify", content=IMAGE, headers=asks)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def shared(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("shared")
    settings = {
        "cors_origins": f"{ORIGIN} http://localhost:8080",
        "api_keys_file": str(write_keys(folder, page="open")),
    }
    with serving(folder / "log", model=str(model_folder), workers="1", **settings) as process:
        yield process


def test_a_page_may_ask_before_it_sends(shared: Process) -> None:
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
    }
    for path, more in (("/classify", ""), ("/classify/batch", ""), (INFER, f",{INFER_HEAD}")):
        asks["Access-Control-Request-Headers"] = f"authorization,content-type{more}"
        answer = httpx.options(shared.url + path, headers=asks)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
        assert "Access-Control-Allow-Credentials" not in answer.headers
        other = httpx.options(shared.url + path, headers={**asks, "Origin": "https://evil.example"})
        assert other.status_code == 400
        assert "Access-Control-Allow-Origin" not in other.headers


# Answers of every kind: a good one, what the image is, what the request is, no key, nothing there.
KINDS = [
    ("/classify", IMAGE, "open", 200),
    ("/classify", b"no image", "open", 422),
    ("/classify?detail=neither", IMAGE, "open", 422),
    ("/classify", IMAGE, "shut", 401),
    ("/nowhere", b"", "open", 404),
]


@pytest.mark.parametrize(("path", "body", "key", "status"), KINDS)
@pytest.mark.parametrize("comes_whole", [True, False])
def test_a_page_gets_to_see_every_answer(
    shared: Process, path: str, body: bytes, key: str, status: int, *, comes_whole: bool
) -> None:
    headers = {"Origin": ORIGIN, **bearer(key)}
    if comes_whole:
        one = whole(shared.port, *(f"{name}: {value}" for name, value in headers.items()), path=path, body=body)
        answer = one.answer()
        one.vanish()
        found, said = answer.status, answer.headers
    else:
        slow = httpx.post(shared.url + path, content=iter([body]), headers=headers)
        found, said = slow.status_code, {name.lower(): value for name, value in slow.headers.items()}
    assert found == status
    assert said["access-control-allow-origin"] == ORIGIN
    for name in ("Server-Timing", "Inference-Header-Content-Length"):
        assert name in said["access-control-expose-headers"]
    assert "origin" in said["vary"].lower()


def test_a_page_of_elsewhere_does_not(shared: Process) -> None:
    one = whole(shared.port, "Origin: https://evil.example", "Authorization: Bearer open")
    assert "access-control-allow-origin" not in one.answer().headers
    one.vanish()


def test_who_is_no_page_is_served_as_always(shared: Process) -> None:
    one = whole(shared.port, "Authorization: Bearer open")
    answer = one.answer()
    one.vanish()
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "text", ["galaxies.example", "ftp://a.example", "https://", "https://a.example/", "https://*.b"]
)
def test_origins_that_are_none(text: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(cors_origins=text)


@pytest.fixture(scope="module")
def named(model_folder: Path) -> Iterator[Threaded]:
    names = "Galaxies.example, *.survey.example 192.0.2.7 [2001:db8::7]"
    with threaded(Settings(model=model_folder, device="cpu", workers=1, hosts=names, drain_seconds=0)) as one:
        yield one


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("galaxies.example", True),
        ("GALAXIES.example:8000", True),
        ("galaxies.example.", True),
        ("a.survey.example", True),
        ("192.0.2.7:8000", True),
        ("[2001:db8::7]:8000", True),
        ("survey.example", False),
        ("evil.example", False),
        ("galaxies.example.evil.example", False),
        ("evilsurvey.example", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("pieces", [1, 3])
def test_by_which_names_it_goes(named: Threaded, host: str, pieces: int, *, is_it: bool) -> None:
    head = f"POST /classify HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
    with peer(named.port) as one:
        one.say_in_pieces(head + IMAGE, pieces)
        answer = one.answer()
        if is_it:
            assert answer.status == 200
        else:
            assert (answer.status, answer.code) == (421, "wrong_host")


@pytest.mark.parametrize("lines", ["", "Host: galaxies.example\r\nHost: evil.example\r\n"])
def test_a_request_without_a_name_or_with_two(named: Threaded, lines: str) -> None:
    with peer(named.port) as one:
        one.say(f"GET /model HTTP/1.0\r\n{lines}\r\n".encode())
        assert one.answer().status == 421


def test_the_name_in_a_whole_url_is_the_one_that_counts(named: Threaded) -> None:
    for url, host, status in (
        ("http://evil.example/model", "galaxies.example", 421),
        ("http://galaxies.example:8000/model", "evil.example", 200),
        ("http://[2001:db8::7]/model", "evil.example", 200),
    ):
        with peer(named.port) as one:
            one.say(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert one.answer().status == status


def test_health_is_told_by_any_name(named: Threaded) -> None:
    assert httpx.get(f"{named.url}/health/ready").status_code == 200
    assert httpx.get(f"{named.url}/model").json()["code"] == "wrong_host"


@pytest.mark.parametrize(
    ("method", "path", "host", "is_let_in"),
    [
        ("GET", "/metrics", "127.0.0.1", True),
        ("GET", "/metrics", "10.1.2.3:8000", True),
        ("GET", "/metrics?name=up", "10.1.2.3", True),
        ("GET", "/metrics", "[::1]", True),
        ("GET", "/metrics", "[2001:db8::8]:8000", True),
        ("GET", "/metrics", "galaxies.example", True),
        ("GET", "/metrics", "evil.example", False),
        ("GET", "/metrics", "10.1.2.3.evil.example", False),
        ("GET", "/metrics", "localhost:8000", False),
        ("GET", "/metrics", "", False),
        ("GET", "/metrics", "10.1.2.3\r\nHost: evil.example", False),
        ("GET", "/metrics%0a", "10.1.2.3", False),
        ("GET", "/metrics/", "10.1.2.3", False),
        ("POST", "/metrics", "10.1.2.3", False),
        ("GET", "/model", "10.1.2.3", False),
        ("POST", "/admin/reload", "10.1.2.3", False),
    ],
)
def test_prometheus_asks_by_an_address(named: Threaded, method: str, path: str, host: str, *, is_let_in: bool) -> None:
    with peer(named.port) as one:
        one.say(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        answer = one.answer()
    assert answer.status == (200 if is_let_in else 421)
    assert is_let_in == (b"galaxytree_ready" in answer.body)


@pytest.mark.parametrize("text", ["", "a b.example/x", "https://a.example", "a.example:80", "*.", "a..b"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(hosts=text)
