"""How near a model file comes to the volunteers' votes, on galaxies it never saw."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from galaxytree.card import MODEL_FILE, SHIPPED_MODEL, ModelCard, sha256_of
from galaxytree.decision_tree import DecisionTree
from training.arrays import ArrayFileError, Galaxies
from training.metrics import Votes, agreement, rmse, rmse_by_column, rmse_by_question
from training.predict import predict_onnx

SHIPPED = Path(__file__).resolve().parent.parent / "models" / SHIPPED_MODEL
"""Folder of the model that ships with galaxytree, in a checkout."""


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
    caution
        What speaks against taking the figures for those of galaxies that were never trained on, if anything does.
    """

    rmse: float
    by_question: dict[str, float]
    by_column: dict[str, float]
    agreement: dict[str, tuple[float, int]]
    galaxies: int
    caution: str | None = None

    @classmethod
    def of(cls, tree: DecisionTree, scores: Votes, votes: Votes) -> "Evaluation":
        """Compare scores with votes, both float32 [N, columns]."""
        return cls(
            rmse(scores, votes),
            rmse_by_question(tree, scores, votes),
            rmse_by_column(tree, scores, votes),
            agreement(tree, scores, votes),
            len(votes),
        )

    def lines(self, tree: DecisionTree) -> list[str]:
        """Return the figures as text, a line each."""
        lines = [f"RMSE {self.rmse:.4f} over {len(tree.columns)} columns of {self.galaxies} galaxies"]
        lines += [*([f"Caution: {self.caution}"] if self.caution else []), ""]
        lines += ["question   RMSE   agrees with the majority"]
        for question in tree.questions:
            part, count = self.agreement[question.id]
            agrees = f"{part:6.1%} of {count:4d}" if count else "(nobody was asked)"
            lines.append(f"{question.id:8} {self.by_question[question.id]:6.4f}   {agrees:16}  {question.text}")
        lines += ["", "column      RMSE"]
        for question in tree.questions:
            lines += [f"{each.id:9} {self.by_column[each.id]:6.4f}   {each.label}" for each in question.answers]
        return lines

    def json(self) -> str:
        """Return the figures as JSON."""
        return json.dumps(_without_nan(asdict(self)), indent=2)


def _without_nan(figures: Any) -> Any:  # noqa: ANN401  (a figure, or a dictionary or tuple of them)
    """Say null, as JSON has no other word for it, where there was nothing to measure."""
    if isinstance(figures, dict):
        return {name: _without_nan(value) for name, value in figures.items()}
    if isinstance(figures, tuple):
        return [_without_nan(value) for value in figures]
    return None if isinstance(figures, float) and math.isnan(figures) else figures


def split_sha256(galaxies: Galaxies) -> str:
    """Return a SHA-256 that tells sets of galaxies apart by their names, in whatever order they stand."""
    return hashlib.sha256("\n".join(sorted(str(name) for name in galaxies.names)).encode()).hexdigest()


def evaluate(model: Path, galaxies: Galaxies) -> tuple[Evaluation, Votes]:
    """Score galaxies with a model's ONNX file and compare with their votes.

    Parameters
    ----------
    model : Path
        Folder of ``model.onnx`` and ``card.json``.
    galaxies : Galaxies
        Those to score, with their votes.

    Returns
    -------
    Evaluation
    scores : float32, shape [N, columns]

    Raises
    ------
    ModelFileError, ArrayFileError
        If the model's input or tree is not that of the galaxies, or if there are no galaxies.
    """
    try:
        card = ModelCard.read(model)
    except (OSError, ValueError) as error:
        msg = f"{model} holds no model with a card; make one with: python -m training export"
        raise ModelFileError(msg) from error
    if (card.tree, card.framing) != (galaxies.tree.name, galaxies.framing):
        msg = f"{card.name} wants the tree {card.tree} and {card.framing}; prepare the data so"
        raise ModelFileError(msg)
    path = model / MODEL_FILE
    if not path.is_file() or sha256_of(path) != card.sha256:
        msg = f"{path} is not the file that its card describes (sha256 {card.sha256}); export it again"
        raise ModelFileError(msg)
    if not len(galaxies):
        msg = "the array file sets no galaxies aside for validation"
        raise ArrayFileError(msg)
    scores = predict_onnx(path, galaxies.images)
    evaluation = Evaluation.of(galaxies.tree, scores, galaxies.votes)
    if card.metrics.get("validation_sha256") != split_sha256(galaxies):
        caution = f"the card does not say that {card.name} was measured on these galaxies; it may be trained on them"
        evaluation = replace(evaluation, caution=caution)
    return evaluation, scores


def plot(tree: DecisionTree, scores: Votes, votes: Votes, path: Path) -> None:
    """Draw predicted against true scores, one panel a question, as PNG or SVG by the file's ending."""
    colours = mpl.colormaps["tab10"]
    across = 4
    down = -(-len(tree.questions) // across)
    figure = Figure(figsize=(3.4 * across, 3.5 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat
    errors = rmse_by_question(tree, scores, votes)
    for question, panel in zip(tree.questions, panels, strict=False):
        for number, answer in enumerate(question.answers):
            column = tree.index[answer.id]
            panel.scatter(
                votes[:, column], scores[:, column], s=3, alpha=0.35, lw=0, color=colours(number), label=answer.label
            )
        panel.plot([0, 1], [0, 1], color="0.3", lw=0.8)
        panel.set_title(f"{question.id}: RMSE {errors[question.id]:.3f}", fontsize=10)
        panel.legend(fontsize=7, markerscale=3, loc="upper left", frameon=False)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for panel in list(panels):
        panel.set_axis_off()
    figure.supxlabel("volunteers' votes")
    figure.supylabel("scores")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
