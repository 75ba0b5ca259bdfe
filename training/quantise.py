"""A model's network in 8 bit integers beside it, and what that costs in accuracy."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from pydantic import Field

from galaxytree.card import CARD_FILE, INT8_FILE, Int8, ModelCard, sha256_of
from galaxytree.decision_tree import InconsistentScoresError
from galaxytree.instructions import dot_product
from galaxytree.options import Options
from training.arrays import ArrayFileError, Galaxies
from training.describe import figures_on
from training.evaluate import checked_model, hold_to_split
from training.even import even
from training.explain import apart_from_scores, explain, unexplained
from training.graph import Graph
from training.int8 import Backbone, Seen, quantised
from training.metrics import rmse
from training.predict import Predictions, predict_onnx
from training.runs import git_commit, machine
from training.settings import DATA_FILE

MOST_APART = 0.02
"""The root mean square difference of scores between a model's two files above which something has gone wrong."""

COMPARED = 512
"""On so many images the two are compared: of those that may be learnt from, others than it was calibrated on."""

_BATCH = 8


class QuantiseSettings(Options):
    """What `quantise` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_QUANTISE_"

    data: Annotated[
        Path, Field(description="Array file that the model was trained on; its validation split is measured")
    ] = DATA_FILE
    images: Annotated[
        int, Field(gt=0, description="Galaxies, of those that may be learnt from, whose activations are looked at")
    ] = 512
    seed: Annotated[int, Field(ge=0, description="Seed of which galaxies these are")] = 1


class QuantisationError(RuntimeError):
    """The int8 file does not do what the model does."""


def quantise(model: Path, galaxies: Galaxies, settings: QuantiseSettings) -> ModelCard:
    """Write a model's ``model.int8.onnx``, and what is to be known of it into the card.

    Earlier ones stay as they are until all is checked and measured.

    Parameters
    ----------
    model : Path
        Folder of ``model.onnx`` and ``card.json``.
    galaxies : Galaxies
        All of an array file. Those that are set aside for nothing are calibrated on, those for validation measured on.
    settings : QuantiseSettings

    Returns
    -------
    ModelCard
        With ``int8``.

    Raises
    ------
    ModelFileError
        If there is no model, or it was measured on other galaxies than these.
    ArrayFileError
        If all galaxies are set aside.
    QuantisationError
        If what the two files say is apart by more than `MOST_APART`, or does not add up.
    ExplanationError
        If the evidence does not come to what the scores say.
    """
    card, path = checked_model(model, galaxies)
    hold_to_split(card, galaxies, settings.data)
    unseen = galaxies.where(galaxies.validation)
    calibrated_on, compared_on = _chosen(galaxies, settings)
    network = unexplained(onnx.load(path))
    made = quantised(network, seen_in(network, _batches(galaxies, calibrated_on)))
    # Of a file that was exported before `export` did so.
    even(made)
    named = {each.key: each.value for each in network.metadata_props} | {"precision": "int8"}
    onnx.helper.set_model_props(made, named)
    explain(made, galaxies.tree)

    with tempfile.TemporaryDirectory(dir=model, prefix=".int8-") as scratch:
        file = Path(scratch) / "made.onnx"
        onnx.save_model(made, file)
        compared = galaxies.where(compared_on)
        apart_from_scores(file, compared.images, galaxies.tree)
        difference = _compare(predict_onnx(path, compared.images), predict_onnx(file, compared.images), compared)
        metrics, rise = _measured(path, file, galaxies) if len(unseen) and card.metrics else ({}, None)
        int8 = Int8(
            sha256=sha256_of(file),
            rmse_rise=rise,
            metrics=metrics,
            provenance={
                "method": (
                    "static: convolutions, their rectifiers and sums; activations QUInt8 by their extremes, weights "
                    "QInt8 for each output channel by their largest; biases corrected for what weights lose"
                ),
                "calibrated_on": len(calibrated_on),
                "settings": settings.model_dump(mode="json", exclude={"data"}),
                "data": galaxies.sha256,
                "against_fp32": {"images": len(compared), "rms_difference": round(difference, 5)},
                "commit": git_commit(),
                "machine": machine() | {"dot_product": dot_product()},
                "versions": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
            },
        )
        described = card.model_copy(update={"int8": int8})
        described.write(Path(scratch))
        # A kill between the two leaves a file that is not its card's, which is refused wherever it is read.
        file.replace(model / INT8_FILE)
        (Path(scratch) / CARD_FILE).replace(model / CARD_FILE)
    return described


def seen_in(model: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]]) -> dict[str, Seen]:
    """Run a model and look at what its convolutions take and give.

    Parameters
    ----------
    model : onnx.ModelProto
    batches : iterable of uint8, shape [n, S, S, 3]

    Returns
    -------
    dict
        For each tensor of the model's `Backbone`, and the first convolution's input.
    """
    graph = Graph(model.graph)
    inputs = [node.input[0] for node in graph.nodes if node.op_type == "Conv"]
    names = list(dict.fromkeys([*Backbone.of(graph).tensors, *inputs]))
    looked = onnx.ModelProto()
    looked.CopyFrom(model)
    del looked.graph.output[:]
    looked.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(looked.SerializeToString(), providers=["CPUExecutionProvider"])
    lowest, highest = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    count = 0
    for batch in batches:
        count += len(batch)
        for name, values in zip(names, session.run(names, {"images": batch}), strict=True):
            lowest[name] = min(lowest[name], float(values.min()))
            highest[name] = max(highest[name], float(values.max()))
            sums[name] = sums[name] + values.sum(axis=0, dtype=np.float64)
    return {name: Seen(lowest[name], highest[name], sums[name] / count) for name in names}


def _chosen(galaxies: Galaxies, settings: QuantiseSettings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose galaxies to calibrate on, and others to compare on, of those that are set aside for nothing."""
    rows = np.flatnonzero(galaxies.learning)
    if len(rows) < 2:
        msg = f"{settings.data} has no galaxies to calibrate on that are not set aside"
        raise ArrayFileError(msg)
    rows = np.random.default_rng(settings.seed).permutation(rows)
    last = min(settings.images, len(rows) - 1)
    return np.sort(rows[:last]), np.sort(rows[last : last + COMPARED])


