"""Which models there are, and what of them is told."""

from app.errors import UnknownModelError
from app.model_folder import ModelFolder
from app.oip.messages import ModelMetadata, TensorMetadata
from app.oip.tensors import CHANNELS
from app.oip.wire import BYTES, FP32, UINT8
from app.ports import INPUT
from app.service import Service

PLATFORM = "onnxruntime_onnx"
_ANY = -1
_SHOWN = 40
_OF_AN_IMAGE = frozenset({"out_of_domain"})


def named(service: Service, model: str, version: str | None = None) -> ModelFolder:
    """Return the folder of a model.

    Raises
    ------
    UnknownModelError
        If there is none of this name and version.
    """
    folder = service.roster.folder(model)
    if version not in {None, folder.card.version}:
        said, there_is = (version or "")[:_SHOWN], folder.card.version
        msg = f"There is no version {said!r} of {model[:_SHOWN]!r}; there is {there_is!r}."
        raise UnknownModelError(msg)
    return folder


def described(service: Service, model: str, version: str | None = None) -> ModelMetadata:
    """Return what a model takes and gives.

    Raises
    ------
    UnknownModelError
        If there is none of this name and version.
    NotReadyError
        While it isn't known what it gives.
    """
    folder = named(service, model, version)
    card = folder.card
    size, columns = card.framing.size, len(folder.tree.columns)
    outputs = service.running(model).outputs
    return ModelMetadata(
        name=model,
        versions=(card.version,),
        platform=PLATFORM,
        inputs=(
            TensorMetadata(name=INPUT, datatype=BYTES, shape=(_ANY,)),
            TensorMetadata(name=INPUT, datatype=UINT8, shape=(_ANY, size, size, CHANNELS)),
        ),
        outputs=tuple(
            TensorMetadata(name=name, datatype=FP32, shape=(_ANY,) if name in _OF_AN_IMAGE else (_ANY, columns))
            for name in outputs
        ),
    )
