"""Pictures and tables of votes into one array file, with a report of all that could not be used."""

import hashlib
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
from training.pictures import Picture, pictures_in
from training.report import UNREADABLE, NothingToPrepareError, Report, ValidationSplitError
from training.settings import DATA_FILE
from training.sources import Sources, find
from training.votes import Fractions, Votes, read_ids, read_release, read_solutions

__all__ = ["NothingToPrepareError", "PrepareSettings", "Report", "ValidationSplitError", "prepare"]

_AHEAD = 256


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
        If no galaxy has both a picture and votes.
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
    solutions, released = _votes(found, tree, settings.fractions, report)
    rows = solutions.rows | released.rows

    pictures = _with_votes(found, rows, report)
    for name in sorted(rows.keys() - pictures.keys()):
        report.problem("row without a picture", name)
    if not pictures:
        msg = f"no galaxy has both votes and a picture ({len(rows)} rows of votes were read)"
        raise NothingToPrepareError(msg)
    for name in sorted(chosen - pictures.keys()):
        report.problem("validation id without votes or without a picture", name)

    framing = Framing(size=settings.size, field=settings.field)
    used = {"solutions": False, "release": False}
    with ArrayWriter(settings.output, tree, framing, len(pictures)) as writer:
        for picture, image in _decoded(pictures.values(), framing, settings, report):
            held_out = picture.name in chosen if chosen else _part(picture.name) < settings.validation_part
            writer.append(picture.name, image, rows[picture.name], validation=held_out)
            used["solutions" if picture.name in solutions.rows else "release"] = True
            report.counts["galaxies"] += 1
            report.counts["galaxies set aside for validation"] += held_out
        if not report.counts["galaxies"]:
            msg = f"no galaxy has both votes and a picture that can be decoded ({len(pictures)} pictures were tried)"
            raise NothingToPrepareError(msg)
        writer.note(
            _provenance(tree, settings.fractions, used)
            | {"counts": report.counts, "sources": [path.name for path in found.pictures]}
        )


def _provenance(tree: DecisionTree, fractions: Fractions, used: dict[str, bool]) -> dict[str, Any]:
    """Say in words where images and votes come from, as far as the form of the tables tells."""
    if tree.name != "galaxy-zoo-2":
        return {"images": "not said", "votes": f"tables of the tree {tree.name}"}
    shares = {"debiased": "debiased", "weighted_fraction": "weighted", "fraction": "raw"}[fractions]
    texts = {
        "solutions": ("the Kaggle Galaxy Challenge", "Kaggle Galaxy Challenge solutions"),
        "release": ("the Galaxy Zoo 2 release", f"Galaxy Zoo 2 release ({shares} fractions)"),
    }
    images, votes = zip(*(texts[kind] for kind, is_used in used.items() if is_used), strict=True)
    return {
        "images": f"Sloan Digital Sky Survey, gri composites of {' and '.join(images)}",
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


def _votes(found: Sources, tree: DecisionTree, fractions: Fractions, report: Report) -> tuple[Votes, Votes]:
    """Read the votes of Kaggle's tables, and those of the public release."""
    solutions, released = Votes(tree), Votes(tree)
    for path in found.tables.get("solutions", []):
        with report.listing(path):
            read_solutions(path, solutions)
    for path in found.tables.get("release", []):
        with report.listing(path):
            read_release(path, found.mapping_of(path), fractions, released)
    for what, where in (*solutions.problems, *released.problems):
        report.problem(what, where)
    # Both number their galaxies, and not alike: nobody knows which of the two such a picture shows.
    for name in sorted(solutions.rows.keys() & released.rows.keys()):
        report.problem("number of one galaxy of Kaggle's and another of the release", name)
        del solutions.rows[name], released.rows[name]
    return solutions, released


def _with_votes(found: Sources, rows: dict[str, NDArray[np.float32]], report: Report) -> dict[str, Picture]:
    pictures: dict[str, Picture] = {}
    for path in found.pictures:
        count = 0
        with report.listing(path):
            for count, picture in enumerate(pictures_in(path), start=1):  # noqa: B007  (counted for below)
                if picture.name not in rows:
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
            if (pixels := encoded.header.width * encoded.header.height) > settings.max_pixels:
                msg = f"{encoded.header.width} x {encoded.header.height} = {pixels} pixels"
                return _TooManyPixelsError(msg)
            image = encoded.decode()
        except (UndecodableImageError, UnsupportedImageError, *UNREADABLE) as error:
            return error
        if settings.precut:
            return whole.frame(image)
        # Under the usual framing a picture of just this size has been cut already, as those of a set made for training
        # are. Under another one its size says nothing.
        ready = framing == GALAXY_ZOO_FRAMING and image.shape[:2] == (framing.size, framing.size)
        return image if ready else framing.frame(image)

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


def _part(name: str) -> float:
    """Return a number from 0 to 1 that follows from a galaxy's name alone, so that a split stays as data grow."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
