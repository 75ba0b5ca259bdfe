"""The folder of a model: where it is, and whether its files are those that its card speaks of.

What is checked here is cheap, and is checked before the service listens.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from app.refusals import ModelRefusedError
from galaxytree.card import CARD_FILE, INT8_FILE, MODEL_FILE, SHIPPED_MODEL, ModelCard
from galaxytree.decision_tree import DecisionTree, UnknownTreeError, load_tree

_HERE = Path(__file__).resolve().parent
SHIPPED = (_HERE / "models", _HERE.parent / "models")
"""Where the shipped model lies: in an installed package, and in a checkout."""

_CHOOSE = "name the folder of one with GALAXYTREE_MODEL, or with --model of `galaxytree serve`"


@dataclass(frozen=True)
class ModelFolder:
    """A model and its card, which says what its files are; they are held against it when they are read.

    Attributes
    ----------
    path
        The folder.
    card
        Its card.
    tree
        The decision tree that the model speaks.
    """

    path: Path
    card: ModelCard
    tree: DecisionTree

    @property
    def file(self) -> Path:
        """The ONNX file."""
        return self.path / MODEL_FILE

    @property
    def identity(self) -> str:
        """SHA-256 of what the card says; those of the files are part of it."""
        return hashlib.sha256(self.card.model_dump_json().encode()).hexdigest()

    def verify(self) -> None:
        """Hold ``model.onnx`` against its card; ModelRefusedError if it isn't the card's."""
        self.read()

    def sha256(self, precision: Literal["fp32", "int8"]) -> str:
        """Return the SHA-256 of an ONNX file, in hexadecimal, as the card gives it."""
        if precision == "int8" and self.card.int8 is not None:
            return self.card.int8.sha256
        return self.card.sha256

    def read(self, precision: Literal["fp32", "int8"] = "fp32") -> bytes:
        """Read an ONNX file; what is returned, and not what lay there earlier, is what the card speaks of.

        Parameters
        ----------
        precision
            Which one: ``model.onnx``, or ``model.int8.onnx`` of a model whose card speaks of it.

        Raises
        ------
        ModelRefusedError
            If the file can't be read any more, or is another one by now.
        """
        int8 = precision == "int8" and self.card.int8 is not None
        return _read_verified(self.path / INT8_FILE if int8 else self.file, self.sha256(precision))

    @classmethod
    def open(cls, path: Path | None, identity: str | None = None) -> Self:
        """Find a model and read its card.

        Parameters
        ----------
        path
            The folder, or None for the shipped model.
        identity
            That of the model which is to lie there, if it is to be that one.

        Raises
        ------
        ModelRefusedError
            If there is no such folder or card, the card is not valid or speaks an unknown tree or not all of it, or the
            model is another one.
        """
        folder = path or shipped_model()
        card = _read_card(folder)
        try:
            tree = load_tree(card.tree)
        except UnknownTreeError as error:
            msg = f"the model in {folder} speaks an unknown tree ({error}): use a newer galaxytree or another model"
            raise ModelRefusedError(msg) from error
        if card.columns != tree.columns:
            odd = next(
                (
                    f"{ours!r} where the tree has {theirs!r}"
                    for ours, theirs in zip(card.columns, tree.columns, strict=False)
                    if ours != theirs
                ),
                f"{len(card.columns)} of them, not {len(tree.columns)}",
            )
            msg = f"the scores of the model in {folder} are not those of {tree.name} ({odd}): export the model again"
            raise ModelRefusedError(msg)
        found = cls(folder, card, tree)
        if identity not in {None, found.identity}:
            msg = f"the model in {folder} is another one than when the service started: copy that back, or start again"
            raise ModelRefusedError(msg)
        return found


def shipped_model(places: tuple[Path, ...] = SHIPPED) -> Path:
    """Return the folder of the shipped model, in the first place that holds it.

    Raises
    ------
    ModelRefusedError
        If none does.
    """
    for place in places:
        if (place / SHIPPED_MODEL / CARD_FILE).is_file():
            return place / SHIPPED_MODEL
    msg = f"no model ships with this galaxytree: {_CHOOSE}"
    raise ModelRefusedError(msg)


def _read_card(folder: Path) -> ModelCard:
    try:
        return ModelCard.read(folder)
    except OSError as error:
        msg = f"there is no model in {folder} ({CARD_FILE}: {error.strerror}): name a folder that holds one"
        raise ModelRefusedError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole of it"
        msg = f"{folder / CARD_FILE} is no model card ({where}: {first['msg']}): export the model again"
        raise ModelRefusedError(msg) from error


def _read_verified(file: Path, sha256: str) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        msg = f"{file} can't be read ({error.strerror}): copy the model's folder again"
        raise ModelRefusedError(msg) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        msg = (
            f"{file} is not the file that its card speaks of (sha256 {found}, the card says {sha256}): copy the "
            "model's folder again"
        )
        raise ModelRefusedError(msg)
    return data
