"""``POST /classify``: one image in, its scores out.

This is the route on which speed counts: FastAPI documents it, and it is an ASGI application of its own.
"""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query

from app.bodies import PART
from app.classify import ImageParameters, serve
from app.errors import (
    BodyTimeoutError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotExplainableError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    TooManyPixelsError,
    UndecodableImageError,
    UnknownModelError,
    UnsupportedMediaTypeError,
)
from app.problems import GUARDED, documented
from app.roster import Roster
from app.routes.direct import direct
from galaxytree.schemas import Classification

PATH = "/classify"

_IMAGE = {"schema": {"type": "string", "format": "binary", "description": "The bytes of the image"}}
_BODY = {
    "required": True,
    "description": "One image: its bytes (the fast route; what they are is seen from them), or a form with a file",
    "content": {
        "image/jpeg": _IMAGE,
        "image/png": _IMAGE,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {PART: {"type": "string", "format": "binary", "description": "A JPEG or PNG"}},
                "required": [PART],
            }
        },
    },
}
_TIMING = {
    "description": "What the answer took, in milliseconds: decode, queue, infer",
    "schema": {"type": "string", "examples": ["decode;dur=1.2, queue;dur=0.1, infer;dur=6.0"]},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"Server-Timing": _TIMING}},
    **documented(
        *GUARDED,
        UnknownModelError,
        BodyTimeoutError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        InvalidRequestError,
        NotExplainableError,
        UndecodableImageError,
        TooManyPixelsError,
        OverloadedError,
        InternalError,
        NotReadyError,
        DeadlineExceededError,
    ),
}


router = APIRouter(tags=["classify"], route_class=direct(serve))


@router.post(
    PATH,
    response_model=Classification,
    response_model_exclude_none=True,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _BODY},
)
async def classify(_parameters: Annotated[ImageParameters, Query()]) -> None:
    """Say what the volunteers would say of one galaxy."""


def name_choices(app: FastAPI, roster: Roster) -> None:
    """Have an application describe which models there are, and which answers of theirs can be explained."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        described = plain()
        operations = (operation for path in described["paths"].values() for operation in path.values())
        for parameter in (each for operation in operations for each in operation.get("parameters", ())):
            if parameter["name"] == "explain":
                answers = (answer for folder in roster.folders.values() for answer in folder.tree.columns)
                parameter["schema"]["enum"] = list(dict.fromkeys(answers))
            elif parameter["name"] == "model":
                parameter["schema"]["enum"] = roster.names
        return described

    app.openapi = openapi  # type: ignore[method-assign]
