"""``GET /metrics``: what the service tells of itself, for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from app.problems import GUARDED, documented

PATH = "/metrics"

router = APIRouter(tags=["health"])

_TEXT = {
    "description": "Prometheus's text format, or OpenMetrics where `Accept` asks for it",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get(PATH, response_class=Response, responses={200: _TEXT, **documented(*GUARDED)})
async def metrics(request: Request) -> Response:
    """Return requests, images, times, what waits and what runs, as numbers."""
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(request.app.state.metrics), media_type=media_type)
