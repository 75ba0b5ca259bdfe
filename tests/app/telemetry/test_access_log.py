"""A line of JSON for each request, with no secret in it; and what can't be written holds up nobody."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.server import REPEAT_SECONDS
from app.settings import Settings
from app.telemetry.access_log import MOST_BEHIND_BYTES, AccessLog, line_of
from app.telemetry.seen import Parent, Seen, Stages, parent_of, stages_of
from app.telemetry.telemetry import Telemetry
from tests.app.batches import LINES, lines
from tests.app.callers import bearer, entry
from tests.galaxies import jpeg
from tests.hostile.peers import peer
from tests.scraping import Scrape
from tests.servers import environment, serving, wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
KEY = "open sesame"
SEEN = Seen(
    1_800_000_000.125,
    0.0125,
    "id-1",
    "192.0.2.7",
    "survey",
    "POST",
    "/classify",
    200,
    "ok",
    100,
    50,
    Stages(1.5, 0.25, 6.0),
    8,
    "bulk",
    None,
    None,
    Parent(TRACE, "b7ad6b7169203331", 1),
)


def test_each_request_has_its_line(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "survey"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n')
    image = jpeg(size=64)
    with serving(tmp_path / "log", model=str(model_folder), workers="1", api_keys_file=str(keys)) as process:
        with httpx.Client(base_url=process.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as client:
            for number, (path, body) in enumerate(
                [
                    ("/classify?views=8&priority=bulk&token=hidden", {"content": image}),
                    ("/classify", {"files": {"file": image}}),
                    ("/classify", {"content": b"hidden"}),
                    ("/classify/batch", {"content": lines(["ftp://hidden/"]), "headers": LINES}),
                    ("/hidden", {"content": image}),
                ]
            ):
                headers = {"X-Request-ID": f"id-{number}", "traceparent": TRACEPARENT, **body.pop("headers", {})}
                client.post(path, headers=headers, **body)
        httpx.post(f"{process.url}/classify", content=image, headers={"Authorization": "Bearer hidden"})
        httpx.get(f"{process.url}/health/live", headers={"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"})
        with peer(process.port) as one:
            one.post("Content-Length: 1000", "X-Request-ID: id-gone", f"Authorization: Bearer {KEY}")
            one.say(b"hidden")
        wait_for(lambda: '"cut_off"' in process.said, "the line of who went")
        assert process.stop() == 0
        told = [orjson.loads(line) for line in process.said.splitlines()]
        assert not {KEY, "hidden", "Bearer"} & {word for word in (KEY, "hidden", "Bearer") if word in process.said}

    def of(request_id: str) -> dict[str, Any]:
        (line,) = (each for each in told if each["id"] == request_id)
        return line

    assert len(told) == 8
    whole = of("id-0")
    assert (
        whole
        | {
            "client": "127.0.0.1",
            "key": "survey",
            "method": "POST",
            "route": "/classify",
            "status": 200,
            "code": "ok",
            "bytes_in": len(image),
            "views": 8,
            "priority": "bulk",
            "trace_id": TRACE,
        }
        == whole
    )
    assert whole["bytes_out"] > 1000
    assert whole["time"].endswith("Z")
    # The loop's clock, by which waiting is measured, has milliseconds only.
    assert 0 < whole["decode_ms"] + whole["queue_ms"] + whole["infer_ms"] <= whole["ms"] + 2
    form = of("id-1")
    assert (form["views"], form["priority"], form["key"], form["trace_id"]) == (1, "interactive", "survey", TRACE)
    assert form["bytes_in"] > len(image)
    assert form["infer_ms"] > 0
    bad = of("id-2")
    assert (bad["status"], bad["code"], bad["bytes_in"]) == (422, "undecodable_image", 6)
    assert "infer_ms" not in bad
    batch = of("id-3")
    assert (batch["route"], batch["scored"], batch["failed"], batch["priority"]) == ("/classify/batch", 0, 1, "bulk")
    assert (of("id-4")["route"], of("id-4")["code"]) == ("other", "not_found")
    gone = of("id-gone")
    assert (gone["status"], gone["code"], gone["bytes_in"], gone["bytes_out"]) == (499, "cut_off", 6, 0)
    stranger, health = told[5], told[6]
    assert (stranger["status"], stranger["code"], stranger["key"]) == (401, "unauthorized", None)
    assert (health["route"], health["key"]) == ("/health/live", None)
    assert "trace_id" not in health


def test_of_who_is_refused_it_is_said_who_it_is(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("survey", KEY, "images_per_day = 1"))
    with serving(tmp_path / "log", model=str(model_folder), workers="1", api_keys_file=str(keys)) as process:
        for path, content in (
            ("/admin/reload", b""),
            ("/classify", b"no image"),
            ("/classify", b"no image"),
            ("/classify", iter([b"no image"])),
        ):
            httpx.post(process.url + path, content=content, headers=bearer(KEY), timeout=30)
        assert process.stop() == 0
        told = [orjson.loads(line) for line in process.said.splitlines()]
    assert [(line["status"], line["key"]) for line in told] == [
        (403, "survey"),
        (422, "survey"),
        *[(429, "survey")] * 2,
    ]


def test_while_a_key_is_changed_it_is_said_which_one_was_shown(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    both = [hashlib.sha256(key.encode()).hexdigest() for key in ("old", "new")]
    keys.write_text(f'[[keys]]\nname = "survey"\nsha256 = {both}\nimages_per_day = 2\n' + entry("page", "only"))
    with serving(tmp_path / "log", model=str(model_folder), workers="1", api_keys_file=str(keys)) as process:
        for key, path, content in (
            ("old", "/classify", b"no image"),
            ("new", "/classify", iter([b"no image"])),
            ("new", "/classify", b"no image"),
            ("old", "/admin/reload", b""),
            ("only", "/classify", b"no image"),
            ("none", "/classify", b"no image"),
        ):
            httpx.post(process.url + path, content=content, headers=bearer(key), timeout=30)
        assert process.stop() == 0
        told = [orjson.loads(line) for line in process.said.splitlines()]
        assert not any(digest[:6] in process.said for digest in both)
    assert [(line["status"], line["key"], line.get("key_checksum")) for line in told] == [
        (422, "survey", 1),
        (422, "survey", 2),
        (429, "survey", 2),
        (403, "survey", 1),
        (422, "page", None),
        (401, None, None),
    ]
    assert [("key_checksum" in line) for line in told] == [True] * 4 + [False] * 2


def test_off_there_is_nothing(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder), workers="1", access_log="off") as process:
        assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
        assert process.stop() == 0
        assert process.said == ""


def test_quiet_leaves_out_who_looks_after_it_while_all_is_well(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("prometheus", "scrapes", 'scopes = ["metrics"]') + entry("survey", KEY))
    said = {"access_log": "quiet", "api_keys_file": str(keys), "drain_seconds": "600", "workers": "1"}
    looked_at = ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics")
    with serving(tmp_path / "log", model=str(model_folder), **said) as process:
        with httpx.Client(base_url=process.url, headers=bearer("scrapes"), timeout=30) as client:
            for path in looked_at:
                assert client.get(path).is_success
            assert client.head("/metrics").status_code == 405
            assert client.get("/health/nowhere").status_code == 403
            assert client.get("/models").is_success
            assert client.get("/metrics", headers=bearer("wrong")).status_code == 401
            assert client.post("/classify", content=jpeg(), headers=bearer(KEY)).is_success
            process.popen.send_signal(signal.SIGTERM)
            wait_for(lambda: client.get("/health/ready").status_code == 503, "the drain")
            assert client.get("/health/live").is_success
        wait_for(lambda: "not_ready" in process.said, "the last line")
        time.sleep(REPEAT_SECONDS)
        assert process.stop() == 128 + signal.SIGTERM
        told = [orjson.loads(line) for line in process.said.splitlines()]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("HEAD", "/metrics", 405),
        ("GET", "other", 403),
        ("GET", "/models", 200),
        ("GET", "/metrics", 401),
        ("POST", "/classify", 200),
        ("GET", "/health/ready", 503),
    ]


def test_a_full_disk_holds_up_nobody(model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", output=Path("/dev/full"), model=str(model_folder), workers="1") as process:
        for _ in range(3):
            assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
        wait_for(lambda: Scrape.at(process.url).value("galaxytree_access_log_lines_lost_total") >= 3, "the loss")
        assert process.stop() == 0
        assert process.log.count("lines of the access log are lost: No space left on device") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_of_the_log(model_folder: Path, tmp_path: Path, log_format: str) -> None:
    with serving(tmp_path / "log", model=str(model_folder), workers="1", log_format=log_format) as process:
        assert process.stop() == 0
        said = process.log.splitlines()
    if log_format == "text":
        assert any("INFO app.service [-] ready: " in line for line in said)
    else:
        told = [orjson.loads(line) for line in said]
        (ready,) = (each for each in told if each["message"].startswith("ready: "))
        assert (ready["level"], ready["logger"], ready["id"]) == ("info", "app.service", "-")
        assert ready["time"].endswith("Z")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_workers_log_as_the_service_does(log_format: str) -> None:
    code = (
        "import logging, app.worker\napp.worker._log_as_the_service_does()\n"
        "try:\n    1 / 0\nexcept ArithmeticError:\n    logging.getLogger('x').exception('no \\udcff luck')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(log_format=log_format),
        capture_output=True,
        text=True,
        check=True,
    )
    if log_format == "text":
        assert " ERROR x [worker] no " in done.stderr
    else:
        told = orjson.loads(done.stderr)
        assert (told["level"], told["id"], told["message"]) == ("error", "worker", "no \\udcff luck")
        assert told["traceback"].endswith("ZeroDivisionError: division by zero")


def test_nobody_reads_what_is_written() -> None:
    async def crowd() -> None:
        reader, writer = os.pipe()
        log = AccessLog(writer)
        log.start()
        line = line_of(SEEN)
        for _ in range(2 * MOST_BEHIND_BYTES // len(line)):
            log.put(lambda: SEEN)
        assert log.lost > 0
        # Read on, and what was kept comes whole.
        pieces: list[bytes] = []

        def read() -> None:
            while piece := os.read(reader, 1 << 20):
                pieces.append(piece)

        reading = threading.Thread(target=read)
        reading.start()
        log.flush()
        wait_for(lambda: log._given == log._written, "all to be written")
        log.close()
        os.close(writer)
        reading.join(30)
        os.close(reader)
        kept = b"".join(pieces).splitlines(keepends=True)
        assert set(kept) == {line}
        assert len(kept) + log.lost == 2 * MOST_BEHIND_BYTES // len(line)

    asyncio.run(crowd())


def test_the_line() -> None:
    assert orjson.loads(line_of(SEEN)) == {
        "time": "2027-01-15T08:00:00.125000Z",
        "id": "id-1",
        "client": "192.0.2.7",
        "key": "survey",
        "method": "POST",
        "route": "/classify",
        "status": 200,
        "code": "ok",
        "bytes_in": 100,
        "bytes_out": 50,
        "ms": 12.5,
        "decode_ms": 1.5,
        "queue_ms": 0.25,
        "infer_ms": 6.0,
        "views": 8,
        "priority": "bulk",
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([TRACEPARENT], Parent(TRACE, "b7ad6b7169203331", 1)),
        ([f"01-{TRACE}-b7ad6b7169203331-00-more"], Parent(TRACE, "b7ad6b7169203331", 0)),
        ([], None),
        ([TRACEPARENT, TRACEPARENT], None),
        ([TRACEPARENT.upper()], None),
        ([f"{TRACEPARENT}-more"], None),
        ([f"ff{TRACEPARENT[2:]}"], None),
        ([f"00-{'0' * 32}-b7ad6b7169203331-01"], None),
        ([f"00-{TRACE}-{'0' * 16}-01"], None),
        (["<script>"], None),
    ],
)
def test_who_asked(said: list[str], found: Parent | None) -> None:
    assert parent_of([(b"host", b"x"), *((b"traceparent", each.encode()) for each in said)]) == found


def test_stages_of_another_s_header() -> None:
    assert stages_of(b"decode;dur=1.500, queue;dur=0.250, infer;dur=6.000") == Stages(1.5, 0.25, 6.0)
    assert stages_of(b"cache;desc=hit") is None


def test_whatever_goes_wrong_with_telling_the_request_was_served(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(AccessLog):
        def put(self, seen: Callable[[], Seen]) -> None:
            msg = f"no luck with {seen().request_id}"
            raise RuntimeError(msg)

    Telemetry(access_log=Broken()).tell(lambda: SEEN)
    assert "a request could not be told of" in caplog.text


def test_a_line_that_cannot_be_made_costs_no_other(tmp_path: Path) -> None:
    def broken() -> Seen:
        raise RuntimeError

    async def tell() -> AccessLog:
        log = AccessLog(descriptor)
        log.start()
        for seen in (lambda: SEEN, broken, lambda: SEEN):
            log.put(seen)
        log.close()
        return log

    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    try:
        assert asyncio.run(tell()).lost == 1
    finally:
        os.close(descriptor)
    assert (tmp_path / "log").read_bytes() == 2 * line_of(SEEN)


def test_an_endpoint_that_is_none() -> None:
    with pytest.raises(ValueError, match="is no URL such as"):
        Settings(traces_endpoint="localhost:4318")
