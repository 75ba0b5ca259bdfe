"""What a model's card says of it: what it is, where it comes from, how good it is, and what was not measured."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from galaxytree.imaging import Framing
from galaxytree.predictions import FLAGGED_ABOVE
from galaxytree.views import VIEWS
from training.arrays import Galaxies
from training.coverage import INTERVALS
from training.evaluate import Evaluation, flagged_in, split_sha256
from training.networks.classifier import CalibratedClassifier, GalaxyClassifier
from training.networks.size import size_of
from training.predict import predict_onnx
from training.runs import members_of

# What is to be cited beside the tree's own references.
ALSO_CITED = {"galaxy-zoo-2": ("Lintott et al. 2008, MNRAS 389, 1179 (Galaxy Zoo)",)}

# Settings that say where files lie, and are nobody else's.
_PATHS = {"data", "run", "initial", "targets", "population"}

# Where the galaxies of an array file come from that does not say so.
_KAGGLE = {
    "images": "Sloan Digital Sky Survey, gri composites, as served by the Kaggle Galaxy Challenge (2013-14)",
    "votes": "Galaxy Zoo 2 (Willett et al. 2013), as weighted by the Kaggle Galaxy Challenge",
}

# What is known of how the galaxies of a validation split were chosen, and what for they were used, by `split_sha256`.
_SELECTED = {
    "f1b1ef36db98b7d0fc8a4129e10d07016d3041981114a07e86f72c82da71471e": (
        "The galaxies with all 37 votes, from which those measured were drawn, favour clear-cut ones: the mean of "
        "Class4.2 (no spiral) is 0.163 on them, and 0.218 on an unselected block. Nothing corrects for it: the figures "
        "are of that selection. The same galaxies, though never trained on, had a say in choices: of the part of the "
        "picture that is looked at, of the runs whose weights are averaged, of smoothing, of the way to quantise. For "
        "this the figures flatter the model a little."
    )
}


def described(
    model: GalaxyClassifier | CalibratedClassifier, record: dict[str, Any], framing: Framing
) -> dict[str, Any]:
    """Return the network's size and cost."""
    size = size_of(model, torch.zeros(1, framing.size, framing.size, 3, dtype=torch.uint8))
    return {
        "architecture": record["settings"]["network"],
        "crop": record["settings"]["crop"],
        "resolution": record["settings"]["resolution"],
        "parameters": size.parameters,
        "multiply_adds": size.multiply_adds,
    }


def measured_on(path: Path, galaxies: Galaxies, difference: float, compared: int) -> dict[str, Any]:
    """Return the figures of an ONNX file on the validation split, and how far it is from PyTorch."""
    return {
        "command": "python -m training evaluate",
        **figures_on(path, galaxies),
        "pytorch_against_onnx_runtime": {"largest_difference": difference, "images": compared},
    }


def figures_on(path: Path, galaxies: Galaxies) -> dict[str, Any]:
    """Return the figures of an ONNX file on the validation split.

    Nothing is rounded that others show too: whoever shows it rounds once, and so to the same digits.
    """
    unseen = galaxies.where(galaxies.validation)
    one, eight = (
        Evaluation.of(unseen.tree, predict_onnx(path, unseen.images, views), unseen.votes, views) for views in VIEWS
    )
    measured: dict[str, Any] = {
        "split": f"validation: {one.galaxies} galaxies, never trained on",
        "validation_sha256": split_sha256(unseen),
        "views": 1,
        "rmse": one.rmse,
        "rmse_by_question": one.by_question,
        "agreement_with_majority": {
            name: {"part": part, "galaxies": count} for name, (part, count) in one.agreement.items() if count
        },
        "eight_views": {"rmse": eight.rmse, "rmse_by_question": eight.by_question},
    }
    if one.coverage is not None:
        measured["error_bars"] = {
            "promised": [part for part, _ in INTERVALS],
            "one_view": one.coverage,
            "eight_views": eight.coverage,
        }
    if one.flagged is not None and eight.flagged is not None:
        in_one = {"validation": (one.flagged, one.galaxies), **flagged_in(path, galaxies, 1)}
        in_eight = {"validation": (eight.flagged, eight.galaxies), **flagged_in(path, galaxies, 8)}
        measured["out_of_domain"] = {
            what: {
                "flagged": part,
                "flagged_with_eight_views": in_eight[what][0],
                "pictures": count,
            }
            for what, (part, count) in in_one.items()
        }
    return measured


