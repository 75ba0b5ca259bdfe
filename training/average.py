"""The mean of the weights of several runs that began from each other: one network in place of many.

References
----------
Izmailov et al. 2018, UAI, "Averaging weights leads to wider optima and better generalization", along one training;
Wortsman et al. 2022, ICML, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time".
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from galaxytree.card import sha256_of
from training.arrays import Galaxies
from training.curriculum import fold_of
from training.runs import WEIGHTS_FILE, RunError, git_commit, machine, write_checkpoint, write_record
from training.trained import hold_to_data, trained

_SHAPE = ("network", "output", "crop", "resolution")


def average(runs: Sequence[Path], output: Path, galaxies: Galaxies, data: Path) -> dict[str, Any]:
    """Write the mean of the averaged weights of finished runs, as a finished run of its own.

    Runs that went on from each other lie near each other, and their mean can score better than any of them. The mean of
    runs that did not is worth nothing: measure it.

    Parameters
    ----------
    runs : sequence of Path
        Folders of two runs or more.
    output : Path
        Folder for the new one; one that is there is replaced.
    galaxies : Galaxies
        All of the array file that they were trained on.
    data : Path
        Where these come from.

    Returns
    -------
    dict
        The record that is also written into the folder: the settings that all have in common, and under ``averaged``
        what each was.

    Raises
    ------
    RunError
        If a run is missing, not finished, of other data or another network, or held out other galaxies than the rest.
    """
    states, records = [], []
    for run in runs:
        model, record = trained(run, galaxies.tree)
        hold_to_data(run, record, galaxies, data)
        states.append(model.classifier.state_dict())
        records.append(record)
    settings = [record["settings"] for record in records]
    first = settings[0]
    for run, own in zip(runs, settings, strict=True):
        if other := [key for key in _SHAPE if own.get(key) != first.get(key)]:
            msg = f"the weights of {run} and {runs[0]} have no mean, since they differ in {', '.join(other)}"
            raise RunError(msg)
        if fold_of(own) != fold_of(first):
            msg = f"{run} and {runs[0]} held out other galaxies; no mean of them could be measured"
            raise RunError(msg)
    weights = [sha256_of(run / WEIGHTS_FILE) for run in runs]
    machines = [each for record in records for each in record.get("machines", [record["machine"]])]
    record = {
        **records[0],
        # Members may have learnt from some of the galaxies only.
        "data": max((record["data"] for record in records), key=lambda data: int(data["training"])),
        "world": max(record.get("world", 1) for record in records),
        "settings": {key: value for key, value in first.items() if all(own.get(key) == value for own in settings)},
        "commit": git_commit(),
        "machine": machine(),
        "machines": list({json.dumps(each): each for each in machines}.values()),
        "made_from": {"average": weights},
        "averaged": [
            {"weights": sha256, "made_from": each.get("made_from", {})}
            | {key: each[key] for key in ("settings", "commit", "epochs", "data")}
            for sha256, each in zip(weights, records, strict=True)
        ],
        "epochs": [],
    }
    output.mkdir(parents=True, exist_ok=True)
    write_checkpoint(output / WEIGHTS_FILE, {"average": _mean(states)})
    write_record(output, record)
    return record


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each tensor; of counts, which are whole numbers, the first.

    Of means and variances of batch normalisation as well, which are not measured anew: runs that lie so near each other
    have nearly the same.
    """
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }
