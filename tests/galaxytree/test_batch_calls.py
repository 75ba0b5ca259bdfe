"""Calls of many images: one row for each, in order, whatever services do meanwhile."""

import asyncio
import email.utils
import gzip
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from galaxytree import batch_bodies
from galaxytree.batch_calls import BatchAnswer, BatchCaller, ImageItem, UrlItem
from galaxytree.client import (
    RequestRefusedError,
    ServiceFailedError,
    TryLaterError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tests.galaxies import jpeg, png
from tests.hostile.services import NETWORK, Asked, Says, failed, free_port, line, misbehaving, ok, well
from tests.image_host import image_host
from tests.servers import PATIENCE_SECONDS, Process, serving

URLS = [UrlItem(f"u{number}") for number in range(10)]
NAMES = [item.url for item in URLS]


def score(
    servers: str | Sequence[str],
    items: Sequence[UrlItem] | Sequence[ImageItem] = URLS,
    patience: float | None = 60.0,
    **more: Any,  # noqa: ANN401
) -> BatchAnswer:
    """Score items by a caller of its own."""

    async def call() -> BatchAnswer:
        caller = BatchCaller(servers, patience_seconds=patience)
        try:
            return await caller.score(items, **more)
        finally:
            await caller.aclose()

    return asyncio.run(call())


def names_of(answer: BatchAnswer) -> list[str]:
    assert [row["index"] for row in answer.rows] == list(range(len(answer.rows)))
    return [
        row["classification"]["model"]["name"] if row["status"] == "ok" else row["error"]["code"] for row in answer.rows
    ]


def test_rows_come_in_the_order_of_the_items_and_not_of_the_answer() -> None:
    with misbehaving(lambda asked: asked.stream(asked.rows()[::-1])) as one:
        answer = score(one.url, detail="full", views=8, priority="interactive")
    assert names_of(answer) == NAMES
    assert answer.network == NETWORK
    (heard,) = one.heard
    assert heard.query == {"detail": "full", "views": "8", "priority": "interactive"}
    assert heard.headers["accept"] == heard.headers["content-type"] == "application/x-ndjson"


def test_what_is_asked_if_nothing_else_is_said() -> None:
    with misbehaving() as one:
        assert names_of(score(one.url, [UrlItem("ü", "an id"), UrlItem("ü")])) == ["ü"] * 2
    (heard,) = one.heard
    assert heard.query == {"detail": "scores", "priority": "bulk"}
    assert heard.body.count(b'"id"') == 1


def test_files_are_sent_as_a_form() -> None:
    items = [ImageItem(b"a", "a ü.jpg"), ImageItem(b"\r\n--b"), ImageItem(b"", 'c"d')]
    with misbehaving() as one:
        assert names_of(score(one.url, items)) == ["a ü.jpg", "", "c%22d"]


def test_a_real_service(service: Process, model_folder: Path, tmp_path: Path) -> None:
    items = [ImageItem(jpeg(1), "a.jpg"), ImageItem(b"no image"), ImageItem(png(2))]
    files = score(service.url, items)
    assert [row["status"] for row in files.rows] == ["ok", "error", "ok"]
    assert files.rows[1]["error"]["code"] == "undecodable_image"
    assert files.network == httpx.get(f"{service.url}/model").json()["network_sha256"]
    with (
        image_host() as images,
        serving(tmp_path / "log", model=str(model_folder), fetch_hosts=images.hosts, workers="1") as one,
    ):
        images.let_go()
        urls = [UrlItem(f"{images.url}/galaxy/{number % 4}") for number in range(50)] + [
            UrlItem(f"{images.url}/missing")
        ]
        answer = score(one.url, urls)
    assert [row["status"] for row in answer.rows] == ["ok"] * 50 + ["error"]
    assert answer.rows[-1]["error"]["code"] == "fetch_failed"
    scores = [row["classification"]["scores"] for row in answer.rows[:50]]
    assert scores[4:] == scores[:46]
    assert scores[0] != scores[1]


def cut(count: int, piece: bytes = b"") -> Says:
    """Answer so many items and a piece of the next, and hang up."""
    return lambda asked: asked.stream([*asked.rows()[:count], *([piece] if piece else [])], whole=False)


def lengthless(asked: Asked) -> None:
    """Answer some items without saying how long the answer is: its end looks like any other."""
    asked.head(Content_Type="application/x-ndjson", X_Galaxytree_Network=NETWORK, Connection="close")
    asked.handler.wfile.write(b"".join(asked.rows()[:4]) + b'{"index": 4, "id"')


def too_short(asked: Asked) -> None:
    """Promise more than comes."""
    asked.head(Content_Type="application/x-ndjson", X_Galaxytree_Network=NETWORK, Content_Length="100000")
    asked.handler.wfile.write(b"".join(asked.rows()[:4]))
    asked.hang_up()


@pytest.mark.parametrize(
    ("broken", "left"),
    [
        (cut(4), 6),
        (cut(4, b'{"index": 4, "id": null, "sta'), 6),
        (cut(4, line(ok(4, "u4")).rstrip()), 6),
        (cut(0, b"{"), 10),
        (lambda asked: asked.stream(asked.rows()[:4]), 6),
        (lambda asked: asked.stream([b"".join(asked.rows()[:4]), b"\n\n"]), 6),
        (lengthless, 6),
        (too_short, 6),
        (lambda asked: asked.hang_up(), 10),
    ],
)
def test_an_answer_that_breaks_off_counts_as_far_as_it_goes(broken: Says, left: int) -> None:
    with misbehaving(broken) as one:
        assert names_of(score(one.url)) == NAMES
    assert one.names == [NAMES, NAMES[10 - left :]]


def test_the_last_line_of_a_whole_answer_needs_no_end() -> None:
    with misbehaving(lambda asked: asked.stream([b"".join(asked.rows()).rstrip()])) as one:
        assert names_of(score(one.url)) == NAMES
    assert len(one.heard) == 1


def test_a_proxy_may_compress() -> None:
    with misbehaving(
        lambda asked: asked.stream([gzip.compress(b"".join(asked.rows()))], Content_Encoding="gzip")
    ) as one:
        assert names_of(score(one.url)) == NAMES


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>\n",
        b"[]\n",
        line(ok(10, "beyond")),
        line(ok(-1, "before")),
        line({"index": 1, "status": "ok"}),
        line({"index": 1, "status": "error", "error": {"code": 3}}),
        line(ok(0, "u0")),
    ],
)  # fmt: skip
def test_lines_that_are_no_results_are_not_taken(garbage: bytes) -> None:
    def says(asked: Asked) -> None:
        asked.stream([asked.rows()[0], garbage, *asked.rows()[1:]])

    with misbehaving(says) as one:
        assert names_of(score(one.url)) == NAMES
    assert one.names == [NAMES, NAMES[1:]]
    with misbehaving(then=lambda asked: asked.stream([garbage])) as one:
        items = URLS[:1] if b"u0" in garbage else URLS
        if len(items) == 1:
            assert names_of(score(one.url, items)) == ["u0"]
            return
        with pytest.raises(UnexpectedAnswerError, match="but a line that is no result"):
            score(one.url)
    # A few times, whatever the patience.
    assert len(one.heard) == 3


def test_one_that_answers_too_little_again_and_again() -> None:
    with (
        misbehaving(then=lambda asked: asked.stream([])) as one,
        pytest.raises(UnexpectedAnswerError, match="not for all"),
    ):
        score(one.url)
    # As long as there is something in each answer, it goes on.
    with misbehaving(then=lambda asked: asked.stream(asked.rows()[:1])) as one:
        assert names_of(score(one.url)) == NAMES


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "overloaded"),
        (503, "not_ready"),
        (502, "bad"),
        (504, "bad"),
        (500, "internal_error"),
        (408, "body_timeout"),
    ],
)
def test_what_may_do_later_is_asked_later(status: int, code: str) -> None:
    with misbehaving(lambda asked: asked.refuse(status, code)) as one:
        assert names_of(score(one.url)) == NAMES
    with misbehaving(then=lambda asked: asked.refuse(status, code)) as one:
        with pytest.raises(Exception, match=f"It is {code}") as error:
            score(one.url, patience=0)
        assert error.value.code == code  # type: ignore[attr-defined]
    assert len(one.heard) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_says_it_in_its_own_words(status: int) -> None:
    with misbehaving(lambda asked: asked.say(status, b"<html>Bad Gateway</html>")) as one:
        assert names_of(score(one.url)) == NAMES


def test_retry_after_is_a_lower_bound() -> None:
    with misbehaving(lambda asked: asked.refuse(503, "not_ready", Retry_After="1")) as one:
        begun = time.monotonic()
        assert names_of(score(one.url)) == NAMES
        assert time.monotonic() - begun >= 1
    with misbehaving(then=lambda asked: asked.refuse(503, "not_ready", Retry_After="1000")) as one:
        # Whose patience ends before that need not wait at all.
        with pytest.raises(TryLaterError) as error:
            score(one.url, patience=10)
        assert error.value.retry_after_seconds == 1000
    assert len(one.heard) == 1


def test_retry_after_may_be_a_date() -> None:
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    for says, least in ((later, 900), (later.replace("GMT", "-0000"), 900), ("Sat, 01 Jan 2000 00:00:00 GMT", 0)):
        with misbehaving(then=lambda asked, says=says: asked.refuse(503, "not_ready", Retry_After=says)) as one:
            with pytest.raises(TryLaterError) as error:
                score(one.url, patience=0)
            assert error.value.retry_after_seconds is not None
            assert least <= error.value.retry_after_seconds <= least + 100
    with misbehaving(then=lambda asked: asked.refuse(503, "not_ready", Retry_After="soon")) as one:
        with pytest.raises(TryLaterError) as error:
            score(one.url, patience=0)
        assert error.value.retry_after_seconds is None


def test_another_service_does_not_wait_for_that() -> None:
    with (
        misbehaving(then=lambda asked: asked.refuse(503, "not_ready", Retry_After="1000")) as busy,
        misbehaving() as free,
    ):
        for _ in range(10):
            assert names_of(score([busy.url, free.url])) == NAMES
    assert busy.heard


def test_a_service_that_fails_each_time_is_asked_a_few_times() -> None:
    with misbehaving(then=lambda asked: asked.refuse(500, "internal_error")) as one, pytest.raises(ServiceFailedError):
        score(one.url)
    assert len(one.heard) == 3


@pytest.mark.parametrize(
    ("says", "kind", "match"),
    [
        (lambda asked: asked.refuse(401, "unauthorized"), UnauthorizedError, "unauthorized"),
        (lambda asked: asked.refuse(422, "invalid_request"), RequestRefusedError, "invalid_request"),
        (lambda asked: asked.refuse(413, "payload_too_large"), RequestRefusedError, "payload_too_large"),
        (lambda asked: asked.refuse(404, "not_found"), UnexpectedAnswerError, "a newer galaxytree does"),
        (lambda asked: asked.refuse(501, "odd"), ServiceFailedError, "It is odd"),
        (lambda asked: asked.say(403, b"<html>"), UnexpectedAnswerError, "answers 403, but not as a galaxytree"),
        (lambda asked: asked.say(301, b"", Location="/"), UnexpectedAnswerError, "answers 301"),
        (lambda asked: asked.say(200, b"<html>"), UnexpectedAnswerError, "not as a galaxytree service"),
        (lambda asked: asked.say(200, b"{}", Content_Type="application/x-ndjson"), UnexpectedAnswerError, "not as"),
    ],
)
def test_what_is_of_no_use_to_ask_again_is_told_at_once(says: Says, kind: type[Exception], match: str) -> None:
    with misbehaving(then=says) as one, pytest.raises(kind, match=match):
        score(one.url)
    assert len(one.heard) == 1