def provenance_of(record: dict[str, Any], galaxies: Galaxies) -> dict[str, Any]:
    """Return where images, votes and weights come from."""
    settings = record["settings"]
    return {
        "images": source_of(galaxies, "images"),
        "votes": source_of(galaxies, "votes"),
        "labels": _labels(record, galaxies),
        "initial_weights": _began(record),
        "galaxies": record["data"],
        "made_from": record.get("made_from", {}),
        "commit": record["commit"],
        "settings": {key: value for key, value in settings.items() if key not in _PATHS},
        # Runs that were started before these were written down had one process, and name one machine.
        "processes": record.get("world", 1),
        "machines": record.get("machines", [record["machine"]]),
        "epochs": len(record["epochs"]),
        "checkpoint": "the last one, weights averaged over the steps",
        **_averaged(record),
    }


def _averaged(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be said of a mean of several runs in place of what is said of one."""
    if "averaged" not in record:
        return {}
    members = [
        {
            **{key: each[key] for key in ("weights", "commit", "made_from", "data")},
            "epochs": len(each["epochs"]),
            "settings": {
                key: value
                for key, value in each["settings"].items()
                if key not in _PATHS and key not in record["settings"]
            },
        }
        for each in record["averaged"]
    ]
    return {
        "epochs": sum(each["epochs"] for each in members),
        "checkpoint": f"the mean of the weights of {len(members)} runs, of each the last one, averaged over the steps",
        "averaged": members,
    }


def _origin(record: dict[str, Any]) -> str:
    """Return what the weights were before any galaxy."""
    if "origin" in record:
        return str(record["origin"])
    # Runs that were started before this was written down did not start from others.
    return "ImageNet (TensorFlow's EfficientNet-Lite)" if record["settings"]["imagenet"] else "random"


def _began(record: dict[str, Any]) -> str:
    began = any(each["settings"].get("initial") for each in members_of(record))
    earlier = ", then those of an earlier run on the same galaxies" if began else ""
    return _origin(record) + earlier


def _labels(record: dict[str, Any], galaxies: Galaxies) -> str:
    """Say in words of how many galaxies what was known, and what was made of those without votes."""
    learning = galaxies.where(galaxies.learning)
    known = ~np.isnan(learning.votes)
    complete, some = int(known.all(axis=1).sum()), int(known.any(axis=1).sum())
    bounded = int(learning.labelled.sum()) - some
    nothing = len(learning) - some - bounded
    said = [f"{complete:,} galaxies with all votes, {some - complete:,} with some"]
    settings = [each["settings"] for each in members_of(record)]
    if any(each.get("targets") for each in settings):
        said.append(
            "scores of networks trained before, moved to where what is known allows them, for the votes that are not "
            f"known on these, on {bounded:,} of which a class bounds votes, and on {nothing:,} of which nothing is "
            "known"
        )
    elif any(each.get("bounds") for each in settings):
        said.append(f"bounds of votes of {bounded:,}, from their classes")
    return "; ".join(said)


def source_of(galaxies: Galaxies, what: str) -> str:
    """Return where the images or votes come from, as the array file says."""
    return str(galaxies.provenance.get(what, _KAGGLE[what]))


def licence_of(record: dict[str, Any], galaxies: Galaxies) -> str:
    """Return the licence of the weights, and what is to be said of the data."""
    started = " The ImageNet weights they started from are Apache-2.0." if "ImageNet" in _origin(record) else ""
    return (
        f"MIT for the weights.{started} Votes and images are no part of the model, and keep their own terms: "
        f"{source_of(galaxies, 'votes')}; {source_of(galaxies, 'images')}. Who publishes scores is asked for the "
        "citations."
    )


def limits_of(framing: Framing, unseen: Galaxies, *, flags: bool) -> str:
    """Return where the model was not measured; `flags` is whether it flags pictures that are no galaxies."""
    general = (
        f"Trained and measured on the central {framing.field:.4f} of pictures that are framed to the galaxy's size "
        "(Galaxy Zoo 2: SDSS gri, 424 px of 0.02 petroR90_r arcsec each). What happens on pictures of other surveys or "
        "with another framing was not measured."
    )
    strange = (
        f"Pictures that show no galaxy get an answer too; out_of_domain above {FLAGGED_ABOVE} flags them, as far as "
        "those kinds were tried that are listed."
        if flags
        else "Any picture gets an answer, also one that shows no galaxy: nothing checks for that."
    )
    return " ".join([general, strange, _SELECTED.get(split_sha256(unseen), "")]).strip()