def _batches(galaxies: Galaxies, rows: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
    for first in range(0, len(rows), _BATCH):
        yield np.ascontiguousarray(galaxies.images[rows[first : first + _BATCH]])


def _compare(before: Predictions, after: Predictions, galaxies: Galaxies) -> float:
    """Return the root mean square difference of scores.

    Raises
    ------
    QuantisationError
        If it is more than `MOST_APART`, or what the int8 file says does not add up.
    """
    try:
        galaxies.tree.check(after.scores, tolerance=1e-5)
    except InconsistentScoresError as error:
        msg = f"what the int8 file says does not add up: {error}"
        raise QuantisationError(msg) from error
    apart = float(np.sqrt(np.square(before.scores - after.scores, dtype=np.float64).mean()))
    if not apart <= MOST_APART:
        msg = f"the scores of the int8 file are {apart:.3f} apart from the model's, which is more than {MOST_APART}"
        raise QuantisationError(msg)
    return apart


def _measured(path: Path, file: Path, galaxies: Galaxies) -> tuple[dict[str, Any], float]:
    """Return the figures of the int8 file on the validation split, and by how much its RMSE is above the model's."""
    unseen = galaxies.where(galaxies.validation)
    before, after = (rmse(predict_onnx(each, unseen.images).scores, unseen.votes) for each in (path, file))
    figures = {"command": "python -m training evaluate --precision int8"} | figures_on(file, galaxies)
    return json.loads(json.dumps(figures)), round(after - before, 6)
