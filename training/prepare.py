"""Pictures and tables of votes into one array file, with a report of all that could not be used."""

import csv
import hashlib
import json
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from galaxytree.decision_tree import DecisionTree, load_tree
from galaxytree.imaging import (
    GALAXY_ZOO_FRAMING,
    Framing,
    UndecodableImageError,
    UnsupportedImageError,
    decode,
)
from galaxytree.options import Options
from training.arrays import ArrayWriter
from training.pictures import Picture, is_archive, pictures_in
from training.settings import DATA_FILE
from training.votes import (
    Fractions,
    Kind,
    Votes,
    WrongHeaderError,
    kind_of,
    read_ids,
    read_release,
    read_solutions,
    tables_in,
)

_UNREADABLE = (
    OSError,
    EOFError,  # a gzipped file that is cut off
    zlib.error,  # a compressed file that is damaged
    zipfile.BadZipFile,
    RuntimeError,  # a zip file with a password, or packed in a way that Python does not know
    tarfile.TarError,
    csv.Error,
    UnicodeDecodeError,
    WrongHeaderError,
)
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

    @property
    def report_file(self) -> Path:
        """Where the report goes."""
        return self.output.with_suffix(".report.json")


class NothingToPrepareError(ValueError):
    """No galaxy has both a picture and votes; the message counts what was found."""


@dataclass
class Report:
    """What `prepare` found.

    Attributes
    ----------
    counts
        What -> how often.
    problems
        (what, where) of all that could not be used, or not wholly.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, what: str, where: str) -> None:
        """List and count one thing that could not be used."""
        self.problems.append((what, where))
        self.counts[what] += 1

    def write(self, path: Path) -> None:
        """Write the whole report as JSON."""
        path.write_text(json.dumps({"counts": self.counts, "problems": self.problems}, indent=1) + "\n", "utf-8")


@dataclass
class _Sources:
    tables: dict[Kind, list[Path]] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)


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
        Also written as JSON beside the array file.

    Raises
    ------
    NothingToPrepareError
        If no galaxy has both a picture and votes.
    """
    tree, framing, report = load_tree(settings.tree), Framing(size=settings.size, field=settings.field), Report()
    found = _sort(sources, tree, report)

    votes = Votes()
    for path in found.tables.get("solutions", []):
        with _listing_failure(report, path):
            read_solutions(path, tree, votes)
    for path in found.tables.get("release", []):
        with _listing_failure(report, path):
            read_release(path, _mapping_of(path, found), tree, settings.fractions, votes)
    for what, where in votes.problems:
        report.problem(what, where)

    pictures = _with_votes(found, votes, report)
    for name in sorted(votes.rows.keys() - pictures.keys()):
        report.problem("row without a picture", name)
    if not pictures:
        msg = f"no galaxy has both votes and a picture ({len(votes.rows)} rows of votes were read)"
        raise NothingToPrepareError(msg)

    chosen: set[str] = set()
    for path in found.tables.get("ids", []):
        with _listing_failure(report, path):
            chosen |= read_ids(path)
    for name in sorted(chosen - pictures.keys()):
        report.problem("validation id without votes or without a picture", name)
    with ArrayWriter(settings.output, tree, framing, len(pictures)) as writer:
        for picture, image in _decoded(pictures.values(), framing, report):
            held_out = picture.name in chosen if chosen else _part(picture.name) < settings.validation_part
            writer.append(picture.name, image, votes.rows[picture.name], validation=held_out)
            report.counts["galaxies"] += 1
            report.counts["galaxies set aside for validation"] += held_out
        if not report.counts["galaxies"]:
            msg = f"no galaxy has both votes and a picture that can be decoded ({len(pictures)} pictures were tried)"
            raise NothingToPrepareError(msg)
        writer.note({"counts": report.counts, "sources": [path.name for path in found.pictures]})
    report.write(settings.report_file)
    return report


def _sort(sources: Iterable[Path], tree: DecisionTree, report: Report) -> _Sources:
    """Tell tables from pictures, and look one level into folders."""
    found = _Sources()
    for source in sources:
        if not source.is_dir():
            _sort_file(source, tree, found, report)
            continue
        inside = sorted(source.iterdir())
        for path in inside:
            if path.is_file() and (is_archive(path) or path.suffix.lower() in {".csv", ".gz"}):
                _sort_file(path, tree, found, report)
        found.pictures += [path for path in (source, *inside) if path.is_dir() and any(pictures_in(path))]
    return found


def _sort_file(path: Path, tree: DecisionTree, found: _Sources, report: Report) -> None:
    with _listing_failure(report, path):
        if is_archive(path) and not _holds_table(path):
            found.pictures.append(path)
            return
        kind = kind_of(path, tree)
        if kind == "unknown":
            report.problem("table that is not known by its header", path.name)
        found.tables.setdefault(kind, []).append(path)


def _holds_table(path: Path) -> bool:
    if path.suffix.lower() != ".zip":
        return False
    with zipfile.ZipFile(path) as archive:
        return bool(tables_in(archive))


def _mapping_of(release: Path, found: _Sources) -> Path:
    """Return the mapping that goes with a release: the one in its folder, or the only one."""
    mappings = found.tables.get("mapping", [])
    near = [path for path in mappings if path.parent == release.parent] or mappings
    if len(near) != 1:
        msg = f"{release.name}: needs one gz2_filename_mapping.csv beside it; {len(near)} were given"
        raise WrongHeaderError(msg)
    return near[0]


def _with_votes(found: _Sources, votes: Votes, report: Report) -> dict[str, Picture]:
    pictures: dict[str, Picture] = {}
    for path in found.pictures:
        count = 0
        with _listing_failure(report, path):
            for count, picture in enumerate(pictures_in(path), start=1):  # noqa: B007  (counted for below)
                if picture.name not in votes.rows:
                    report.problem("picture without a row of votes", f"{path.name}: {picture.name}")
                elif picture.name in pictures:
                    report.problem("second picture of a galaxy", f"{path.name}: {picture.name}")
                else:
                    pictures[picture.name] = picture
            if not count:
                report.problem("archive without a picture", path.name)
    return pictures


def _decoded(
    pictures: Iterable[Picture], framing: Framing, report: Report
) -> Iterator[tuple[Picture, NDArray[np.uint8]]]:
    """Decode pictures on all cores, in order; those that can't be decoded are listed."""

    def load(picture: Picture) -> NDArray[np.uint8] | Exception:
        try:
            pixels = decode(picture.read())
        except (UndecodableImageError, UnsupportedImageError, *_UNREADABLE) as error:
            return error
        # A picture of just this size has been cut already, as those of a set made for training are.
        return pixels if pixels.shape[:2] == (framing.size, framing.size) else framing.frame(pixels)

    waiting = iter(tqdm(list(pictures), unit="picture"))
    with ThreadPoolExecutor() as pool:
        while some := list(islice(waiting, _AHEAD)):
            for picture, image in zip(some, pool.map(load, some), strict=True):
                if isinstance(image, Exception):
                    report.problem("picture that cannot be decoded", f"{picture.name}: {image}")
                else:
                    yield picture, image


def _part(name: str) -> float:
    """Return a number from 0 to 1 that follows from a galaxy's name alone, so that a split stays as data grow."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


@contextmanager
def _listing_failure(report: Report, path: Path) -> Iterator[None]:
    """List a file that can't be read, and go on with the next."""
    try:
        yield
    except _UNREADABLE as error:
        report.problem("file that cannot be read", f"{path.name}: {error}")
