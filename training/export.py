"""A trained run to one self-contained ONNX file and its card."""

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import onnx
import torch
from pydantic import Field
from torch.utils.flop_counter import FlopCounterMode

from galaxytree.card import CARD_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.imaging import Framing
from galaxytree.options import Options
from training.arrays import Galaxies
from training.calibrate import calibrated
from training.coverage import INTERVALS
from training.evaluate import Evaluation, flagged_in, split_sha256
from training.networks.classifier import CalibratedClassifier, GalaxyClassifier
from training.predict import VIEWS, predict, predict_onnx
from training.runs import RunError
from training.settings import DATA_FILE
from training.trained import trained

TOLERANCE = 1e-4
"""How far PyTorch's and ONNX Runtime's scores may differ."""

COMPARED = 256
"""On so many images the two are compared."""

# What is to be cited beside the tree's own references.
_ALSO_CITED = {"galaxy-zoo-2": ("Lintott et al. 2008, MNRAS 389, 1179 (Galaxy Zoo)",)}

# Where the galaxies of an array file come from that does not say so.
_KAGGLE = {
    "images": "Sloan Digital Sky Survey, gri composites, as served by the Kaggle Galaxy Challenge (2013-14)",
    "votes": "Galaxy Zoo 2 (Willett et al. 2013), as weighted by the Kaggle Galaxy Challenge",
}

# What is known of how the galaxies of a validation split were chosen, by `split_sha256`.
_SELECTED = {
    "f1b1ef36db98b7d0fc8a4129e10d07016d3041981114a07e86f72c82da71471e": (
        "The galaxies with all 37 votes, of which 6,371 were trained on and 1,500 measured, favour clear-cut ones: the "
        "mean of Class4.2 (no spiral) is 0.163 on them, and 0.218 on an unselected block. Nothing corrects for it, and "
        "the RMSE is one on that selection. The other 4,000 trained on are unselected, with the votes of questions 1, "
        "2, 6, 7 and 8 only."
    )
}


