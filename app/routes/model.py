"""``GET /model``: which network answers here, and where it runs; ``GET /models``: which ones there are."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.errors import NotReadyError, UnknownModelError
from app.model_folder import ModelFolder
from app.ports import INPUT
from app.problems import documented
from app.roster import Roster
from app.routes.dependencies import NamedModel, TheService
from app.service import Service
from galaxytree.card import ModelCard
from galaxytree.imaging import Framing
from galaxytree.schemas import ModelName

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


class ServedModel(BaseModel):
    """One of the models that are asked here."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    name: Annotated[str, Field(description="By which it is asked for: `model` of `POST /classify`")]
    default: Annotated[bool, Field(description="Whether it is asked where a request names none")]
    model: ModelName
    network_sha256: Annotated[
        str | None, Field(description="SHA-256 of the ONNX file that runs, in hexadecimal; null until it does")
    ]

    @classmethod
    def all_of(cls, service: Service) -> "tuple[ServedModel, ...]":
        """Return those of a service, the default one first."""
        roster = service.roster
        return tuple(cls._of(roster, name, folder) for name, folder in roster.folders.items())

    @classmethod
    def _of(cls, roster: Roster, name: str, folder: ModelFolder) -> Self:
        card, live = folder.card, roster.find(name)
        return cls(
            name=name,
            default=name == roster.default,
            model=ModelName(name=card.name, version=card.version, tree=card.tree),
            network_sha256=None if live is None else live.network_sha256,
        )


class ServedModels(BaseModel):
    """The models that are asked here."""

    models: Annotated[tuple[ServedModel, ...], Field(description="The default one first")]


@router.get("/models")
async def models(service: TheService) -> ServedModels:
    """Return which models are asked here, and by which names; a model is also known by the name in its card."""
    return ServedModels(models=ServedModel.all_of(service))


@router.get("/model", responses=documented(UnknownModelError, NotReadyError))
async def model(service: TheService, model: NamedModel = None) -> RunningModel:  # type: ignore[assignment]
    """Return the model's card: name, version, checksum, tree, input, provenance, metrics; and where it runs."""
    running = service.running(model)
    folder = service.roster.folder(model)
    card = folder.card
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
        network_sha256=folder.sha256(running.precision),
    )
