"""How near a model file comes to the volunteers' votes, and how far its error bars hold, on galaxies it never saw."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from galaxytree.card import INT8_FILE, MODEL_FILE, SHIPPED_MODEL, ModelCard, sha256_of
from galaxytree.decision_tree import DecisionTree
from galaxytree.predictions import FLAGGED_ABOVE
from galaxytree.views import Views
from training.arrays import ArrayFileError, Galaxies
from training.coverage import INTERVALS, WEIGHT, coverage
from training.metrics import Votes, agreement, rmse, rmse_by_column, rmse_by_question
from training.predict import Predictions, predict_onnx
from training.strange import STRANGE, strange

SHIPPED = Path(__file__).resolve().parent.parent / "models" / SHIPPED_MODEL
"""Folder of the model that ships with galaxytree, in a checkout."""

Precision = Literal["fp32", "int8"]
"""Which of a model's files: ``model.onnx``, or ``model.int8.onnx``, which `quantise` makes."""

_STRANGE_EACH = 50


class ModelFileError(ValueError):
    """No model file to evaluate, or one that does not go with the data; the message says what to do."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one set of galaxies.

    Attributes
    ----------
    rmse
        Over all galaxies and columns.
    by_question, by_column
        The same for each question's columns and each column.
    agreement
        Question -> (part of the galaxies whose likeliest answer is the volunteers', number of galaxies).
    galaxies
        How many galaxies.
    views
        How many views of each are averaged.
    coverage
        What parts of the votes the error bars hold, as `training.coverage.coverage` says; None without error bars.
    flagged
        What part of the galaxies is flagged as out of domain; None where the model does not say it.
    precision
        Which of the model's files they are of; None where it was not a model's.
    caution
        What speaks against taking the figures for those of galaxies that were never trained on, if anything does.
    """

    rmse: float
    by_question: dict[str, float]
    by_column: dict[str, float]
    agreement: dict[str, tuple[float, int]]
    galaxies: int
    views: int = 1
    coverage: dict[str, Any] | None = None
    flagged: float | None = None
    precision: Precision | None = None
    caution: str | None = None

    @classmethod
    def of(cls, tree: DecisionTree, predictions: Predictions, votes: Votes, views: Views = 1) -> "Evaluation":
        """Compare predictions with votes, float32 [N, columns]."""
        scores, halves, strange = predictions.scores, predictions.halves, predictions.out_of_domain
        return cls(
            rmse(scores, votes),
            rmse_by_question(tree, scores, votes),
            rmse_by_column(tree, scores, votes),
            agreement(tree, scores, votes),
            len(votes),
            views,
            None if halves is None else coverage(tree, scores, halves, votes),
            None if strange is None else _part_flagged(strange),
        )

    def lines(self, tree: DecisionTree) -> list[str]:
        """Return the figures as text, a line each."""
        seen = "one view" if self.views == 1 else f"{self.views} views"
        lines = [f"RMSE {self.rmse:.4f} over {len(tree.columns)} columns of {self.galaxies} galaxies, {seen}"]
        lines += [*([f"Caution: {self.caution}"] if self.caution else []), ""]
        lines += ["question   RMSE   agrees with the majority"]
        for question in tree.questions:
            part, count = self.agreement[question.id]
            agrees = f"{part:6.1%} of {count:4d}" if count else "(nobody was asked)"
            lines.append(f"{question.id:8} {self.by_question[question.id]:6.4f}   {agrees:16}  {question.text}")
        if self.coverage is not None:
            lines += ["", *coverage_lines(self.coverage)]
        if self.flagged is not None:
            lines += ["", f"flagged as out of domain: {self.flagged:.1%} of the galaxies"]
        lines += ["", "column      RMSE"]
        for question in tree.questions:
            lines += [f"{each.id:9} {self.by_column[each.id]:6.4f}   {each.label}" for each in question.answers]
        return lines


def as_json(evaluations: Sequence[Evaluation], strange: dict[str, tuple[float, int]]) -> str:
    """Return the figures of a model as JSON: those of the first number of views, and of the others within it."""
    first, *others = evaluations
    figures = asdict(first) | {
        "other_views": [asdict(each) for each in others],
        "strange": {what: {"flagged": part, "pictures": count} for what, (part, count) in strange.items()},
    }
    return json.dumps(_without_nan(figures), indent=2)


def coverage_lines(held: dict[str, Any]) -> list[str]:
    """Return what parts of the votes the error bars hold as text, a line each."""
    promised = "  ".join(f"in their {part:.0%} interval" for part, _ in INTERVALS)
    lines = [f"votes     {promised}   (a question's where its weight is over {WEIGHT})"]
    for name, found in held.items():
        parts = found["held"] or []
        shown = "  ".join(f"{part:21.1%}" for part in parts) or "(nobody was asked)"
        lines.append(f"{name:8}  {shown}   of {found['votes']}")
    return lines


def _without_nan(figures: Any) -> Any:  # noqa: ANN401  (a figure, or a dictionary or tuple of them)
    """Say null, as JSON has no other word for it, where there was nothing to measure."""
    if isinstance(figures, dict):
        return {name: _without_nan(value) for name, value in figures.items()}
    if isinstance(figures, tuple | list):
        return [_without_nan(value) for value in figures]
    return None if isinstance(figures, float) and math.isnan(figures) else figures


