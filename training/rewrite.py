"""A model's files as `export` and `quantise` would write them today, made from the files themselves.

The run that a model was exported from may be gone. What `export` has come to do to every graph is then done to the
graphs that there are, and the card says so. Its figures stay: scores must be the same to the last bit, the rest nearly.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import onnx
import onnxruntime
from pydantic import Field

from galaxytree.card import CARD_FILE, INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.options import Options
from galaxytree.predictions import AVERAGES
from training.arrays import Galaxies
from training.evaluate import checked_model, hold_to_split
from training.even import even, uneven
from training.explain import apart_from_scores, explain
from training.predict import Pixels, predict_onnx
from training.runs import git_commit, machine
from training.settings import DATA_FILE

MOST_APART = 1e-6
"""By how much anything but a score may differ from what the file said before."""

COMPARED = 256
"""On so many images the two are compared where none are set aside for validation."""


class RewriteSettings(Options):
    """What `rewrite` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_REWRITE_"

    version: Annotated[str, Field(min_length=1, description="Version of the rewritten model")]
    data: Annotated[
        Path, Field(description="Array file that the model was trained on; its validation split is scored both ways")
    ] = DATA_FILE


class RewriteError(RuntimeError):
    """The rewritten file does not say what the file said before, or would be taken for it."""


def rewrite(model: Path, galaxies: Galaxies, settings: RewriteSettings) -> ModelCard:
    """Do to a model's files what `export` and `quantise` have come to do: `training.even` and `training.explain`.

    All stays as it is until all is checked.

    Parameters
    ----------
    model : Path
        Folder of ``model.onnx``, ``card.json`` and, if there is one, ``model.int8.onnx``.
    galaxies : Galaxies
        All of an array file. Those that are set aside for validation are scored both ways.
    settings : RewriteSettings

    Returns
    -------
    ModelCard
        With the new version and sums, the figures of before, and what was done under ``rewritten``.

    Raises
    ------
    ModelFileError
        If there is no model, or it was measured on other galaxies than these.
    RewriteError
        If the version is that of before, a score changes, or anything else changes by more than `MOST_APART`.
    ExplanationError
        If the evidence does not come to what the scores say.
    """
    card, path = checked_model(model, galaxies)
    files = {MODEL_FILE: path}
    if card.int8 is not None:
        files[INT8_FILE] = checked_model(model, galaxies, "int8")[1]
    if settings.version == card.version:
        msg = f"{card.name} is of the version {card.version} already: files that differ need versions that do"
        raise RewriteError(msg)
    hold_to_split(card, galaxies, settings.data)
    unseen = galaxies.where(galaxies.validation)
    images = unseen.images if len(unseen) else galaxies.images[:COMPARED]

    with tempfile.TemporaryDirectory(dir=model, prefix=".rewritten-") as scratch:
        # Under other names than the final ones: whoever looks for models must not find this.
        made = {name: Path(scratch) / f"made.{name}" for name in files}
        notes = {name: _rewritten(file, made[name], images, card, settings.version) for name, file in files.items()}
        int8 = card.int8 and card.int8.model_copy(
            update={
                "sha256": sha256_of(made[INT8_FILE]),
                "provenance": _noted(card.int8.provenance, notes[INT8_FILE]),
            }
        )
        renewed = card.model_copy(
            update={
                "version": settings.version,
                "sha256": sha256_of(made[MODEL_FILE]),
                "provenance": _noted(card.provenance, notes[MODEL_FILE]),
                "int8": int8,
            }
        )
        renewed.write(Path(scratch))
        # A kill between these leaves files that are not their card's, which are refused wherever they are read.
        for name, file in made.items():
            file.replace(model / name)
        (Path(scratch) / CARD_FILE).replace(model / CARD_FILE)
    return renewed


def _rewritten(before: Path, after: Path, images: Pixels, card: ModelCard, version: str) -> dict[str, Any]:
    """Write a file anew, hold it to what the old one says, and return what is to be known of it."""
    network, tree = onnx.load(before), load_tree(card.tree)
    done: dict[str, Any] = {}
    if uneven(network):
        even(network)
        done["rows"] = "filled up to whole packets, so that no answer depends on which other images are in a batch"
    explain(network, tree)
    named = {each.key: each.value for each in network.metadata_props} | {"version": version}
    onnx.helper.set_model_props(network, named)
    onnx.checker.check_model(network, full_check=True)
    onnx.save_model(network, after)
    if (mean := apart_from_scores(after, images, tree)) is not None:
        done["evidence"] = {"what": "what each cell of the picture adds to an answer", "mean_from_scores": mean}
    return {
        "from": {"version": card.version, "sha256": sha256_of(before)},
        **done,
        "against_before": {"images": len(images), "largest_difference": _apart(before, after, images)},
        "commit": git_commit(),
        "machine": machine(),
        "versions": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    }


def _apart(before: Path, after: Path, images: Pixels) -> dict[str, float]:
    """Return the largest difference between two files by output.

    Raises
    ------
    RewriteError
        If it is more than it may be.
    """
    one, other = predict_onnx(before, images), predict_onnx(after, images)
    apart = {}
    for output in AVERAGES:
        if getattr(one, output) is None:
            continue
        apart[output] = float(np.abs(getattr(other, output) - getattr(one, output)).max())
        most = 0.0 if output == "scores" else MOST_APART
        if not apart[output] <= most:
            msg = f"{before.name} says another {output} when rewritten: by {apart[output]:.2g} on {len(images)} images"
            raise RewriteError(msg)
    return apart


def _noted(provenance: dict[str, Any], note: dict[str, Any]) -> dict[str, Any]:
    """Return where a file comes from, with one more thing that was done to it."""
    return provenance | {"rewritten": [*provenance.get("rewritten", []), note]}
