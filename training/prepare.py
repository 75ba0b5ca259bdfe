"""Pictures and tables of votes into one array file, with a report of all that could not be used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from galaxytree.decision_tree import DecisionTree, load_tree
from galaxytree.imaging import (
    GALAXY_ZOO_FRAMING,
    EncodedImage,
    Framing,
    UndecodableImageError,
    UnsupportedImageError,
)
from galaxytree.options import Options
from training.arrays import ArrayWriter
from training.known import Known, read_known
from training.pictures import Picture, pictures_in
from training.report import UNREADABLE, NothingToPrepareError, Report, ValidationSplitError
from training.settings import DATA_FILE
from training.sources import Sources, find
from training.splits import part_of
from training.votes import Fractions, read_ids

__all__ = ["NothingToPrepareError", "PrepareSettings", "Report", "ValidationSplitError", "prepare"]

_AHEAD = 256
_ALL, _SOME = "galaxies with all votes", "galaxies with some votes"
_BOUNDS, _NOTHING = "galaxies with bounds only", "galaxies of which nothing is known"


class PrepareSettings(Options):
    """What `prepare` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_PREPARE_"

    output: Annotated[Path, Field(description="Array file to write; the report goes beside it")] = DATA_FILE
    tree: Annotated[str, Field(description="Decision tree of the votes")] = "galaxy-zoo-2"
    size: Annotated[int, Field(ge=32, description="Side of the images kept, in pixels")] = GALAXY_ZOO_FRAMING.size
    field: Annotated[
        float, Field(gt=0, le=1, description="Side of the centre that is kept, in units of the picture's shorter side")
    ] = GALAXY_ZOO_FRAMING.field
    fractions: Annotated[Fractions, Field(description="Which vote fractions of the public release to use")] = "debiased"
    validation_part: Annotated[
        float, Field(ge=0, lt=1, description="Part set aside for validation where no table of ids names it")
    ] = 0.1
    calibration_part: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Part of the galaxies with all votes that are not for validation which is set aside for "
            "calibrating error bars",
        ),
    ] = 0.1
    unlabelled: Annotated[bool, Field(description="Keep pictures of which nothing is known, for self-training")] = True
    precut: Annotated[bool, Field(description="The pictures are cut already: scale them whole")] = False
    max_pixels: Annotated[int, Field(ge=1, description="Largest picture that is decoded, seen in its header")] = (
        4096 * 4096
    )

    @property
    def report_file(self) -> Path:
        """Where the report goes."""
        return self.output.with_suffix(".report.json")


class _TooManyPixelsError(ValueError):
    """A picture whose header says that it is larger than is decoded."""


def prepare(sources: Iterable[Path], settings: PrepareSettings) -> Report:
    """Make an array file from folders, archives and tables.

    Parameters
    ----------
    sources
        Tables (CSV, gzipped or zipped) and pictures (a folder, zip or tar file), or folders in which these lie. What a
        table holds is told by its header. Of two pictures of one name the first is taken.
    settings : PrepareSettings

    Returns
    -------
    Report
        Also written as JSON beside the array file, even if there is nothing to prepare.

    Raises
    ------
    NothingToPrepareError
        If no galaxy has both a picture and votes, be there classes or not.
    ValidationSplitError
        If a table that is to fix the validation split can't be used.
    """
    tree, report = load_tree(settings.tree), Report()
    try:
        _prepare(find(sources, tree, report), tree, settings, report)
    except ValidationSplitError:
        report.write(settings.report_file)
        raise
    except NothingToPrepareError as error:
        report.write(settings.report_file)
        msg = f"{error}{report.summary()}\nAll that was left out is listed in {settings.report_file}."
        raise NothingToPrepareError(msg) from error
    report.write(settings.report_file)
    return report


def _prepare(found: Sources, tree: DecisionTree, settings: PrepareSettings, report: Report) -> None:
    chosen = _chosen(found)
    known = read_known(found, tree, settings.fractions, report)

    pictures = _wanted(found, known, chosen, settings, report)
    for name in sorted((known.votes.keys() | known.classes.keys()) - pictures.keys()):
        report.problem("row without a picture", name)
    with_votes = pictures.keys() & known.votes.keys()
    if not with_votes:
        msg = f"no galaxy has both votes and a picture ({len(known.votes)} rows of votes were read)"
        raise NothingToPrepareError(msg)
    for name in sorted(chosen - with_votes):
        report.problem("validation id without votes or without a picture", name)

    votes, bounds = known.of(list(pictures), tree, report)
    row_of = {name: row for row, name in enumerate(pictures)}
    framing = Framing(size=settings.size, field=settings.field)
    counts, used = report.counts, {"solutions": False, "release": False, "classes": False}
    with ArrayWriter(settings.output, tree, framing, len(pictures)) as writer:
        for picture, image in _decoded(pictures.values(), framing, settings, report):
            name, row = picture.name, row_of[picture.name]
            level = _level(votes[row], bounds.lower[row], bounds.upper[row])
            held_out = name in known.votes and (name in chosen if chosen else part_of(name) < settings.validation_part)
            calibrates = level == _ALL and not held_out and part_of(f"calibration:{name}") < settings.calibration_part
            writer.append(
                name,
                image,
                votes[row],
                lower=bounds.lower[row],
                upper=bounds.upper[row],
                validation=held_out,
                calibration=calibrates,
            )
            for origin in known.origins(name):
                used[origin] = True
            counts.update({"galaxies": 1, level: 1})
            counts["galaxies set aside for validation"] += held_out
            counts["galaxies set aside for calibration"] += calibrates
        if not counts[_ALL] + counts[_SOME]:
            msg = f"no galaxy has both votes and a picture that can be decoded ({len(pictures)} pictures were tried)"
            raise NothingToPrepareError(msg)
        writer.note(
            _provenance(tree, settings.fractions, used)
            | {"counts": report.counts, "sources": [path.name for path in found.pictures]}
        )


