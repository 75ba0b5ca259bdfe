"""A span for each request, with its stages as spans below it, by OpenTelemetry: made once the request is over.

It is sent in another thread, to a collector that takes OTLP over HTTP. All else than where that is, is set by
OpenTelemetry's own variables: ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_HEADERS``, …
"""

import asyncio
import logging
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from app.refusals import TracesRefusedError
from app.telemetry.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

CLOSE_SECONDS = 2.0
"""For how long spans that are still to be sent are waited for at the end."""

VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_FIRST_ERROR = 500
_NANO = 1_000_000_000

_log = logging.getLogger(__name__)


class Traces(Protocol):
    """Where requests are told of as spans."""

    def put(self, seen: Seen) -> None:
        """Tell of a request."""
        ...

    async def close(self) -> None:
        """Send what is left, but don't wait for long."""
        ...


def traces_of(endpoint: str | None, environment: "Mapping[str, str]" = os.environ) -> Traces | None:
    """Return where traces go; None if nowhere.

    Parameters
    ----------
    endpoint
        The setting.
    environment
        With OpenTelemetry's own variables.

    Raises
    ------
    TracesRefusedError
        If the setting asks for traces, and what makes them isn't installed.
    """
    asked = endpoint is not None or any(environment.get(name) for name in VARIABLES)
    if not asked or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        # Seconds of imports, for who wants them.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError as error:
        if endpoint is None:
            # The variables may be meant for others on this machine.
            _log.warning("no traces are made, though %s is set: galaxytree[tracing] isn't installed", VARIABLES[1])
            return None
        msg = "traces_endpoint is set, but OpenTelemetry isn't installed: pip install 'galaxytree[tracing]'"
        raise TracesRefusedError(msg) from error
    return Spans(OTLPSpanExporter(endpoint=endpoint))


class Spans:
    """Makes spans of requests.

    Parameters
    ----------
    exporter
        Sends them.
    """

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry import trace  # noqa: PLC0415 (an extra)
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._trace = trace
        said = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "galaxytree"), SERVICE_VERSION: version("galaxytree")}
        self._provider = TracerProvider(resource=Resource.create(said), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("galaxytree", version("galaxytree"))

    def put(self, seen: Seen) -> None:
        """Tell of a request.

        Where its stages lie is known by how long each took only: they are laid one behind the other, up to its end.
        """
        trace = self._trace
        began, ended = int(_NANO * seen.began), int(_NANO * (seen.began + seen.seconds))
        span = self._tracer.start_span(
            f"{seen.method} {seen.route}",
            context=self._context_of(seen),
            kind=trace.SpanKind.SERVER,
            attributes=_attributes_of(seen),
            start_time=began,
        )
        if seen.stages is not None and span.is_recording():
            below = trace.set_span_in_context(span)
            # They are measured by coarser clocks, and may come to a little more.
            at = max(began, ended - sum(int(_NANO / 1000 * each) for each in seen.stages))
            for name in ("queue", "decode", "infer"):
                stage = self._tracer.start_span(name, context=below, start_time=at)
                at = min(ended, at + int(_NANO / 1000 * getattr(seen.stages, name)))
                stage.end(at)
        if seen.status >= _FIRST_ERROR:
            span.set_status(trace.Status(trace.StatusCode.ERROR, seen.code))
        span.end(ended)

    def _context_of(self, seen: Seen) -> "Context":
        parent = seen.parent
        if parent is None:
            # Not what happens to be current: the request is over.
            return self._trace.set_span_in_context(self._trace.INVALID_SPAN)
        known = self._trace.SpanContext(
            trace_id=int(parent.trace_id, 16),
            span_id=int(parent.span_id, 16),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(parent.flags),
        )
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(known))

    async def close(self) -> None:
        """Send what is left, but don't wait for long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            _log.warning("traces that could not be sent in %g s are lost", CLOSE_SECONDS)


def _attributes_of(seen: Seen) -> dict[str, str | int]:
    said: dict[str, str | int | None] = {
        "http.request.method": seen.method,
        "http.route": seen.route,
        "http.response.status_code": seen.status,
        "http.request.body.size": seen.bytes_in,
        "http.response.body.size": seen.bytes_out,
        "client.address": seen.client,
        "galaxytree.code": seen.code,
        "galaxytree.request_id": seen.request_id,
        "galaxytree.key": seen.key,
        "galaxytree.views": seen.views,
        "galaxytree.priority": seen.priority,
        "galaxytree.scored": seen.scored,
        "galaxytree.failed": seen.failed,
    }
    return {name: value for name, value in said.items() if value is not None}
