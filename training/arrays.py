"""The array file: images, votes and names of many galaxies in one HDF5 file that trains fast.

Datasets: ``images`` uint8 [>=N, S, S, 3], contiguous, so that it can be mapped into memory; ``votes`` float32
[N, columns], NaN where a vote is not known; ``lower`` and ``upper`` float32 [N, columns], between which each vote lies;
``names``, ``validation`` and ``calibration`` [N]. Rows of ``images`` beyond N are unused: room that was kept for
pictures which then could not be decoded. Attributes name the tree, its columns, the framing, and where the galaxies
come from.

Files of format 1 have no bounds and no calibration split. They are read as files in which nothing is known but the
votes, and nothing is set aside for calibration.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from galaxytree.card import sha256_of
from galaxytree.decision_tree import DecisionTree, UnknownTreeError, load_tree
from galaxytree.imaging import Framing
from training.bounds import bounds_of_votes

_FORMAT = 2


class ArrayFileError(ValueError):
    """A file that is no array file of galaxies, or one of another tree; the message says what to do."""


class Images:
    """Images of some rows of an array file, read from it when they are asked for.

    Parameters
    ----------
    pixels : array of uint8, shape [M, S, S, 3]
        All images of the file, mapped from it.
    rows : array of int, shape [N]
        Which of them these are.
    """

    def __init__(self, pixels: NDArray[np.uint8], rows: NDArray[np.intp]) -> None:
        self._pixels = pixels
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, S, S, 3]."""
        return (len(self), *self._pixels.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all of them take."""
        return math.prod(self.shape)

    def __getitem__(self, chosen: int | slice | NDArray[np.intp] | NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Read one, uint8 [S, S, 3], or some of them, uint8 [n, S, S, 3]."""
        return np.asarray(self._pixels[self._rows[chosen]])

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Images":
        """Return those that a mask or a list of positions chooses, without reading them."""
        return Images(self._pixels, self._rows[chosen])


@dataclass(frozen=True)
class Galaxies:
    """Galaxies with their votes.

    Attributes
    ----------
    names : array of str, shape [N]
    images : Images
        uint8, shape [N, S, S, 3].
    votes : array of float32, shape [N, columns]
        NaN where a vote is not known.
    lower, upper : array of float32, shape [N, columns]
        What is known of each vote: lower <= vote <= upper. Both are the vote where it is known, to 1e-6, and 0 and 1
        where nothing is.
    validation : array of bool, shape [N]
        Whether a galaxy belongs to the fixed validation split, which is never trained on.
    calibration : array of bool, shape [N]
        Whether a galaxy is set aside for calibrating error bars; none of these is for validation.
    tree : DecisionTree
    framing : Framing
        How the images were cut.
    sha256 : str
        Of the file they come from.
    provenance : dict
        What was noted when the file was made, as ``images`` and ``votes`` in words; empty in a file without a note.
    """

    names: NDArray[np.str_]
    images: Images
    votes: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    validation: NDArray[np.bool_]
    calibration: NDArray[np.bool_]
    tree: DecisionTree
    framing: Framing
    sha256: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def learning(self) -> NDArray[np.bool_]:
        """Mask of the galaxies that may be trained on: all that are set aside for nothing; shape [N]."""
        return ~(self.validation | self.calibration)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Mask of the galaxies of which anything is known: a vote, or a bound of one; shape [N]."""
        bounded = ((self.lower > 0) | (self.upper < 1)).any(axis=1)
        return np.asarray(bounded | ~np.isnan(self.votes).all(axis=1))

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Galaxies":
        """Return the galaxies that a mask or a list of positions chooses."""
        return replace(
            self,
            names=self.names[chosen],
            images=self.images.where(chosen),
            votes=self.votes[chosen],
            lower=self.lower[chosen],
            upper=self.upper[chosen],
            validation=self.validation[chosen],
            calibration=self.calibration[chosen],
        )


def read_galaxies(path: Path) -> Galaxies:
    """Open an array file; its images are mapped into memory, not read.

    Raises
    ------
    ArrayFileError
        If the file is missing or not what `ArrayWriter` writes.
    """
    try:
        with h5py.File(path, "r") as file:
            names = file["names"].asstr()[:].astype(np.str_)
            votes, validation = file["votes"][:], file["validation"][:]
            if file.attrs["format"] == 1:
                (lower, upper), calibration = bounds_of_votes(votes), np.zeros_like(validation)
            else:
                lower, upper, calibration = file["lower"][:], file["upper"][:], file["calibration"][:]
            tree, framing = load_tree(file.attrs["tree"]), Framing.model_validate_json(file.attrs["framing"])
            columns, stored = json.loads(file.attrs["columns"]), file["images"]
            offset, shape = stored.id.get_offset(), (len(names), *stored.shape[1:])
            provenance = dict(json.loads(file.attrs.get("provenance", "{}")))
    except UnknownTreeError as error:
        msg = f"{path}: {error}; prepare it again"
        raise ArrayFileError(msg) from error
    except FileNotFoundError as error:
        msg = f"there is no {path}; make one with: python -m training prepare"
        raise ArrayFileError(msg) from error
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path} is no array file of galaxies; make one with: python -m training prepare"
        raise ArrayFileError(msg) from error
    if tuple(columns) != tree.columns:
        msg = f"{path} holds other columns than the tree {tree.name} has; prepare it again"
        raise ArrayFileError(msg)
    pixels: NDArray[np.uint8] = (
        np.memmap(path, np.uint8, "r", offset, shape) if len(names) else np.empty(shape, np.uint8)
    )
    images = Images(pixels, np.arange(len(names)))
    splits = {"validation": validation, "calibration": calibration}
    return Galaxies(
        names, images, votes, lower, upper, **splits,
        tree=tree, framing=framing, sha256=sha256_of(path), provenance=provenance,
    )  # fmt: skip


class ArrayWriter:
    """Writes an array file galaxy by galaxy; the file appears under its name only when all is written.

    Parameters
    ----------
    path : Path
    tree : DecisionTree
    framing : Framing
    capacity : int
        How many galaxies there may be at most.
    """

    def __init__(self, path: Path, tree: DecisionTree, framing: Framing, capacity: int) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._votes: list[NDArray[np.float32]] = []
        self._names: list[str] = []
        self._lower: list[NDArray[np.float32]] = []
        self._upper: list[NDArray[np.float32]] = []
        self._validation: list[bool] = []
        self._calibration: list[bool] = []
        self._tree = tree
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w")
        self._file.attrs.update(
            tree=tree.name, columns=json.dumps(tree.columns), framing=framing.model_dump_json(), format=_FORMAT
        )
        self._images = self._file.create_dataset("images", (capacity, framing.size, framing.size, 3), np.uint8)

    def __enter__(self) -> Self:
        return self

    def append(  # noqa: PLR0913  (what a galaxy is)
        self,
        name: str,
        image: NDArray[np.uint8],
        votes: NDArray[np.float32],
        *,
        validation: bool,
        lower: NDArray[np.float32] | None = None,
        upper: NDArray[np.float32] | None = None,
        calibration: bool = False,
    ) -> None:
        """Add one galaxy: image [S, S, 3], votes [columns] and their bounds, by default what the votes alone tell.

        Raises
        ------
        ValueError
            If the galaxy is for both validation and calibration.
        """
        if validation and calibration:
            msg = f"{name} is set aside for validation and can't be for calibration as well"
            raise ValueError(msg)
        told = bounds_of_votes(votes)
        self._images[len(self._names)] = image
        self._names.append(name)
        self._votes.append(votes)
        self._lower.append(told[0] if lower is None else lower)
        self._upper.append(told[1] if upper is None else upper)
        self._validation.append(validation)
        self._calibration.append(calibration)

    def note(self, facts: dict[str, Any]) -> None:
        """Keep facts on where the galaxies come from in the file."""
        self._file.attrs["provenance"] = json.dumps(facts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        columns = len(self._tree.columns)
        for name, rows in (("votes", self._votes), ("lower", self._lower), ("upper", self._upper)):
            self._file[name] = np.array(rows, np.float32).reshape(-1, columns)
        self._file["validation"] = np.array(self._validation, np.bool_)
        self._file["calibration"] = np.array(self._calibration, np.bool_)
        self._file.create_dataset("names", data=_texts(self._names), dtype=h5py.string_dtype())
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink()


def _texts(names: Sequence[str]) -> NDArray[np.object_]:
    return np.array(list(names), dtype=object)