@pytest.mark.parametrize("code", ["overloaded", "rate_limited", "not_ready", "deadline_exceeded", "internal_error"])
def test_items_that_may_do_later_are_asked_again(code: str) -> None:
    def says(asked: Asked) -> None:
        asked.stream([line(failed(3, code)), *(row for index, row in enumerate(asked.rows()) if index != 3)])

    with misbehaving(says) as one:
        assert names_of(score(one.url)) == NAMES
    assert one.names == [NAMES, ["u3"]]


def failing(code: str) -> Says:
    return lambda asked: asked.stream([line(failed(index, code, 502)) for index in range(len(asked.names))])


def test_an_item_on_which_services_fail_is_asked_a_few_times() -> None:
    with misbehaving(then=failing("internal_error")) as one:
        assert names_of(score(one.url)) == ["internal_error"] * 10
    assert one.names == [NAMES] * 3


def test_items_that_fail_for_good_are_rows_at_once() -> None:
    with misbehaving(then=failing("fetch_failed")) as one:
        assert names_of(score(one.url)) == ["fetch_failed"] * 10
    assert len(one.heard) == 1


def test_without_patience_it_is_told_what_was_said_of_each_item() -> None:
    with misbehaving(then=failing("overloaded")) as one:
        assert names_of(score(one.url, patience=0)) == ["overloaded"] * 10
        assert names_of(score(one.url, patience=0.3)) == ["overloaded"] * 10

    # Unless there are some of which nothing was.
    def of_one(asked: Asked) -> None:
        asked.stream([line(failed(0, "overloaded"))])

    with misbehaving(of_one, then=lambda asked: asked.refuse(429, "overloaded")) as one, pytest.raises(TryLaterError):
        score(one.url, patience=0.3)
    # A key that is valid no more says nothing of the items.
    with (
        misbehaving(failing("overloaded"), then=lambda asked: asked.refuse(401, "unauthorized")) as one,
        pytest.raises(UnauthorizedError),
    ):
        score(one.url)


def test_networks_are_not_mixed() -> None:
    def another(asked: Asked) -> None:
        asked.stream(asked.rows(), network="b" * 64)

    with misbehaving(cut(4), then=another) as one, pytest.raises(UnexpectedAnswerError, match="run one model on all"):
        score(one.url)
    # Of the first there is nothing that would be mixed.
    with misbehaving(cut(0), then=another) as one:
        assert score(one.url).network == "b" * 64


def test_long_lists_are_sent_in_several_calls() -> None:
    urls = [UrlItem(f"{number:05d}" + "x" * 40_000) for number in range(20)]
    huge = UrlItem("y" * 300_000)
    with misbehaving() as one:
        assert names_of(score(one.url, [huge, *urls])) == [item.url for item in (huge, *urls)]
        assert all(len(asked.body) <= 256 * 1024 for asked in one.heard[1:])
        assert [len(names) for names in one.names] == [1, 6, 6, 6, 2]
        files = [ImageItem(b"", str(number)) for number in range(260)]
        assert names_of(score(one.url, files)) == [item.name for item in files]
        assert [len(names) for names in one.names[5:]] == [250, 10]


def test_large_files_are_sent_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_bodies, "MOST_FORM_BYTES", 25)
    files = [ImageItem(bytes(size), str(size)) for size in (30, 10, 10, 10, 30)]
    with misbehaving() as one:
        assert names_of(score(one.url, files)) == ["30", "10", "10", "10", "30"]
    assert one.names == [["30"], ["10", "10"], ["10"], ["30"]]


def test_nothing_is_asked_for_nothing() -> None:
    assert score("http://127.0.0.1:1", []) == BatchAnswer([], "")


