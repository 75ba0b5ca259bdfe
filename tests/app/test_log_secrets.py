"""What the log of a service says at its most talkative: never an image, a key, or what stands in a query."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.redacting import without_secrets
from tests.app.callers import bearer, entry
from tests.galaxies import jpeg, png
from tests.hostile.peers import Peer, peer
from tests.image_host import ImageHost, image_host
from tests.servers import Process, serving, wait_for

SECRET = "Tr0ub4dor"  # noqa: S105 (it is one only here)
KEY = f"gxt_{SECRET}-key"


@pytest.fixture(scope="module")
def host() -> Iterator[ImageHost]:
    with image_host() as one:
        yield one


@pytest.fixture(scope="module")
def talkative(model_folder: Path, tmp_path_factory: pytest.TempPathFactory, host: ImageHost) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("talkative")
    (folder / "keys.toml").write_text(entry("survey", KEY))
    with serving(
        folder / "log",
        model=str(model_folder),
        api_keys_file=str(folder / "keys.toml"),
        log_level="debug",
        workers="1",
        fetch_hosts=f"{host.hosts} 127.0.0.1:1",
        fetch_tries="1",
        body_timeout_seconds="1",
    ) as process:
        yield process


def targets() -> list[str]:
    """Return what may be asked for with secrets in it."""
    return [
        f"/classify?key={SECRET}",
        f"/classify?views=1&access_token={SECRET}&detail=scores",
        f"/classify?{SECRET}",
        f"/classify?{SECRET}=1",
        f"/classify?detail={SECRET}%20and%20more",
        f"/classify/batch?api_key={SECRET}",
        f"/nowhere?sig={SECRET}",
        f"/model?password={SECRET}",
        f"/health/ready?x=%54r0ub4dor{SECRET}",
        f"http://user:{SECRET}@galaxytree/model?token={SECRET}",
    ]


def headers() -> dict[str, str]:
    return {
        **bearer(KEY),
        "Cookie": f"session={SECRET}",
        "X-API-Key": SECRET,
        "Proxy-Authorization": f"Basic {SECRET}",
        "Referer": f"https://galaxies.example/?token={SECRET}",
        "User-Agent": f"curl/{SECRET}",
        "X-Request-ID": "the one that is looked for",
    }


@pytest.mark.parametrize("whole", [True, False])
def test_queries_and_headers(talkative: Process, *, whole: bool) -> None:
    before = talkative.log.count("uvicorn.access")
    said = [f"{name}: {value}" for name, value in headers().items()]
    for target in targets():
        for body in (jpeg(size=64), b"no image " + SECRET.encode()):
            with peer(talkative.port) as one:
                head = Peer.head("POST", target, f"Content-Length: {len(body)}", *said)
                one.say_in_pieces(head + body, 1 if whole else 3)
                one.answer()
    wait_for(lambda: talkative.log.count("uvicorn.access") == before + 2 * len(targets()), "a line for each")
    assert SECRET not in talkative.log


def test_urls_that_are_fetched(talkative: Process, host: ImageHost) -> None:
    urls = [
        f"{host.url}/galaxy/1?key={SECRET}",
        f"{host.url}/text?key={SECRET}",
        f"{host.url}/nowhere/{SECRET}",
        f"http://user:{SECRET}@127.0.0.1:{host.port}/galaxy/1",
        f"http://127.0.0.1:1/{SECRET}?key={SECRET}",
        f"http://{SECRET}.invalid/",
        f"file:///{SECRET}",
        f"{SECRET}",
    ]
    for body in ({"urls": urls}, {"items": [{"id": SECRET, "url": url} for url in urls]}, {"item": SECRET}):
        answer = httpx.post(f"{talkative.url}/classify/batch", json=body, headers=bearer(KEY), timeout=60)
        assert answer.status_code in {200, 422}
    # Hosts are named, as an operator has to know which one is down.
    assert "http://127.0.0.1:1" in talkative.log
    assert SECRET not in talkative.log


def test_bodies(talkative: Process) -> None:
    image = png(size=40)
    inside = image[:30] + SECRET.encode() + image[30:]
    for body in (image, inside, SECRET.encode() * 1000):
        httpx.post(f"{talkative.url}/classify", content=body, headers=bearer(KEY))
        httpx.post(f"{talkative.url}/classify", files={"file": (SECRET, body, f"image/{SECRET}")}, headers=bearer(KEY))
        httpx.post(f"{talkative.url}/classify/batch", files={"files": (SECRET, body)}, headers=bearer(KEY))
    for line in (b"{" + SECRET.encode(), b'{"url": "' + SECRET.encode(), SECRET.encode() * 4000):
        said = {**bearer(KEY), "Content-Type": "application/x-ndjson"}
        httpx.post(f"{talkative.url}/classify/batch", content=line + b"\n", headers=said)
    with peer(talkative.port) as one:
        one.say(f"{SECRET} {SECRET} HTTP/1.1\r\n\r\n".encode())
        assert one.answer().status == 400
    with peer(talkative.port) as one:
        one.post(f"Authorization: Bearer {KEY}", "Content-Length: 1000")
        one.say(SECRET.encode())
        assert one.answer().status == 408
    log = talkative.log
    assert SECRET not in log
    for sample in (image, inside):
        assert base64.b64encode(sample)[40:60].decode() not in log
    # Bytes as Python shows them, and anything that is no plain line.
    assert not re.search(r"\\x[0-9a-f]{2}|IHDR|JFIF", log)


@pytest.mark.parametrize("shown", [f"Bearer {SECRET}", f"bearer {KEY}x", f"Basic {SECRET}", SECRET])
def test_keys_that_are_none(talkative: Process, shown: str) -> None:
    answer = httpx.post(f"{talkative.url}/classify", content=b"", headers={"Authorization": shown})
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert SECRET not in talkative.log


def test_whose_key_it_was_is_said(talkative: Process) -> None:
    httpx.post(f"{talkative.url}/classify", content=jpeg(size=40), headers=bearer(KEY))
    wait_for(lambda: "key of survey" in talkative.log, "the name")


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/classify", "/classify"),
        ("/classify?", "/classify?"),
        ("/classify?views=8&detail=scores", "/classify?views=8&detail=scores"),
        ("/classify?views=8&key=s3cret&detail=scores", "/classify?views=8&***&detail=scores"),
        ("/classify?s3cret", "/classify?***"),
        ("/classify?explain=Class1.1&model=a%20b", "/classify?explain=Class1.1&***"),
        (f"/classify?detail={'a' * 40}", "/classify?***"),
        ("/a?b?c=d", "/a?***"),
    ],
)
def test_what_is_shown_of_a_query(target: str, shown: str) -> None:
    assert without_secrets(target) == shown
