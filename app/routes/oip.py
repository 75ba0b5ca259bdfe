"""Open Inference Protocol v2: ``/v2`` and what is below it."""

from importlib.metadata import version as version_of
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path

from app.errors import (
    BodyTimeoutError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    TooManyPixelsError,
    UndecodableImageError,
    UnknownModelError,
    UnsupportedMediaTypeError,
    WrongHostError,
)
from app.oip.inferring import serve
from app.oip.messages import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from app.oip.models import described, named
from app.oip.told import PREFIX, documented
from app.oip.wire import BINARY
from app.problems import GUARDED
from app.roster import Roster
from app.routes.dependencies import TheService
from app.routes.direct import direct

EXTENSIONS = ("binary_tensor_data",)

_MODEL = f"{PREFIX}/models/{{model}}"
_VERSION = f"{_MODEL}/versions/{{version}}"
_BEHIND = "JSON, and behind it what travels in binary; Inference-Header-Content-Length says how long the JSON is"
_TENSORS = {"schema": {"type": "string", "format": "binary", "description": _BEHIND}}
_HEAD = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "How many bytes of the body are JSON; 0: the body is one image. Not given: all of them",
    "schema": {"type": "integer", "minimum": 0},
}
_INFERRED: dict[int | str, dict[str, Any]] = {
    200: {"content": {BINARY.decode(): _TENSORS}},
    **documented(
        InvalidRequestError,
        *GUARDED,
        UnknownModelError,
        BodyTimeoutError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        UndecodableImageError,
        TooManyPixelsError,
        OverloadedError,
        InternalError,
        NotReadyError,
        DeadlineExceededError,
    ),
}
_OF_A_MODEL = documented(*GUARDED, UnknownModelError, NotReadyError)

Model = Annotated[str, Path(description="Name of the model, as `GET /model` has it")]
Version = Annotated[str, Path(description="Version of the model")]

_ANYWHERE = documented(WrongHostError)

router = APIRouter(tags=["open inference protocol"], responses=_ANYWHERE)
inferring = APIRouter(tags=["open inference protocol"], responses=_ANYWHERE, route_class=direct(serve))


@router.get(PREFIX, responses=documented(*GUARDED))
async def server_metadata() -> ServerMetadata:
    """Which server this is, and which extensions of the protocol it knows."""
    return ServerMetadata(name="galaxytree", version=version_of("galaxytree"), extensions=EXTENSIONS)


@router.get(f"{PREFIX}/health/live")
async def server_live() -> ServerLive:
    """Whether the process answers at all."""
    return ServerLive(live=True)


@router.get(f"{PREFIX}/health/ready", responses=documented(NotReadyError))
async def server_ready(service: TheService) -> ServerReady:
    """Whether images are welcome, as `GET /health/ready`."""
    service.check_ready()
    return ServerReady(ready=True)


@router.get(_MODEL, responses=_OF_A_MODEL)
async def model_metadata(service: TheService, model: Model) -> ModelMetadata:
    """Say what a model takes and gives."""
    return described(service, model)


@router.get(_VERSION, responses=_OF_A_MODEL)
async def version_metadata(service: TheService, model: Model, version: Version) -> ModelMetadata:
    """Say what a version of a model takes and gives."""
    return described(service, model, version)


@router.get(f"{_MODEL}/ready", responses=_OF_A_MODEL)
async def model_ready(service: TheService, model: Model) -> ModelReady:
    """Whether images are welcome for a model."""
    return _ready(service, model)


@router.get(f"{_VERSION}/ready", responses=_OF_A_MODEL)
async def version_ready(service: TheService, model: Model, version: Version) -> ModelReady:
    """Whether images are welcome for a version of a model."""
    return _ready(service, model, version)


def _ready(service: TheService, model: str, version: str | None = None) -> ModelReady:
    named(service, model, version)
    service.check_ready()
    return ModelReady(name=model, ready=True)


_INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "response_model_exclude_none": True,
    "responses": _INFERRED,
    "openapi_extra": {"parameters": [_HEAD], "requestBody": {"content": {BINARY.decode(): _TENSORS}}},
}


@inferring.post(f"{_MODEL}/infer", **_INFER)
async def infer(model: Model, _body: InferRequest) -> None:
    """Say what the volunteers would say of some galaxies."""


@inferring.post(f"{_VERSION}/infer", **_INFER)
async def infer_version(model: Model, version: Version, _body: InferRequest) -> None:
    """Say what the volunteers would say of some galaxies, by a version of a model."""


def name_versions(app: FastAPI, roster: Roster) -> None:
    """Have an application describe in which versions there are models; their names it describes for all routes."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        said = plain()
        versions = list(dict.fromkeys(each.card.version for each in roster.folders.values()))
        for operation in (each for path in said["paths"].values() for each in path.values()):
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "version":
                    parameter["schema"]["enum"] = versions
        return said

    app.openapi = openapi  # type: ignore[method-assign]
