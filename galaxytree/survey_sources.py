"""Where the image of each row is: in a column of URLs, in one of files, or at a position on the sky.

A row that says nothing of use is no image but an `Unusable`: it is a failed row, and nobody is asked for it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from galaxytree.cutouts import SURVEYS, cutout_url
from galaxytree.survey_errors import UnfitCatalogueError

URL_COLUMNS = ("url", "image_url", "cutout_url")
"""Columns that are taken for URLs where nobody says which."""

RA, DEC, RADIUS = "ra", "dec", "petroR90_r"
"""Columns that are taken for positions (degrees, J2000) and radii (arcsec) where nobody says which."""

SURVEY_NAMES = tuple(SURVEYS)


class Unusable(NamedTuple):
    """Why a row has no image that could be asked for."""

    code: str
    detail: str


class ImageSource(Protocol):
    """Says of each row where its image is."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        ...

    @property
    def files(self) -> bool:
        """Whether images are files; else they are URLs."""
        ...

    @property
    def said(self) -> str:
        """What it is, as options."""
        ...

    @property
    def warning(self) -> str | None:
        """What one should know before scoring such images."""
        ...

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return where the image of each row is."""
        ...


@dataclass(frozen=True)
class UrlColumn:
    """Images are at the URLs of a column."""

    column: str
    files = False
    warning = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def said(self) -> str:
        """As an option."""
        return f"--url-column {self.column}"

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return the URLs."""
        nothing = Unusable("no_image", f"The column {self.column} is empty in this row.")
        return [(given and given.strip()) or nothing for given in table[self.column].to_pylist()]


@dataclass(frozen=True)
class PathColumn:
    """Images are the files of a column, whose names start from a folder."""

    column: str
    folder: Path
    files = True
    warning = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def said(self) -> str:
        """As an option."""
        return f"--path-column {self.column}"

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return the paths."""
        nothing = Unusable("no_image", f"The column {self.column} is empty in this row.")
        given = table[self.column].to_pylist()
        return [str(self.folder / one.strip()) if one and one.strip() else nothing for one in given]


@dataclass(frozen=True)
class CutOuts:
    """Images are cut out of a sky survey, about the rows' positions."""

    survey: str
    ra: str
    dec: str
    radius: str | None
    files = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the position, and of the radius where there is one."""
        return (self.ra, self.dec) if self.radius is None else (self.ra, self.dec, self.radius)

    @property
    def said(self) -> str:
        """As options."""
        radius = "" if self.radius is None else f" --radius-column {self.radius}"
        return f"--survey {self.survey} --ra-column {self.ra} --dec-column {self.dec}{radius}"

    @property
    def warning(self) -> str | None:
        """Where this survey's pictures are not what networks are trained on."""
        warning: str | None = SURVEYS[self.survey].warning
        return warning

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return the URLs of the cut-outs."""
        values = [table[name].to_pylist() for name in self.columns]
        return [self._image(*row) for row in zip(*values, strict=True)]

    def _image(self, ra: float | None, dec: float | None, radius: float | None = None) -> str | Unusable:
        if not _is_number(ra) or not _is_number(dec) or not 0 <= ra <= 360 or not -90 <= dec <= 90:  # type: ignore[operator]
            said = f"{self.ra} = {ra}, {self.dec} = {dec}"
            return Unusable("bad_position", f"{said} is no position: degrees, 0 to 360 and -90 to 90.")
        if self.radius is not None and (not _is_number(radius) or radius <= 0):  # type: ignore[operator]
            return Unusable("bad_position", f"{self.radius} = {radius} is no radius: arcsec, above 0.")
        return cutout_url(self.survey, ra, dec, radius)  # type: ignore[arg-type]
