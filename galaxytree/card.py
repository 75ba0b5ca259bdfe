"""The model card: ``card.json`` beside a model's ``model.onnx``, what training writes and the service reads."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from galaxytree.imaging import Framing

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
"""The same network in 8 bit integers, for CPUs: the same input, outputs and metadata, and ``precision`` = "int8"."""

MOST_RISE = 0.0003
"""The most by which quantisation may raise the RMSE on the validation split (a share, 0 to 1) for the int8 file to be
the one that is used without being asked for, on CPUs that have instructions for it."""

SHIPPED_MODEL = "galaxytree-lite2"
"""Name of the model that ships with galaxytree, and of its folder; others may lie beside it."""


class Int8(BaseModel):
    """What is to be known of a model's int8 file: what it was made with, and what it costs in accuracy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of model.int8.onnx, in hexadecimal")]
    rmse_rise: Annotated[
        float | None,
        Field(allow_inf_nan=False, description="RMSE on the validation split over that of model.onnx; null: unknown"),
    ]
    metrics: Annotated[
        dict[str, Any], Field(description="Figures on the validation split, and the command they come from")
    ]
    provenance: Annotated[
        dict[str, Any], Field(description="Images it was calibrated on, method, settings, machine, versions")
    ]

    @property
    def by_default(self) -> bool:
        """Whether the int8 file is accurate enough to be used without being asked for, on CPUs that are made for it.

        That is a known rise, `MOST_RISE` at most. Which CPUs these are says `galaxytree.instructions.dot_product`.
        """
        return self.rmse_rise is not None and self.rmse_rise <= MOST_RISE


class ModelCard(BaseModel):
    """What is to be known of a model file.

    The names ``name``, ``version``, ``tree``, ``columns`` and ``framing`` also stand in the metadata of the ONNX file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: Annotated[str, Field(min_length=1, description="What the model is called")]
    version: Annotated[str, Field(min_length=1, description="Year.month.number of the release")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of model.onnx, in hexadecimal")]
    tree: Annotated[str, Field(description="Decision tree that the scores belong to")]
    columns: Annotated[tuple[str, ...], Field(description="Names of the scores, in order")]
    framing: Annotated[Framing, Field(description="How an image is cut and scaled to the model's input")]
    network: Annotated[dict[str, Any], Field(description="Architecture, parameters, multiply-adds")]
    provenance: Annotated[dict[str, Any], Field(description="Images, votes, initial weights, training")]
    metrics: Annotated[
        dict[str, Any], Field(description="Figures on the validation split, and the command they come from")
    ]
    citations: Annotated[tuple[str, ...], Field(description="What to cite when you publish scores of this model")]
    licence: Annotated[str, Field(description="Licence of the weights, and terms of the data they come from")]
    limits: Annotated[str, Field(description="Where the model was not measured")]
    int8: Annotated[Int8 | None, Field(description="The int8 file beside model.onnx; null if there is none")] = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the card in a model's folder; OSError or pydantic's ValidationError if that can't be done."""
        return cls.model_validate_json((folder / CARD_FILE).read_bytes())

    def write(self, folder: Path) -> None:
        """Write the card into a model's folder."""
        (folder / CARD_FILE).write_text(self.model_dump_json(indent=2) + "\n", "utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