def split_sha256(galaxies: Galaxies) -> str:
    """Return a SHA-256 that tells sets of galaxies apart by their names, in whatever order they stand."""
    return hashlib.sha256("\n".join(sorted(str(name) for name in galaxies.names)).encode()).hexdigest()


def evaluate(
    model: Path, galaxies: Galaxies, views: Views = 1, precision: Precision = "fp32"
) -> tuple[Evaluation, Predictions]:
    """Score galaxies with a model's ONNX file and compare with their votes.

    Parameters
    ----------
    model : Path
        Folder of ``model.onnx`` and ``card.json``.
    galaxies : Galaxies
        Those to score, with their votes.
    views : int
        1, or the mean over all 8 orientations.
    precision : str
        Which of the model's files.

    Returns
    -------
    Evaluation
    Predictions

    Raises
    ------
    ModelFileError, ArrayFileError
        If the model's input or tree is not that of the galaxies, or if there are no galaxies.
    """
    card, path = checked_model(model, galaxies, precision)
    if not len(galaxies):
        msg = "the array file sets no galaxies aside for validation"
        raise ArrayFileError(msg)
    predictions = predict_onnx(path, galaxies.images, views)
    evaluation = replace(Evaluation.of(galaxies.tree, predictions, galaxies.votes, views), precision=precision)
    if card.metrics.get("validation_sha256") != split_sha256(galaxies):
        caution = f"the card does not say that {card.name} was measured on these galaxies; it may be trained on them"
        evaluation = replace(evaluation, caution=caution)
    return evaluation, predictions


def flagged(
    model: Path, galaxies: Galaxies, views: Views = 1, precision: Precision = "fp32"
) -> dict[str, tuple[float, int]]:
    """Return what part of pictures that are no galaxies a model's ONNX file flags, and of galaxies nothing is known of.

    Parameters
    ----------
    model : Path
        Folder of ``model.onnx`` and ``card.json``.
    galaxies : Galaxies
        All of an array file.
    views : int
        1, or the mean over all 8 orientations.
    precision : str
        Which of the model's files.

    Returns
    -------
    dict
        What the pictures show -> (part that is flagged, number of pictures); empty if the model does not flag any.

    Raises
    ------
    ModelFileError
        If the model's input or tree is not that of the galaxies.
    """
    return flagged_in(checked_model(model, galaxies, precision)[1], galaxies, views)


def flagged_in(path: Path, galaxies: Galaxies, views: Views = 1) -> dict[str, tuple[float, int]]:
    """Return the same of an ONNX file by itself."""
    sets: dict[str, Any] = {kind: strange(kind, _STRANGE_EACH, galaxies.framing.size) for kind in STRANGE}
    unlabelled = ~galaxies.labelled
    if unlabelled.any():
        sets["galaxies without a label"] = galaxies.where(unlabelled).images
    found = {}
    for what, images in sets.items():
        numbers = predict_onnx(path, images, views).out_of_domain
        if numbers is None:
            return {}
        found[what] = (_part_flagged(numbers), len(numbers))
    return found


def _part_flagged(out_of_domain: NDArray[np.float32]) -> float:
    return float((out_of_domain > FLAGGED_ABOVE).mean())


def checked_model(model: Path, galaxies: Galaxies, precision: Precision = "fp32") -> tuple[ModelCard, Path]:
    """Return a folder's card and one of its ONNX files, once they go with each other and with the galaxies.

    Raises
    ------
    ModelFileError
        If there is none, it is not the one that its card describes, or it is made for another tree or framing than the
        galaxies have.
    """
    try:
        card = ModelCard.read(model)
    except (OSError, ValueError) as error:
        msg = f"{model} holds no model with a card; make one with: python -m training export"
        raise ModelFileError(msg) from error
    if (card.tree, card.framing) != (galaxies.tree.name, galaxies.framing):
        msg = f"{card.name} wants the tree {card.tree} and {card.framing}; prepare the data so"
        raise ModelFileError(msg)
    if precision == "int8" and card.int8 is None:
        msg = f"{card.name} has no int8 file; make one with: python -m training quantise {model}"
        raise ModelFileError(msg)
    path, sha256, again = model / MODEL_FILE, card.sha256, "export"
    if precision == "int8" and card.int8 is not None:
        path, sha256, again = model / INT8_FILE, card.int8.sha256, "quantise"
    if not path.is_file() or sha256_of(path) != sha256:
        msg = f"{path} is not the file that its card describes (sha256 {sha256}); {again} it again"
        raise ModelFileError(msg)
    return card, path


def hold_to_split(card: ModelCard, galaxies: Galaxies, data: Path) -> None:
    """Refuse an array file whose validation split is not the one that a model was measured on, if it was on any.

    Raises
    ------
    ModelFileError
    """
    unseen = galaxies.where(galaxies.validation)
    if card.metrics and card.metrics.get("validation_sha256") != split_sha256(unseen):
        msg = f"{card.name} was measured on other galaxies than {data} sets aside; name its data with --data"
        raise ModelFileError(msg)
