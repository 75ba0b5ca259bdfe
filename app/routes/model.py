"""``GET /model``: which network answers here, and where it runs."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.errors import NotReadyError, documented
from app.routes.dependencies import TheService
from galaxytree.card import ModelCard

router = APIRouter(tags=["model"])


class RunningModel(ModelCard):
    """The model's card, and where the model runs."""

    execution_provider: Annotated[
        str,
        Field(
            description="The one of ONNX Runtime's execution providers that runs now", examples=["CPUExecutionProvider"]
        ),
    ]
    execution_provider_reason: Annotated[str, Field(description="Why it is this one")]


@router.get("/model", responses=documented(NotReadyError))
async def model(service: TheService) -> RunningModel:
    """Return the model's card: name, version, checksum, tree, input, provenance, metrics; and where it runs."""
    running = service.classifier.model
    return RunningModel(
        **running.card.model_dump(),
        execution_provider=running.device.provider,
        execution_provider_reason=running.device.why,
    )
