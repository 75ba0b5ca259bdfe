"""The network of a finished run."""

from pathlib import Path
from typing import Any

from galaxytree.decision_tree import DecisionTree
from training.arrays import Galaxies
from training.networks.classifier import GalaxyClassifier, View, ViewClassifier
from training.runs import WEIGHTS_FILE, RunError, read_checkpoint, read_record


def trained(run: Path, tree: DecisionTree) -> tuple[GalaxyClassifier, dict[str, Any]]:
    """Return a finished run's averaged network, ready to score, and the run's record.

    Raises
    ------
    RunError
        If the run is missing or not finished, or of another tree.
    """
    record = read_record(run)
    weights = read_checkpoint(run / WEIGHTS_FILE)
    # The weights of a run that was begun anew may be those of an earlier one.
    if weights is None or record["finished"] is not True:
        msg = f"{run} is not finished; go on with: python -m training train --run {run}"
        raise RunError(msg)
    if record["tree"] != tree.name:
        msg = f"{run} was trained on the tree {record['tree']}, not on {tree.name}; name its data with --data"
        raise RunError(msg)
    settings = record["settings"]
    # Runs that were started before there was a choice of outputs had this one.
    classifier = ViewClassifier(tree, settings["network"], settings.get("output", "softmax-tree"))
    classifier.load_state_dict(weights["average"])
    return GalaxyClassifier(View(settings["crop"], settings["resolution"]), classifier).eval(), record


def hold_to_data(run: Path, record: dict[str, Any], galaxies: Galaxies, data: Path) -> None:
    """Refuse a run that was trained on another array file: it may have seen what is set aside in this one.

    Raises
    ------
    RunError
        Names the run and `data`, where the galaxies come from.
    """
    if galaxies.sha256 != record["data"]["sha256"]:
        msg = f"{data} is not the file that {run} was trained on; name that one with --data"
        raise RunError(msg)


def hold_to_sums(run: Path, record: dict[str, Any], model: GalaxyClassifier) -> None:
    """Refuse a run whose scores need not add up as the tree says.

    Raises
    ------
    RunError
        Names the run and its output.
    """
    if not model.classifier.scores.consistent:
        msg = f"{run} has the output {record['settings']['output']}, whose scores need not add up"
        raise RunError(msg)