def _level(votes: NDArray[np.float32], lower: NDArray[np.float32], upper: NDArray[np.float32]) -> str:
    """Return how much is known of a galaxy."""
    known = ~np.isnan(votes)
    if known.any():
        return _ALL if known.all() else _SOME
    return _BOUNDS if (lower > 0).any() or (upper < 1).any() else _NOTHING


def _provenance(tree: DecisionTree, fractions: Fractions, used: dict[str, bool]) -> dict[str, Any]:
    """Say in words where images and votes come from, as far as the form of the tables tells."""
    if tree.name != "galaxy-zoo-2":
        return {"images": "not said", "votes": f"tables of the tree {tree.name}"}
    shares = {"debiased": "debiased", "weighted_fraction": "weighted", "fraction": "raw"}[fractions]
    texts = {
        "solutions": ("the Kaggle Galaxy Challenge", "Kaggle Galaxy Challenge solutions"),
        "release": ("the Galaxy Zoo 2 release", f"Galaxy Zoo 2 release ({shares} fractions)"),
        "classes": ("the Kaggle Galaxy Challenge", "classes of further galaxies"),
    }
    images, votes = zip(*(texts[kind] for kind, is_used in used.items() if is_used), strict=True)
    return {
        "images": f"Sloan Digital Sky Survey, gri composites of {' and '.join(dict.fromkeys(images))}",
        "votes": " and ".join(votes),
    }


def _chosen(found: Sources) -> set[str]:
    """Return the ids that are set aside; empty if no table names them."""
    chosen: set[str] = set()
    for path in found.tables.get("ids", []):
        try:
            chosen |= read_ids(path)
        except UNREADABLE as error:
            # Another split in its place would train on what is to be measured on.
            msg = f"{path} is to name the validation split and can't be read: {error}"
            raise ValidationSplitError(msg) from error
    return chosen


def _wanted(
    found: Sources, known: Known, chosen: set[str], settings: PrepareSettings, report: Report
) -> dict[str, Picture]:
    """Return the first picture of each galaxy that is to be kept."""

    def is_wanted(name: str) -> bool:
        if name in known.votes:
            return True
        # Without votes a galaxy can't be measured on, and one that is named for it is not to be trained on.
        return name not in known.ambiguous | chosen and (name in known.classes or settings.unlabelled)

    pictures: dict[str, Picture] = {}
    for path in found.pictures:
        count = 0
        with report.listing(path):
            for count, picture in enumerate(pictures_in(path), start=1):  # noqa: B007  (counted for below)
                if not is_wanted(picture.name):
                    report.problem("picture without a row of votes", f"{path.name}: {picture.name}")
                elif picture.name in pictures:
                    report.problem("second picture of a galaxy", f"{path.name}: {picture.name}")
                else:
                    pictures[picture.name] = picture
            if not count:
                report.problem("archive without a picture", path.name)
    return pictures


def _decoded(
    pictures: Iterable[Picture], framing: Framing, settings: PrepareSettings, report: Report
) -> Iterator[tuple[Picture, NDArray[np.uint8]]]:
    """Decode pictures on all cores, in order; those that can't be decoded are listed."""
    whole = Framing(size=framing.size, field=1.0)

    def load(picture: Picture) -> NDArray[np.uint8] | Exception:
        try:
            encoded = EncodedImage(picture.read())
            if (count := encoded.header.width * encoded.header.height) > settings.max_pixels:
                msg = f"{encoded.header.width} x {encoded.header.height} = {count} pixels"
                return _TooManyPixelsError(msg)
            # Under the usual framing a picture of just this size has been cut already, as those of a set made for
            # training are. Under another one its size says nothing.
            usual = framing == GALAXY_ZOO_FRAMING
            ready = usual and (encoded.header.width, encoded.header.height) == (framing.size, framing.size)
            # As the service reads them: a large JPEG at a part of its size.
            pixels: NDArray[np.uint8] = (whole if settings.precut or ready else framing).read(encoded)[0]
        except (UndecodableImageError, UnsupportedImageError, *UNREADABLE) as error:
            return error
        return pixels

    waiting = iter(tqdm(list(pictures), unit="picture"))
    with ThreadPoolExecutor() as pool:
        while some := list(islice(waiting, _AHEAD)):
            for picture, image in zip(some, pool.map(load, some), strict=True):
                if isinstance(image, _TooManyPixelsError):
                    report.problem("picture with too many pixels", f"{picture.name}: {image}")
                elif isinstance(image, Exception):
                    why = str(image) or type(image).__name__
                    report.problem("picture that cannot be decoded", f"{picture.name}: {why}")
                else:
                    yield picture, image
