"""How much a caller may ask for: counted by clocks that a test sets, and refused over real sockets."""

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.access import Access
from app.errors import RateLimitedError
from app.keys import ApiKey, ApiKeys
from app.limits import DAY_SECONDS, Limits, Meter
from app.settings import Settings
from tests.app.batches import LINES, Stream, codes_of, lines, results_of
from tests.app.callers import bearer, entry
from tests.galaxies import jpeg
from tests.image_host import ImageHost, image_host
from tests.servers import Held, Threaded, threaded, wait_for

NOON = 20_000.5 * DAY_SECONDS


class Clock:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall = NOON


def meter(clock: Clock, **limits: float) -> Meter:
    return Meter(Limits.model_validate(limits), "This key", 7, lambda: clock.seconds, lambda: clock.wall)


def refused(meter: Meter, images: int = 0, least: int = 0) -> RateLimitedError:
    with pytest.raises(RateLimitedError) as error:
        meter.enter(images, least)
    return error.value


def test_a_bucket_empties_and_fills() -> None:
    clock = Clock()
    one = meter(clock, requests_per_second=2, burst=3)
    for _ in range(3):
        one.enter()
    error = refused(one)
    assert (error.status, error.code, error.retry_after_seconds) == (429, "rate_limited", 1)
    assert "2 requests a second, 3 at once" in error.detail
    clock.seconds += 0.49
    refused(one)
    clock.seconds += 0.02
    one.enter()
    refused(one)
    # A long rest fills it, and no more than that.
    clock.seconds += 1000
    for _ in range(3):
        one.enter()
    refused(one)


def test_a_slow_rate_is_waited_for() -> None:
    one = meter(Clock(), requests_per_second=0.01)
    one.enter()
    assert refused(one).retry_after_seconds == 100


def test_the_wall_clock_does_not_fill_a_bucket() -> None:
    clock = Clock()
    one = meter(clock, requests_per_second=1)
    one.enter()
    clock.wall += 3600
    refused(one)


def test_requests_in_service_are_counted() -> None:
    one = meter(Clock(), concurrent_requests=2)
    one.enter()
    one.enter()
    assert refused(one).retry_after_seconds == 7
    one.leave()
    one.enter()
    assert one.live == 2


def test_images_of_a_day() -> None:
    clock = Clock()
    one = meter(clock, images_per_day=3)
    one.enter(1)
    one.enter()
    one.take(1)
    assert "3 images" in refused(one, 2).detail
    one.enter(1)
    error = refused(one, 1)
    assert error.retry_after_seconds == DAY_SECONDS // 2
    assert refused(one, 0, 1).code == "rate_limited"
    with pytest.raises(RateLimitedError):
        one.take(1)
    # What has no images is let in.
    one.enter()
    one.give_back(1)
    one.take(1)
    clock.wall += DAY_SECONDS / 2
    one.enter(3)
    # A clock that is set back gives a day once more, and not one without end.
    clock.wall -= DAY_SECONDS
    one.enter(3)
    refused(one, 1)


def test_what_is_refused_is_not_counted() -> None:
    one = meter(Clock(), requests_per_second=1, burst=5, concurrent_requests=1, images_per_day=5)
    one.enter(1)
    for _ in range(10):
        refused(one, 1)
    one.leave()
    one.enter(4)


# As the draft has its fields (structured fields, RFC 9651): lists of strings with parameters.
_FIELD = re.compile(rb'"[a-z]+"(;[a-z]+=([0-9]+|"[a-z-]+"))+(, "[a-z]+"(;[a-z]+=([0-9]+|"[a-z-]+"))+)*')


def test_the_headers_say_what_is_left() -> None:
    clock = Clock()
    one = meter(clock, requests_per_second=0.5, burst=10, concurrent_requests=4, images_per_day=1000)
    one.enter(1)
    found = dict(one.headers())
    assert found == {
        b"ratelimit-policy": b'"requests";q=10;w=20, "concurrent";q=4;qu="concurrent-requests", '
        b'"images";q=1000;w=86400;qu="images"',
        b"ratelimit": b'"requests";r=9;t=2, "concurrent";r=3, "images";r=999;t=43200',
    }
    assert all(_FIELD.fullmatch(value) for value in found.values())
    for _ in range(3):
        one.enter()
    assert refused(one).limits == {name.decode(): value.decode() for name, value in one.headers()}


def keys(**fields: object) -> ApiKeys:
    said = {"name": "survey", "sha256": hashlib.sha256(b"a").hexdigest(), **fields}
    return ApiKeys(keys=(ApiKey.model_validate(said),))


