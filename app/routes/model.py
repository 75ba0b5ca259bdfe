"""``GET /model``: which network answers here, and where it runs."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.errors import NotReadyError
from app.ports import INPUT
from app.problems import documented
from app.routes.dependencies import TheService
from galaxytree.card import ModelCard
from galaxytree.imaging import Framing

router = APIRouter(tags=["model"])


class ModelInput(BaseModel):
    """What the network takes, for those who run its file themselves."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="Name of the ONNX graph's input")] = INPUT
    dtype: Annotated[str, Field(description="Type of its elements")] = "uint8"
    shape: Annotated[tuple[str, int, int, int], Field(description="Images, height, width, channels (RGB)")]
    framing: Annotated[Framing, Field(description="How an image is cut and scaled to it")]

    @classmethod
    def of(cls, framing: Framing) -> Self:
        """Return the input of a network that takes images framed so."""
        return cls(shape=("N", framing.size, framing.size, 3), framing=framing)


class RunningModel(ModelCard):
    """The model's card, what the network takes and answers, where it runs, and with how many views."""

    input: ModelInput
    outputs: Annotated[
        tuple[str, ...],
        Field(
            description="Names of the ONNX graph's outputs that answers are made of",
            examples=[["scores", "uncertainty", "uncertainty_95", "out_of_domain"]],
        ),
    ]
    default_views: Annotated[
        int,
        Field(description="Orientations of an image that an answer is averaged over where a request doesn't say"),
    ]
    execution_provider: Annotated[
        str,
        Field(
            description="The one of ONNX Runtime's execution providers that runs now", examples=["CPUExecutionProvider"]
        ),
    ]
    explainable: Annotated[bool, Field(description="Whether it can say where it looked: `explain` of `POST /classify`")]
    execution_provider_reason: Annotated[str, Field(description="Why it is this one")]
    precision: Annotated[
        str,
        Field(description="In which the network computes: that of model.onnx, or of its int8 file", examples=["int8"]),
    ]
    precision_reason: Annotated[str, Field(description="Why it is this one")]
    network_sha256: Annotated[
        str, Field(description="SHA-256 of the ONNX file that runs, in hexadecimal: that of its precision")
    ]


@router.get("/model", responses=documented(NotReadyError))
async def model(service: TheService) -> RunningModel:
    """Return the model's card: name, version, checksum, tree, input, provenance, metrics; and where it runs."""
    running, card = service.running, service.folder.card
    return RunningModel(
        **card.model_dump(),
        input=ModelInput.of(card.framing),
        outputs=running.outputs,
        default_views=service.settings.views,
        execution_provider=running.provider,
        explainable=running.explainable,
        execution_provider_reason=running.why,
        precision=running.precision,
        precision_reason=running.why_precision,
        network_sha256=service.network_sha256,
    )