def test_nobody_answers_for_as_long_as_there_is_patience() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match=r"doesn't answer \(.*connection"):
        score(address, patience=0.3)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match="`galaxytree serve` starts a service"):
        score(address, patience=None)
    assert time.monotonic() - begun < 30


def test_a_service_that_comes_later_is_waited_for() -> None:
    port, found = free_port(), []
    thread = threading.Thread(target=lambda: found.append(score(f"http://127.0.0.1:{port}")))
    thread.start()
    time.sleep(0.3)
    with misbehaving(port=port):
        thread.join(PATIENCE_SECONDS)
    assert names_of(found[0]) == NAMES


def test_a_service_that_says_nothing_is_given_up_after_a_time() -> None:
    release = threading.Event()

    async def call(urls: list[str]) -> BatchAnswer:
        caller = BatchCaller(urls, timeout_seconds=0.3, patience_seconds=60)
        try:
            return await caller.score(URLS)
        finally:
            await caller.aclose()

    def silent(asked: Asked) -> None:
        release.wait(PATIENCE_SECONDS)
        asked.hang_up()

    with misbehaving(silent) as one:
        assert names_of(asyncio.run(call([one.url]))) == NAMES
        release.set()


def test_work_is_spread_and_one_that_goes_costs_nothing() -> None:
    async def call(urls: list[str]) -> list[BatchAnswer]:
        caller = BatchCaller(urls, patience_seconds=60)
        try:
            return await asyncio.gather(*(caller.score(URLS) for _ in range(40)))
        finally:
            await caller.aclose()

    with misbehaving() as one, misbehaving() as two, misbehaving(then=cut(3)) as three:
        nobody = f"http://127.0.0.1:{free_port()}"
        answers = asyncio.run(call([one.url, two.url, three.url, nobody]))
    assert [names_of(answer) for answer in answers] == [NAMES] * 40
    assert one.names
    assert two.names
    # What one had answered before it broke off is not asked again.
    assert sum(len(names) for each in (one, two) for names in each.names) == 400 - 3 * len(three.names)


def test_connections_are_bounded_and_waiting_for_one_is_no_failure() -> None:
    def slow(asked: Asked) -> None:
        time.sleep(0.2)
        well(asked)

    async def call(url: str) -> list[BatchAnswer]:
        caller = BatchCaller(url, timeout_seconds=2.0, patience_seconds=0, connections=2)
        try:
            return await asyncio.gather(*(caller.score(URLS) for _ in range(30)))
        finally:
            await caller.aclose()

    with misbehaving(then=slow) as one:
        assert len(asyncio.run(call(one.url))) == 30
    assert one.most <= 2
    assert len(one.heard) == 30


def test_a_call_that_is_cancelled_is_given_up() -> None:
    release = threading.Event()

    async def call(url: str) -> None:
        caller = BatchCaller(url)
        task = asyncio.create_task(caller.score(URLS))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await caller.aclose()

    with misbehaving(lambda _: release.wait(PATIENCE_SECONDS)) as one:  # type: ignore[arg-type,return-value]
        asyncio.run(call(one.url))
        release.set()


def test_the_model() -> None:
    async def call(url: str) -> dict[str, Any]:
        caller = BatchCaller(url, api_key="ß", patience_seconds=60)
        try:
            return await caller.model()
        finally:
            await caller.aclose()

    with misbehaving(lambda asked: asked.refuse(503, "not_ready"), lambda asked: asked.hang_up()) as one:
        assert asyncio.run(call(one.url))["network_sha256"] == NETWORK
    assert one.heard[0].headers["authorization"].encode("latin-1") == "Bearer ß".encode()
    for body in (b"<html>", b"[]", b"{}"):
        with misbehaving(then=lambda asked, body=body: asked.say(200, body)) as one:  # type: ignore[misc]
            with pytest.raises(UnexpectedAnswerError):
                asyncio.run(call(one.url))
            assert len(one.heard) == 1
