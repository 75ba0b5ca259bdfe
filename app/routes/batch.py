"""``POST /classify/batch``: many images in, one result for each out."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.batch.accept import FORM, NDJSON
from app.batch.form import PARTS
from app.batch.serving import BatchParameters, serve
from app.errors import (
    BodyTimeoutError,
    InternalError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    UnknownModelError,
    UnsupportedMediaTypeError,
)
from app.problems import GUARDED, documented
from app.routes.direct import direct
from galaxytree.schemas import BatchAnswer, BatchRequest

PATH = "/classify/batch"

# Beside the document, which FastAPI describes.
_BODY = {
    "required": True,
    "description": "The images: URLs in a document or in lines, which may be any number, or files in a form",
    "content": {
        NDJSON: {
            "schema": {
                "type": "string",
                "description": "One BatchItem a line, as JSON: a url, and an id if you like",
                "examples": ['{"id": "1", "url": "https://skyserver.sdss.org/…"}\n'],
            }
        },
        FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    PARTS: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "JPEGs or PNGs",
                    }
                },
                "required": [PARTS],
            }
        },
    },
}
_NETWORK = {
    "description": "SHA-256 of the ONNX file that gave the scores: `network_sha256` of `GET /model`",
    "schema": {"type": "string"},
}
_LINES = {
    "schema": {
        "type": "string",
        "description": "One BatchResult a line, as JSON, in the order in which they are done; an answer that has not "
        "its proper end is not whole",
    }
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"X-Galaxytree-Network": _NETWORK}, "content": {NDJSON: _LINES}},
    **documented(
        *GUARDED,
        UnknownModelError,
        BodyTimeoutError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        InvalidRequestError,
        OverloadedError,
        InternalError,
        NotReadyError,
    ),
}

router = APIRouter(tags=["classify"], route_class=direct(serve))


@router.post(
    PATH,
    response_model=BatchAnswer,
    response_model_exclude_none=True,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _BODY},
)
async def classify_batch(_parameters: Annotated[BatchParameters, Query()], _body: BatchRequest) -> None:
    """Say what the volunteers would say of many galaxies."""
