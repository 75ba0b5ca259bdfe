"""A trained run to one self-contained ONNX file and its card."""

import json
import warnings
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import onnx
import torch
from pydantic import Field
from torch.utils.flop_counter import FlopCounterMode

from galaxytree.card import MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import Framing
from galaxytree.options import Options
from training.arrays import Galaxies
from training.evaluate import MODELS, evaluate
from training.networks.classifier import GalaxyClassifier, View, ViewClassifier
from training.predict import predict, predict_onnx
from training.runs import WEIGHTS_FILE, RunError, read_checkpoint, read_record
from training.settings import DATA_FILE

TOLERANCE = 1e-4
"""How far PyTorch's and ONNX Runtime's scores may differ."""

COMPARED = 256
"""On so many images the two are compared."""

_CITATIONS = (
    "Willett, K. W., et al. 2013, MNRAS, 435, 2835 (Galaxy Zoo 2)",
    "Lintott, C. J., et al. 2008, MNRAS, 389, 1179 (Galaxy Zoo)",
)


class ExportSettings(Options):
    """What `export` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_EXPORT_"

    run: Annotated[Path, Field(description="Folder of the finished run")] = Path("runs/first")
    data: Annotated[Path, Field(description="Array file made by `prepare`, to check and measure on")] = DATA_FILE
    name: Annotated[str, Field(min_length=1, description="Name of the model")] = "galaxytree-lite0"
    version: Annotated[str, Field(min_length=1, description="Version of the model: year.month.number")] = "2026.11.1"
    models: Annotated[Path, Field(description="Folder of models; a folder of the model's name is made in it")] = MODELS


class ExportError(RuntimeError):
    """The ONNX file does not do what the network does."""


def export(settings: ExportSettings, galaxies: Galaxies) -> ModelCard:
    """Write a run's averaged network as ``model.onnx`` and its ``card.json``.

    Parameters
    ----------
    settings : ExportSettings
    galaxies : Galaxies
        All of the array file: the validation split is measured, and images of it are scored both ways.

    Returns
    -------
    ModelCard

    Raises
    ------
    RunError
        If the run is missing or not finished.
    ExportError
        If PyTorch and ONNX Runtime disagree by more than `TOLERANCE`.
    """
    record = read_record(settings.run)
    weights = read_checkpoint(settings.run / WEIGHTS_FILE)
    if weights is None:
        msg = f"{settings.run} is not finished; go on with: python -m training train --run {settings.run}"
        raise RunError(msg)
    model = _rebuild(record, weights)
    framing = Framing.model_validate(record["framing"])
    unseen = galaxies.where(galaxies.validation)

    folder = settings.models / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    named = {
        "name": settings.name,
        "version": settings.version,
        "tree": record["tree"],
        "columns": json.dumps(load_tree(record["tree"]).columns),
        "framing": framing.model_dump_json(),
    }
    _write(model, framing, folder / MODEL_FILE, named)

    compared = np.ascontiguousarray((unseen if len(unseen) else galaxies).images[:COMPARED])
    by_torch, by_onnx = predict(model, compared, torch.device("cpu")), predict_onnx(folder / MODEL_FILE, compared)
    difference = float(np.abs(by_torch - by_onnx).max())
    if not difference <= TOLERANCE:
        msg = f"PyTorch and ONNX Runtime differ by {difference:.2g} on {len(compared)} images"
        raise ExportError(msg)

    card = ModelCard(
        name=settings.name,
        version=settings.version,
        sha256=sha256_of(folder / MODEL_FILE),
        tree=record["tree"],
        columns=load_tree(record["tree"]).columns,
        framing=framing,
        network=_described(model, record, framing),
        provenance=_provenance(record),
        metrics={},
        citations=_CITATIONS,
        licence=(
            "MIT for the weights. The ImageNet weights they started from are Apache-2.0; the votes are Galaxy Zoo 2's, "
            "which asks to be cited; the images are from the Sloan Digital Sky Survey."
        ),
        limits=(
            "Trained and measured on SDSS gri pictures framed to the galaxy's size (424 px of 0.02 petroR90_r arcsec "
            "each). What happens on pictures of other surveys or with another framing was not measured."
        ),
    )
    card.write(folder)
    if len(unseen):
        evaluation, _ = evaluate(folder, unseen)
        card = card.model_copy(
            update={
                "metrics": {
                    "command": "python -m training evaluate",
                    "split": f"validation: {evaluation.galaxies} galaxies, never trained on",
                    "views": 1,
                    "rmse": round(evaluation.rmse, 5),
                    "rmse_by_question": {name: round(value, 5) for name, value in evaluation.by_question.items()},
                    "agreement_with_majority": {
                        name: {"part": round(part, 4), "galaxies": count}
                        for name, (part, count) in evaluation.agreement.items()
                        if count
                    },
                    "pytorch_against_onnx_runtime": {"largest_difference": difference, "images": len(compared)},
                }
            }
        )
        card.write(folder)
    return card


def _rebuild(record: dict[str, Any], weights: dict[str, Any]) -> GalaxyClassifier:
    settings = record["settings"]
    classifier = ViewClassifier(load_tree(record["tree"]), settings["network"])
    classifier.load_state_dict(weights["average"])
    return GalaxyClassifier(View(settings["crop"], settings["resolution"]), classifier).eval()


def _write(model: GalaxyClassifier, framing: Framing, path: Path, named: dict[str, str]) -> None:
    example = torch.zeros(2, framing.size, framing.size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter uses parts of PyTorch that PyTorch deprecates; nothing of it reaches the file.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None  # noqa: S101  (true of the exporter that `dynamo` chooses)
    graph = program.model_proto
    # The exporter notes where in the source each node comes from: of no use to whoever runs the file.
    for part in (
        graph,
        graph.graph,
        *graph.graph.node,
        *graph.graph.input,
        *graph.graph.output,
        *graph.graph.value_info,
    ):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.helper.set_model_props(graph, named)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save_model(graph, path)


def _described(model: GalaxyClassifier, record: dict[str, Any], framing: Framing) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, framing.size, framing.size, 3, dtype=torch.uint8))
    return {
        "architecture": record["settings"]["network"],
        "crop": record["settings"]["crop"],
        "resolution": record["settings"]["resolution"],
        "parameters": sum(each.numel() for each in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
    }


def _provenance(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": "Sloan Digital Sky Survey, gri composites, as served by the Kaggle Galaxy Challenge (2013-14)",
        "votes": "Galaxy Zoo 2 (Willett et al. 2013), as weighted by the Kaggle Galaxy Challenge",
        "initial_weights": "ImageNet (TensorFlow's EfficientNet-Lite)" if record["settings"]["imagenet"] else "random",
        "galaxies": record["data"],
        "commit": record["commit"],
        "settings": {key: value for key, value in record["settings"].items() if key not in {"data", "run"}},
        "machine": record["machine"],
        "epochs": len(record["epochs"]),
        "checkpoint": "the last one, weights averaged over the steps",
    }