def test_what_was_asked_for_stays_counted_when_keys_change() -> None:
    access = Access(keys(concurrent_requests=1))
    scope = {"headers": [(b"authorization", b"Bearer a")]}
    ticket = access.admit(scope, "classify", 1)
    assert ticket is not None
    access.renew(keys(concurrent_requests=2))
    second = access.admit(scope, "classify", 1)
    with pytest.raises(RateLimitedError):
        access.admit(scope, "classify", 1)
    assert second is not None
    for _ in range(2):
        # Twice, as where a client goes while it is answered.
        second.leave()
    access.admit(scope, "classify", 1)
    with pytest.raises(RateLimitedError):
        access.admit(scope, "classify", 1)
    access.renew(keys())
    ticket.leave()
    assert [access.admit(scope, "classify", 1) is not None for _ in range(9)] == [True] * 9


@pytest.mark.parametrize("text", ["", "requests_per_second", "burst=2", "images_per_day=0", "a=1", "burst=1 burst=1"])
def test_limits_of_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(address_limits=text)


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with image_host() as one:
        yield one


def settings(folder: Path, **fields: object) -> Settings:
    return Settings.model_validate({"model": folder, "device": "cpu", "workers": 1, "drain_seconds": 0, **fields})


def limited(folder: Path, tmp_path: Path, *said: str, **fields: object) -> Settings:
    path = tmp_path / "keys.toml"
    path.write_text(entry("survey", "a", *said) + entry("free", "b"))
    return settings(folder, api_keys_file=path, **fields)


def post(one: Threaded, key: str = "a", content: bytes | Iterator[bytes] = b"", **said: object) -> httpx.Response:
    content = content or jpeg()
    return httpx.post(f"{one.url}/classify", content=content, headers={**bearer(key), **said}, timeout=60)  # type: ignore[dict-item]


def left(answer: httpx.Response, policy: str) -> int:
    found = re.search(rf'"{policy}";r=(\d+)', answer.headers["RateLimit"])
    assert found
    return int(found[1])


def test_too_many_requests_a_second(model_folder: Path, tmp_path: Path) -> None:
    with threaded(limited(model_folder, tmp_path, "requests_per_second = 0.001", "burst = 4")) as one:
        answers = [post(one), post(one, content=iter([jpeg()])), post(one, content=b"no image")]
        assert [each.status_code for each in answers] == [200, 200, 422]
        assert [left(each, "requests") for each in answers] == [3, 2, 1]
        batch = httpx.post(f"{one.url}/classify/batch", json={"urls": ["nonsense"]}, headers=bearer("a"))
        assert (batch.status_code, left(batch, "requests")) == (200, 0)
        for answer in (post(one), post(one, content=iter([jpeg()]))):
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert 0 < int(answer.headers["Retry-After"]) <= 1000
            assert answer.headers["RateLimit-Policy"] == '"requests";q=4;w=4000'
            assert left(answer, "requests") == 0
        # It is nobody else's limit, and health and what is public is not limited.
        other = post(one, key="b")
        assert other.status_code == 200
        assert "RateLimit" not in other.headers
        assert httpx.get(f"{one.url}/health/ready", headers=bearer("a")).status_code == 200


def test_too_many_requests_at_a_time(model_folder: Path, tmp_path: Path) -> None:
    with (
        threaded(limited(model_folder, tmp_path, "concurrent_requests = 2"), Held()) as one,
        ThreadPoolExecutor() as threads,
    ):
        one.model.gate.clear()
        first = threads.submit(post, one)
        second = threads.submit(post, one, content=iter([jpeg()]))
        wait_for(lambda: one.admission.images == 2, "two to be in service")
        answer = post(one)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert left(answer, "concurrent") == 0
        one.model.gate.set()
        assert [each.result().status_code for each in (first, second)] == [200, 200]
        # Whoever is done has left room: also one who was refused, and one who went.
        assert post(one, content=b"no image").status_code == 422
        one.model.gate.clear()
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{one.url}/classify", content=jpeg(), headers=bearer("a"), timeout=0.3)
        wait_for(lambda: one.admission.images == 0, "those to be forgotten who went")
        one.model.gate.set()
        # This one counts as well until it is answered.
        assert left(post(one), "concurrent") == 1


