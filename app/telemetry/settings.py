"""What can be set of what the service tells of itself: the kinds of fields that `app.settings.Settings` has of it."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def _endpoint(text: str | None) -> str | None:
    if text is not None:
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"{text!r} is no URL such as http://localhost:4318/v1/traces"
            raise ValueError(msg)
    return text


LogFormat = Annotated[
    Literal["text", "json"],
    Field(title="Log format", description="How lines on standard error are written; as JSON, one object a line"),
]
AccessLogKind = Annotated[
    Literal["off", "json", "quiet"],
    Field(
        title="Access log",
        description="json: a line for each request on standard output, with its id, route, code, stages and key's "
        "name; quiet: the same without those for health and metrics that were answered well",
    ),
]
TracesEndpoint = Annotated[
    str | None,
    AfterValidator(_endpoint),
    Field(
        title="Traces",
        description="URL of an OpenTelemetry collector that takes OTLP over HTTP, such as "
        "http://localhost:4318/v1/traces, to which a span for each request is sent; needs galaxytree[tracing]; not "
        "set: none is made, unless OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set",
    ),
]
