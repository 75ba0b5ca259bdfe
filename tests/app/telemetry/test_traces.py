"""Traces, at a collector that takes what OpenTelemetry sends."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.refusals import TracesRefusedError
from app.telemetry import traces
from app.telemetry.seen import Seen
from app.telemetry.traces import Spans, traces_of
from tests.galaxies import jpeg
from tests.servers import refusal, serving

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP on ``/v1/traces``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.services: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    def named(self, name: str) -> list[Span]:
        return [each for each in self.spans if each.name == name]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip  # noqa: PLC0415

            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.server.services.add(said["service.name"])
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(30)


def attributes(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_span_for_each_request_with_its_stages(model_folder: Path, tmp_path: Path, collector: Collector) -> None:
    with serving(
        tmp_path / "log", model=str(model_folder), workers="1", traces_endpoint=collector.url, access_log="off"
    ) as process:
        asked = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "of-interest"}
        assert httpx.post(f"{process.url}/classify", content=jpeg(), headers=asked).is_success
        # Whoever asked doesn't keep this one.
        httpx.post(f"{process.url}/classify", content=b"", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
        httpx.get(f"{process.url}/nowhere?hidden=1")
        assert process.stop() == 0
        assert "Traceback" not in process.log
    (served,) = collector.named("POST /classify")
    (unknown,) = collector.named("GET other")
    assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, CALLER)
    assert served.kind == Span.SPAN_KIND_SERVER
    said = attributes(served)
    assert (
        said
        | {
            "http.route": "/classify",
            "http.response.status_code": 200,
            "galaxytree.request_id": "of-interest",
            "galaxytree.code": "ok",
            "galaxytree.views": 1,
            "http.request.body.size": len(jpeg()),
        }
        == said
    )
    at = None
    for name in ("queue", "decode", "infer"):
        (stage,) = collector.named(name)
        assert stage.parent_span_id == served.span_id
        assert at in {None, stage.start_time_unix_nano}
        assert served.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        at = stage.end_time_unix_nano
    assert at == served.end_time_unix_nano
    assert unknown.parent_span_id == b""
    assert unknown.trace_id.hex() != TRACE
    assert len(collector.spans) == 5
    assert collector.services == {"galaxytree"}
    assert b"hidden" not in b"".join(each.SerializeToString() for each in collector.spans)


def test_a_collector_that_is_not_there_holds_up_nobody(model_folder: Path, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/v1/traces"
    with serving(tmp_path / "log", model=str(model_folder), workers="1", traces_endpoint=nowhere) as process:
        assert httpx.post(f"{process.url}/classify", content=jpeg()).is_success
        assert process.stop() == 0


def test_what_failed_is_an_error(collector: Collector) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    spans = Spans(OTLPSpanExporter(endpoint=collector.url))
    spans.put(Seen(1e9, 1.0, "a", None, "k", "POST", "/x", 500, "internal_error", 1, 2, None, None, None, 3, 4, None))
    asyncio.run(spans.close())
    (span,) = collector.spans
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "internal_error")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (10**18, 10**18 + 10**9)
    assert attributes(span)["galaxytree.failed"] == 4


def test_without_the_setting_there_are_none() -> None:
    assert traces_of(None, {}) is None
    assert traces_of("http://localhost:4318/v1/traces", {"OTEL_SDK_DISABLED": "true"}) is None


def test_opentelemetry_s_own_variables_will_do(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.removesuffix("/v1/traces"))
    found = traces_of(None)
    assert found is not None
    found.put(Seen(1e9, 1.0, "a", None, None, "GET", "/x", 200, "ok", 1, 2, None, None, None, None, None, None))
    asyncio.run(found.close())
    assert [span.name for span in collector.spans] == ["GET /x"]


def test_opentelemetry_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracesRefusedError, match="pip install 'galaxytree\\[tracing\\]'"):
        traces_of("http://localhost:4318/v1/traces", {})
    with caplog.at_level(logging.WARNING):
        assert traces_of(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}) is None
    assert "no traces are made" in caplog.text


def test_an_endpoint_that_is_none_is_refused() -> None:
    assert "is no URL such as" in refusal(traces_endpoint="localhost:4318")


def test_traces_that_cannot_be_sent_are_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, collector: Collector
) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    hangs = threading.Event()
    spans = Spans(OTLPSpanExporter(endpoint=collector.url))
    monkeypatch.setattr(traces, "CLOSE_SECONDS", 0.01)
    shutdown = spans._provider.shutdown
    monkeypatch.setattr(spans._provider, "shutdown", lambda: hangs.wait(60))

    async def close() -> None:
        await spans.close()
        hangs.set()

    asyncio.run(close())
    shutdown()
    assert "traces that could not be sent" in caplog.text