def test_images_of_a_day_over_http(model_folder: Path, tmp_path: Path, host: ImageHost) -> None:
    with threaded(limited(model_folder, tmp_path, "images_per_day = 6", fetch_hosts=host.hosts)) as one:
        assert left(post(one), "images") == 5
        assert left(post(one, content=iter([jpeg()])), "images") == 4
        # What can't be decoded cost time, too.
        assert left(post(one, content=b"no image"), "images") == 3
        # By whatever name the route is found.
        by_another = httpx.post(f"{one.url}/classify%0a", content=jpeg(), headers=bearer("a"), timeout=60)
        assert (by_another.status_code, left(by_another, "images")) == (200, 2)
        # An item each, and those over it are errors, so that what was done is not lost.
        body = lines(f"{host.url}/galaxy/{number}" for number in range(5))
        answer = httpx.post(f"{one.url}/classify/batch", content=body, headers={**bearer("a"), **LINES}, timeout=60)
        found = codes_of(results_of(answer.content))
        assert sorted(found) == ["ok"] * 2 + ["rate_limited"] * 3
        for path in ("/classify", "/classify/batch"):
            refused = httpx.post(one.url + path, content=body, headers={**bearer("a"), **LINES})
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            now = datetime.now(UTC)
            until = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
            assert abs(int(refused.headers["Retry-After"]) - until) % 86_400 < 60


def test_a_form_over_the_day_s_images_leaves_nothing_behind(model_folder: Path, tmp_path: Path) -> None:
    with threaded(limited(model_folder, tmp_path, "images_per_day = 2")) as one:
        files = [("files", (str(number), jpeg(number))) for number in range(5)]
        answer = httpx.post(f"{one.url}/classify/batch", files=files, headers=bearer("a"), timeout=60)
        assert answer.json()["summary"] == {"ok": 2, "failed": 3}
        wait_for(lambda: (one.admission.images, one.admission.bytes) == (0, 0), "all to be given back")


def test_what_the_service_had_no_room_for_is_no_image(model_folder: Path, tmp_path: Path) -> None:
    with (
        threaded(limited(model_folder, tmp_path, "images_per_day = 9", queue_images=1, max_batch=1), Held()) as one,
        ThreadPoolExecutor() as threads,
    ):
        one.model.gate.clear()
        first = threads.submit(post, one)
        wait_for(lambda: one.admission.images == 1, "one to be in service")
        for content in (jpeg(), iter([jpeg()])):
            answer = post(one, content=content)
            assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
        one.model.gate.set()
        assert left(first.result(), "images") == 8


def test_a_batch_is_one_request(model_folder: Path, tmp_path: Path, host: ImageHost) -> None:
    with threaded(limited(model_folder, tmp_path, "concurrent_requests = 1", fetch_hosts=host.hosts)) as one:
        with Stream(one.port) as stream:
            stream.begin("Authorization: Bearer a")
            stream.say(lines([f"{host.url}/galaxy/0", f"{host.url}/galaxy/1"]))
            assert stream.status() == 200
            assert post(one).json()["code"] == "rate_limited"
            stream.say(b"")
            assert len(list(stream.results())) == 2
        wait_for(lambda: post(one).status_code == 200, "the batch to be over")


def test_an_address_is_limited_where_no_keys_are_set(model_folder: Path) -> None:
    said = settings(model_folder, address_limits="requests_per_second=0.001, burst=2", trusted_proxies="127.0.0.1")
    with threaded(said) as one:

        def ask(address: str, content: bytes | Iterator[bytes]) -> int:
            headers = {"X-Forwarded-For": address}
            return httpx.post(f"{one.url}/classify", content=content, headers=headers).status_code

        assert [ask("192.0.2.1", jpeg()), ask("192.0.2.1", iter([jpeg()])), ask("192.0.2.1", jpeg())] == [200, 200, 429]
        assert ask("192.0.2.2", jpeg()) == 200
        # All of one network of IPv6 are one.
        assert [ask(f"2001:db8::{number}", jpeg()) for number in range(3)] == [200, 200, 429]
        assert ask("2001:db8:0:1::1", jpeg()) == 200
        assert httpx.get(f"{one.url}/model", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 200


def test_addresses_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.MOST_ADDRESSES", 10)
    access = Access(None, Limits(requests_per_second=0.001))
    for number in range(11):
        access.admit({"client": (f"192.0.2.{number}", 1)}, "classify")
    for number in range(1, 11):
        with pytest.raises(RateLimitedError):
            access.admit({"client": (f"192.0.2.{number}", 1)}, "classify")
    # The one that asked the longest ago was forgotten.
    assert access.admit({"client": ("192.0.2.0", 1)}, "classify")
    assert access.admit({"client": None}, "classify")


def test_limits_of_addresses_are_said_not_to_be_used_beside_keys(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with threaded(limited(model_folder, tmp_path, address_limits="requests_per_second=0.001")) as one:
        assert [post(one).status_code for _ in range(3)] == [200] * 3
    assert "address_limits are for services without API keys" in caplog.text
