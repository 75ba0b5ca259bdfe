"""A key that is taken back ends what its holder has going on, and nobody else's; no row of an honest one is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest

import galaxytree.client
from galaxytree.client import Client
from tests.app.batches import LINES, Stream, lines, results_of
from tests.app.callers import bearer, entry
from tests.image_host import ImageHost, image_host
from tests.servers import Process, serving, wait_for

KEPT, TAKEN = entry("page", "kept"), entry("survey", "taken")
NARROWED = entry("survey", "taken", 'scopes = ["classify"]')


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with image_host() as one:
        yield one


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(KEPT + TAKEN)
    return path


@pytest.fixture
def service(model_folder: Path, tmp_path: Path, keys: Path, host: ImageHost) -> Iterator[Process]:
    said = {"api_keys_file": str(keys), "fetch_hosts": host.hosts, "workers": "1"}
    with serving(tmp_path / "log", model=str(model_folder), **said) as process:
        yield process


def rewrite(service: Process, keys: Path, text: str) -> None:
    keys.write_text(text)
    wait_for(lambda: "API keys read again" in service.log, "the keys to be read")


@pytest.mark.parametrize("left", [KEPT, KEPT + NARROWED], ids=["gone", "not for batches"])
def test_a_batch_that_goes_on_breaks_off(service: Process, keys: Path, host: ImageHost, left: str) -> None:
    urls = [f"{host.url}/galaxy/{number}" for number in range(3)]
    with Stream(service.port) as one, Stream(service.port) as other:
        for stream, key in ((one, "taken"), (other, "kept")):
            stream.begin(f"Authorization: Bearer {key}", f"X-Request-ID: id-{key}")
            stream.say(lines(urls))
            assert stream.status() == 200
        results = one.results()
        assert {next(results)["status"] for _ in urls} == {"ok"}
        rewrite(service, keys, left)
        with pytest.raises(ConnectionError):
            next(results)
        # Whose key is still valid doesn't notice.
        other.say(lines(urls))
        other.say(b"")
        assert [each["status"] for each in other.results()] == ["ok"] * 6
    # Whose it was is said in the log, once, and in the access log why it ended.
    assert service.stop() == 0
    code = "unauthorized" if left == KEPT else "forbidden"
    (said,) = (line for line in service.log.splitlines() if "broke off" in line)
    assert "[id-taken]" in said
    assert said.endswith(
        f"broke off a batch of survey, since its key was taken back ({code}): 3 items scored, 0 failed"
    )
    told = {line["id"]: line for line in map(orjson.loads, service.said.splitlines())}
    assert (told["id-taken"]["code"], told["id-taken"]["ended"]) == ("cut_off", code)
    assert "ended" not in told["id-kept"]
    assert "broke off 1 batches" not in service.log


def test_what_is_in_work_is_finished_before(service: Process, keys: Path, host: ImageHost) -> None:
    with Stream(service.port) as one:
        one.begin("Authorization: Bearer taken")
        one.say(lines([f"{host.url}/galaxy/0", f"{host.url}/held/1"]))
        assert one.status() == 200
        results = one.results()
        assert next(results)["status"] == "ok"
        wait_for(lambda: host.asked["/held/1"] > 0, "one to be in work")
        rewrite(service, keys, KEPT)
        host.let_go()
        assert next(results)["status"] == "ok"
        with pytest.raises(ConnectionError):
            next(results)


def test_one_that_has_not_been_answered_is_told(service: Process, keys: Path, host: ImageHost) -> None:
    with ThreadPoolExecutor() as threads:
        document = {"urls": [f"{host.url}/held/{number}" for number in range(3)]}
        asked = threads.submit(
            httpx.post, f"{service.url}/classify/batch", json=document, headers=bearer("taken"), timeout=60
        )
        wait_for(lambda: host.count >= 3, "all to be in work")
        rewrite(service, keys, KEPT)
        answer = asked.result()
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_one_that_is_done_arrives_whole_and_is_not_told_of(service: Process, keys: Path, host: ImageHost) -> None:
    document = orjson.dumps({"urls": [f"{host.url}/galaxy/{number}" for number in range(400)]})
    with Stream(service.port, buffer=4096) as one:
        one.begin("Authorization: Bearer taken", "Content-Type: application/json", path="/classify/batch")
        one.say(document)
        one.say(b"")
        # Nobody reads on, and more is to come than the system keeps.
        assert one.status() == 200
        rewrite(service, keys, KEPT)
        assert orjson.loads(one.whole())["summary"] == {"ok": 400, "failed": 0}
    wait_for(lambda: '"scored":400' in service.said, "its line")
    assert "broke off" not in service.log
    assert '"ended"' not in service.said


def test_a_client_is_told_and_has_what_was_done(service: Process, keys: Path, host: ImageHost) -> None:
    urls = (f"{host.url}/galaxy/{number}" for number in range(100_000))
    found = []
    with Client(service.url, api_key="taken") as client:
        results = client.classify_many(urls)
        found.append(next(results))
        rewrite(service, keys, KEPT)
        with pytest.raises(galaxytree.client.UnauthorizedError):
            found.extend(results)
    assert all(each.classification for each in found)
    assert len(found) < 100_000


def test_where_keys_are_read_again_and_this_one_stays_nothing_happens(
    service: Process, keys: Path, host: ImageHost
) -> None:
    urls = [f"{host.url}/held/{number}" for number in range(3)]
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(
            httpx.post,
            f"{service.url}/classify/batch",
            content=lines(urls),
            headers={**bearer("taken"), **LINES},
            timeout=60,
        )
        wait_for(lambda: host.count >= 3, "all to be in work")
        rewrite(service, keys, TAKEN + entry("new", "new"))
        host.let_go()
        assert [each.status for each in results_of(asked.result().content)] == ["ok"] * 3
