"""A trained run to one self-contained ONNX file and its card."""

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import Field

from galaxytree.card import CARD_FILE, INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import DecisionTree
from galaxytree.imaging import Framing
from galaxytree.options import Options
from training.arrays import Galaxies
from training.calibrate import calibrated, calibration_of
from training.describe import ALSO_CITED, described, licence_of, limits_of, measured_on, provenance_of
from training.even import even
from training.explain import apart_from_scores, explain
from training.lean import lean
from training.networks.classifier import CalibratedClassifier, GalaxyClassifier
from training.predict import predict_onnx
from training.runs import RunError, git_commit, machine
from training.settings import DATA_FILE
from training.trained import hold_to_data, hold_to_sums, trained

# A distance in units of small spreads is rounded more coarsely, and no more than a flag.
TOLERANCES = {"scores": 1e-4, "uncertainty": 1e-4, "uncertainty_95": 1e-4, "out_of_domain": 1e-3}
"""How far PyTorch and ONNX Runtime may differ, by the names of the outputs, in their order."""

COMPARED = 256
"""On so many images the two are compared."""


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

    An earlier model of that name stays as it is until all is checked and measured. Its int8 file then goes with it.

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
        If PyTorch and ONNX Runtime disagree by more than `TOLERANCES`.
    ExplanationError
        If the evidence does not come to what the scores say.
    """
    model, record = trained(settings.run, galaxies.tree)
    hold_to_sums(settings.run, record, model)
    whole = calibrated(settings.run, model) or model
    framing = Framing.model_validate(record["framing"])
    if galaxies.framing != framing:
        msg = f"{settings.run} was trained on the tree {record['tree']} and {framing}; name its data with --data"
        raise RunError(msg)
    hold_to_data(settings.run, record, galaxies, settings.data)
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
        _write(whole, framing, made, named, galaxies.tree)

        compared = np.ascontiguousarray((unseen if len(unseen) else galaxies).images[:COMPARED])
        apart = _apart(whole, made, compared)
        for output, difference in apart.items():
            if not difference <= TOLERANCES[output]:
                msg = f"PyTorch and ONNX Runtime differ by {difference:.2g} on {len(compared)} images in {output}"
                raise ExportError(msg)
        apart_from_scores(made, compared, galaxies.tree)

        card = ModelCard(
            name=settings.name,
            version=settings.version,
            sha256=sha256_of(made),
            tree=record["tree"],
            columns=galaxies.tree.columns,
            framing=framing,
            network=described(whole, record, framing),
            provenance=provenance_of(record, galaxies)
            | {"calibration": calibration_of(settings.run), "exported": {"commit": git_commit(), "machine": machine()}},
            metrics=measured_on(made, galaxies, apart["scores"], len(compared)) if len(unseen) else {},
            citations=(*galaxies.tree.references, *ALSO_CITED.get(record["tree"], ())),
            licence=licence_of(record, galaxies),
            limits=limits_of(framing, unseen, flags=whole is not model),
        )
        card.write(Path(scratch))
        folder = settings.models / settings.name
        folder.mkdir(exist_ok=True)
        # It is of the earlier model. `quantise` makes that of this one.
        (folder / INT8_FILE).unlink(missing_ok=True)
        # A kill between the two leaves a model that is not its card's, which is refused wherever it is read.
        made.replace(folder / MODEL_FILE)
        (Path(scratch) / CARD_FILE).replace(folder / CARD_FILE)
    return card


def _apart(model: GalaxyClassifier | CalibratedClassifier, path: Path, images: NDArray[np.uint8]) -> dict[str, float]:
    """Return the largest difference between PyTorch and an ONNX file, by output."""
    with torch.inference_mode():
        said = model.eval()(torch.from_numpy(images))
    by_torch = said if isinstance(said, tuple) else (said,)
    by_onnx = predict_onnx(path, images)
    return {
        name: float(np.abs(one.numpy() - getattr(by_onnx, name)).max())
        for name, one in zip(_outputs(model), by_torch, strict=True)
    }


def _outputs(model: GalaxyClassifier | CalibratedClassifier) -> list[str]:
    return ["scores"] if isinstance(model, GalaxyClassifier) else list(TOLERANCES)


def _write(
    model: GalaxyClassifier | CalibratedClassifier,
    framing: Framing,
    path: Path,
    named: dict[str, str],
    tree: DecisionTree,
) -> None:
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
            output_names=_outputs(model),
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None  # noqa: S101  (true of the exporter that `dynamo` chooses)
    graph = program.model_proto
    lean(graph)
    even(graph)
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
    explain(graph, tree)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save_model(graph, path)
