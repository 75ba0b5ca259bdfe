"""What travels on the wire, as the protocol has it; and what this service takes of it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxytree.views import Views

MOST_ID = 256
"""Characters of a request's id."""

MOST_AXES = 8
"""Of a tensor."""

MOST_OUTPUTS = 64
"""That are asked for. Of what should be short only the first that is wrong is told: to tell of many takes seconds."""

_Flag = Annotated[bool, Field(strict=True)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Failure(_Message):
    """Why a request got no answer."""

    error: Annotated[str, Field(description="What is wrong, in a sentence")]
    code: Annotated[str, Field(description="The word that programs know it by, as everywhere in this service")]


class ServerMetadata(_Message):
    """Which server this is."""

    name: str
    version: str
    extensions: tuple[str, ...]


class ServerLive(_Message):
    """Whether the server answers at all."""

    live: bool


class ServerReady(_Message):
    """Whether the server takes requests."""

    ready: bool


class ModelReady(_Message):
    """Whether a model takes requests."""

    name: str
    ready: bool


class TensorMetadata(_Message):
    """A tensor that a model takes or gives."""

    name: str
    datatype: Annotated[str, Field(examples=["BYTES", "UINT8", "FP32"])]
    shape: Annotated[tuple[int, ...], Field(description="-1 where any number will do: of images")]


class ModelMetadata(_Message):
    """What a model takes and gives. Of inputs of one name a request has one, in whichever datatype suits it."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class _Asked(_Message):
    """What a client sends; what isn't known here is for others."""

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, given: Any) -> Any:  # noqa: ANN401 (whatever came)
        """Leave out what is null, as some clients write what they don't give."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class InputParameters(_Asked):
    """How an input travels."""

    binary_data_size: Annotated[
        int,
        Field(strict=True, ge=0, description="Bytes of it behind the JSON; it then has no data. Not given: it has"),
    ] = None  # type: ignore[assignment]  # None is no value that a client can send
    shared_memory_region: Annotated[Any, Field(description="Not taken here")] = None


class OutputParameters(_Asked):
    """How an output is to travel."""

    binary_data: Annotated[_Flag, Field(description="Behind the JSON. Not given: as binary_data_output says")] = None  # type: ignore[assignment]  # as above
    classification: Annotated[Any, Field(description="Not taken here")] = None
    shared_memory_region: Annotated[Any, Field(description="Not taken here")] = None


class RequestParameters(_Asked):
    """What else is asked for."""

    binary_data_output: Annotated[_Flag, Field(description="Whether outputs travel behind the JSON")] = False
    views: Annotated[Views, Field(description="As `views` of `POST /classify`")] = None  # type: ignore[assignment]  # as above
    priority: Annotated[
        Literal["interactive", "bulk"] | Annotated[int, Field(strict=True, ge=0)],
        Field(description="As `priority` of `POST /classify`; of numbers, as Triton has them, 0 and 1 are interactive"),
    ] = "interactive"

    @property
    def bulk(self) -> bool:
        """Whether others may go ahead."""
        return self.priority == "bulk" if isinstance(self.priority, str) else self.priority > 1


class InferInput(_Asked):
    """An input, with its data or without."""

    name: str
    datatype: str
    shape: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(max_length=MOST_AXES, fail_fast=True)]
    parameters: InputParameters = InputParameters()
    data: Annotated[
        list[Any],
        Field(description="BYTES: images in base64; UINT8: numbers from 0 to 255, nested or in one list"),
    ] = None  # type: ignore[assignment]  # as above


class AskedOutput(_Asked):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(_Asked):
    """Images, and what is to be said of them."""

    id: Annotated[str, Field(max_length=MOST_ID, description="Comes back with the answer")] = None  # type: ignore[assignment]  # as above
    parameters: RequestParameters = RequestParameters()
    inputs: Annotated[tuple[InferInput, ...], Field(min_length=1, max_length=1, fail_fast=True)]
    outputs: Annotated[
        tuple[AskedOutput, ...],
        Field(max_length=MOST_OUTPUTS, fail_fast=True, description="Not given, or none: all that the model gives"),
    ] = ()


class GivenParameters(_Message):
    """How an output travels."""

    binary_data_size: Annotated[int, Field(description="Bytes of it behind the JSON")]


class InferOutput(_Message):
    """What the model says of the images, one row an image."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: GivenParameters | None = None
    data: Annotated[list[float] | None, Field(description="All rows in one list; none where it is in binary")] = None


class InferResponse(_Message):
    """What the model says of the images."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: tuple[InferOutput, ...]