class ExportSettings(Options):
    """What `export` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_EXPORT_"

    run: Annotated[Path, Field(description="Folder of the finished run")] = Path("runs/first")
    data: Annotated[Path, Field(description="Array file made by `prepare`, to check and measure on")] = DATA_FILE
    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the model, and of its folder")
    ] = "my-model"
    version: Annotated[str, Field(min_length=1, description="Version of the model")] = "1"
    models: Annotated[Path, Field(description="Folder of models; a folder of the model's name is made in it")] = Path(
        "models"
    )


class ExportError(RuntimeError):
    """The ONNX file does not do what the network does."""


def export(settings: ExportSettings, galaxies: Galaxies) -> ModelCard:
    """Write a run's averaged network as ``model.onnx`` and its ``card.json``.

    An earlier model of that name stays as it is until all is checked and measured.

    Parameters
    ----------
    settings : ExportSettings
    galaxies : Galaxies
        All of the array file that the run was trained on: the validation split is measured, and images of it are scored
        both ways.

    Returns
    -------
    ModelCard

    Raises
    ------
    RunError
        If the run is missing, not finished, or of other data.
    ExportError
        If PyTorch and ONNX Runtime disagree by more than `TOLERANCE`.
    """
    model, record = trained(settings.run, galaxies.tree)
    if not model.classifier.scores.consistent:
        msg = f"{settings.run} has the output {record['settings']['output']}, whose scores need not add up"
        raise RunError(msg)
    whole = calibrated(settings.run, model) or model
    framing = Framing.model_validate(record["framing"])
    if galaxies.framing != framing:
        msg = f"{settings.run} was trained on {framing}; name its data with --data"
        raise RunError(msg)
    if galaxies.sha256 != record["data"]["sha256"]:
        # On other data, galaxies that the run was trained on may pass for the validation split.
        msg = f"{settings.data} is not the file that {settings.run} was trained on; name that one with --data"
        raise RunError(msg)
    unseen = galaxies.where(galaxies.validation)

    settings.models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.models, prefix=f".{settings.name}-") as scratch:
        # Under another name than the final one: whoever looks for models must not find this.
        made = Path(scratch) / "made.onnx"
        named = {
            "name": settings.name,
            "version": settings.version,
            "tree": record["tree"],
            "columns": json.dumps(galaxies.tree.columns),
            "framing": framing.model_dump_json(),
        }
        _write(whole, framing, made, named)

        compared = np.ascontiguousarray((unseen if len(unseen) else galaxies).images[:COMPARED])
        by_torch, by_onnx = predict(model, compared, torch.device("cpu")), predict_onnx(made, compared).scores
        difference = float(np.abs(by_torch - by_onnx).max())
        if not difference <= TOLERANCE:
            msg = f"PyTorch and ONNX Runtime differ by {difference:.2g} on {len(compared)} images"
            raise ExportError(msg)

        card = ModelCard(
            name=settings.name,
            version=settings.version,
            sha256=sha256_of(made),
            tree=record["tree"],
            columns=galaxies.tree.columns,
            framing=framing,
            network=_described(whole, record, framing),
            provenance=_provenance(record, galaxies),
            metrics=_measured(made, galaxies, difference, len(compared)) if len(unseen) else {},
            citations=(*galaxies.tree.references, *_ALSO_CITED.get(record["tree"], ())),
            licence=_licence(record, galaxies),
            limits=_limits(framing, unseen),
        )
        card.write(Path(scratch))
        folder = settings.models / settings.name
        folder.mkdir(exist_ok=True)
        # A kill between the two leaves a model that is not its card's, which is refused wherever it is read.
        made.replace(folder / MODEL_FILE)
        (Path(scratch) / CARD_FILE).replace(folder / CARD_FILE)
    return card


def _write(model: GalaxyClassifier | CalibratedClassifier, framing: Framing, path: Path, named: dict[str, str]) -> None:
    example = torch.zeros(2, framing.size, framing.size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter uses parts of PyTorch that PyTorch deprecates; nothing of it reaches the file.
        warnings.simplefilter("ignore")
        # It also logs that torchvision, which nothing here needs, is not installed.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["scores"]
            if isinstance(model, GalaxyClassifier)
            else ["scores", "uncertainty", "uncertainty_95", "out_of_domain"],
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


def _described(
    model: GalaxyClassifier | CalibratedClassifier, record: dict[str, Any], framing: Framing
) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, framing.size, framing.size, 3, dtype=torch.uint8))
    return {
        "architecture": record["settings"]["network"],
        "crop": record["settings"]["crop"],
        "resolution": record["settings"]["resolution"],
        "parameters": sum(each.numel() for each in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
    }


def _measured(path: Path, galaxies: Galaxies, difference: float, compared: int) -> dict[str, Any]:
    unseen = galaxies.where(galaxies.validation)
    one, eight = (
        Evaluation.of(unseen.tree, predict_onnx(path, unseen.images, views), unseen.votes, views) for views in VIEWS
    )
    measured = {
        "command": "python -m training evaluate",
        "split": f"validation: {one.galaxies} galaxies, never trained on",
        "validation_sha256": split_sha256(unseen),
        "views": 1,
        "rmse": round(one.rmse, 5),
        "rmse_by_question": {name: round(value, 5) for name, value in one.by_question.items()},
        "agreement_with_majority": {
            name: {"part": round(part, 5), "galaxies": count} for name, (part, count) in one.agreement.items() if count
        },
        "eight_views": {
            "rmse": round(eight.rmse, 5),
            "rmse_by_question": {name: round(value, 5) for name, value in eight.by_question.items()},
        },
        "pytorch_against_onnx_runtime": {"largest_difference": difference, "images": compared},
    }
    if one.coverage is not None:
        measured["error_bars"] = {
            "promised": [part for part, _ in INTERVALS],
            "one_view": one.coverage,
            "eight_views": eight.coverage,
        }
    if one.flagged is not None:
        measured["out_of_domain"] = {
            "validation": {"flagged": round(one.flagged, 5), "pictures": one.galaxies},
            **{
                what: {"flagged": round(part, 5), "pictures": count}
                for what, (part, count) in flagged_in(path, galaxies).items()
            },
        }
    return measured


def _provenance(record: dict[str, Any], galaxies: Galaxies) -> dict[str, Any]:
    return {
        "images": _source(galaxies, "images"),
        "votes": _source(galaxies, "votes"),
        "initial_weights": "ImageNet (TensorFlow's EfficientNet-Lite)" if record["settings"]["imagenet"] else "random",
        "galaxies": record["data"],
        "commit": record["commit"],
        "settings": {key: value for key, value in record["settings"].items() if key not in {"data", "run"}},
        # Runs that were started before these were written down had one process, and name one machine.
        "processes": record.get("world", 1),
        "machines": record.get("machines", [record["machine"]]),
        "epochs": len(record["epochs"]),
        "checkpoint": "the last one, weights averaged over the steps",
    }


def _source(galaxies: Galaxies, what: str) -> str:
    """Return where the images or votes come from, as the array file says."""
    return str(galaxies.provenance.get(what, _KAGGLE[what]))


def _licence(record: dict[str, Any], galaxies: Galaxies) -> str:
    started = " The ImageNet weights they started from are Apache-2.0." if record["settings"]["imagenet"] else ""
    return (
        f"MIT for the weights.{started} Votes and images are no part of the model, and keep their own terms: "
        f"{_source(galaxies, 'votes')}; {_source(galaxies, 'images')}. Who publishes scores is asked for the citations."
    )


def _limits(framing: Framing, unseen: Galaxies) -> str:
    general = (
        f"Trained and measured on the central {framing.field:.4f} of pictures that are framed to the galaxy's size "
        "(Galaxy Zoo 2: SDSS gri, 424 px of 0.02 petroR90_r arcsec each). What happens on pictures of other surveys or "
        "with another framing was not measured. Any picture gets an answer, also one that shows no galaxy: nothing "
        "checks for that."
    )
    return " ".join([general, _SELECTED.get(split_sha256(unseen), "")]).strip()
