"""``POST /classify``: one image in, its scores out."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from app.bodies import PART, read_image
from app.disconnects import while_connected
from app.errors import (
    BodyTimeoutError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    TooManyPixelsError,
    UnauthorizedError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
    documented,
)
from app.routes.dependencies import TheService, check_key, check_parameters
from galaxytree.schemas import Classification
from galaxytree.views import Views

router = APIRouter(tags=["classify"])

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
        UnauthorizedError,
        BodyTimeoutError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        InvalidRequestError,
        UndecodableImageError,
        TooManyPixelsError,
        OverloadedError,
        InternalError,
        NotReadyError,
        DeadlineExceededError,
    ),
}


@router.post(
    "/classify",
    response_model=Classification,
    response_model_exclude_none=True,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _BODY},
    dependencies=[Depends(check_key), Depends(check_parameters)],
)
async def classify(
    request: Request,
    service: TheService,
    detail: Annotated[
        Literal["full", "scores"],
        Query(description="`scores` leaves out `questions`, `path` and `summary`"),
    ] = "full",
    views: Annotated[
        Views,
        Query(
            description="Average over so many orientations of the image: 1, as it is, or 8, its rotations by 90 "
            "degrees and mirror images, so that a picture that is turned or mirrored gets the same answer. Not given: "
            "what the service is set to, as `GET /model` says"
        ),
    ] = None,  # type: ignore[assignment]  # None is no value that a client can send
) -> Response:
    """Say what the volunteers would say of one galaxy."""
    classifier, views = service.classifier, service.views(views)
    with service.admission.visit(views) as visit:
        data = await read_image(request, service.body_limits, visit.hold)
        visit.enter()
        answer, timings = await while_connected(request, classifier.classify(data, full=detail == "full", views=views))
    # The answer is written as it is: checking it once more against its own schema would cost more than making it.
    return Response(
        orjson.dumps(answer.model_dump(exclude_none=True)),
        media_type="application/json",
        headers={"Server-Timing": timings.header},
    )
