"""Which models there are, and what of them is told."""

from app.errors import UnknownModelError
from app.oip.messages import ModelMetadata, TensorMetadata
from app.oip.tensors import CHANNELS
from app.oip.wire import BYTES, FP32, UINT8
from app.ports import INPUT
from app.service import Service
from galaxytree.card import ModelCard

PLATFORM = "onnxruntime_onnx"
_ANY = -1
_SHOWN = 40
_OF_AN_IMAGE = frozenset({"out_of_domain"})


def named(service: Service, model: str, version: str | None = None) -> ModelCard:
    """Return the card of a model.

    Raises
    ------
    UnknownModelError
        If there is none of this name and version.
    """
    card = service.folder.card
    if model != card.name:
        msg = f"There is no model {model[:_SHOWN]!r}; there is {card.name!r}."
        raise UnknownModelError(msg)
    if version not in {None, card.version}:
        msg = f"There is no version {(version or '')[:_SHOWN]!r} of {card.name!r}; there is {card.version!r}."
        raise UnknownModelError(msg)
    return card


def described(service: Service, card: ModelCard) -> ModelMetadata:
    """Return what a model takes and gives; NotReadyError while it isn't known what it gives."""
    size, columns = card.framing.size, len(service.folder.tree.columns)
    outputs = service.running.outputs
    return ModelMetadata(
        name=card.name,
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
