"""Where the image of each row is: in a column of URLs, in one of files, or at a position on the sky.

A row that says nothing of use is no image but an `Unusable`: it is a failed row, and nobody is asked for it.
"""

import math
from collections.abc import Callable, Mapping
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
    def words(self) -> tuple[str, ...]:
        """What it is, as the words of a command line."""
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
    def words(self) -> tuple[str, ...]:
        """As an option."""
        return ("--url-column", self.column)

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
    def words(self) -> tuple[str, ...]:
        """As an option."""
        return ("--path-column", self.column)

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
    def words(self) -> tuple[str, ...]:
        """As options."""
        radius = () if self.radius is None else ("--radius-column", self.radius)
        return ("--survey", self.survey, "--ra-column", self.ra, "--dec-column", self.dec, *radius)

    @property
    def warning(self) -> str | None:
        """Where this survey's pictures are not what networks are trained on."""
        warning: str | None = SURVEYS[self.survey].warning
        return warning

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return the URLs of the cut-outs."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in zip(*self._values(table), strict=True)]
        return [self._image(row) for row in rows]

    def _values(self, table: pa.Table) -> list[list[object]]:
        return [table[name].to_pylist() for name in self.columns]

    def _image(self, row: Mapping[str, object]) -> str | Unusable:
        ra, dec = _number(row[self.ra]), _number(row[self.dec])
        if not (0 <= ra <= 360 and -90 <= dec <= 90):
            said = f"{self.ra} = {row[self.ra]}, {self.dec} = {row[self.dec]}"
            return Unusable("bad_position", f"{said} is no position in degrees: 0 to 360 and -90 to 90.")
        radius = None if self.radius is None else _number(row[self.radius])
        if radius is not None and not 0 < radius < math.inf:
            return Unusable("bad_position", f"{self.radius} = {row[str(self.radius)]} is no radius in arcsec: above 0.")
        url: str = cutout_url(self.survey, ra, dec, radius)
        return url


def _number(value: object) -> float:
    """Return a number of a catalogue, NaN for none."""
    return math.nan if value is None else float(value)  # type: ignore[arg-type]  # the column is known to be of numbers


@dataclass(frozen=True)
class Wanted:
    """What is said of where images are; None of what isn't said."""

    url_column: str | None = None
    path_column: str | None = None
    survey: str | None = None
    ra_column: str | None = None
    dec_column: str | None = None
    radius_column: str | None = None


def image_source(schema: pa.Schema, folder: Path, wanted: Wanted) -> ImageSource:
    """Find out where the images of a catalogue are.

    Parameters
    ----------
    schema
        The catalogue's.
    folder
        The catalogue's, from which the names of files start.
    wanted
        What the user said.

    Raises
    ------
    UnfitCatalogueError
        If a column isn't there or holds something else, or if it can't be told where images are.
    """
    ways = [wanted.url_column, wanted.path_column, wanted.survey]
    if sum(way is not None for way in ways) > 1:
        msg = "images are in one place: --url-column, --path-column or --survey"
        raise UnfitCatalogueError(msg)
    if wanted.survey is None and (wanted.ra_column or wanted.dec_column or wanted.radius_column):
        msg = "--ra-column, --dec-column and --radius-column are for --survey, which says whose cut-outs to take"
        raise UnfitCatalogueError(msg)
    if wanted.path_column is not None:
        return PathColumn(_text(schema, wanted.path_column, "--path-column"), folder)
    if wanted.survey is not None:
        radius = wanted.radius_column or (RADIUS if RADIUS in schema.names else None)
        return CutOuts(
            wanted.survey,
            _numbers(schema, wanted.ra_column or RA, "--ra-column"),
            _numbers(schema, wanted.dec_column or DEC, "--dec-column"),
            None if radius is None else _numbers(schema, radius, "--radius-column"),
        )
    if wanted.url_column is not None:
        return UrlColumn(_text(schema, wanted.url_column, "--url-column"))
    found = [name for name in URL_COLUMNS if name in schema.names]
    if len(found) != 1:
        seen = f"has the columns {' and '.join(found)}" if found else f"has no column {', '.join(URL_COLUMNS)}"
        msg = (
            f"the catalogue {seen}: say where the images are, with --url-column, --path-column or --survey. Its "
            f"columns are {', '.join(schema.names)}"
        )
        raise UnfitCatalogueError(msg)
    return UrlColumn(_text(schema, found[0], "--url-column"))


def _text(schema: pa.Schema, name: str, option: str) -> str:
    return _column(schema, name, option, "text", pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _numbers(schema: pa.Schema, name: str, option: str) -> str:
    return _column(schema, name, option, "numbers", pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)


def _column(schema: pa.Schema, name: str, option: str, what: str, *kinds: Callable[[Any], bool]) -> str:
    if name not in schema.names:
        msg = f"the catalogue has no column {name} ({option}); its columns are {', '.join(schema.names)}"
        raise UnfitCatalogueError(msg)
    kind = schema.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    # A column that is empty throughout has no type in some formats; its rows fail one by one.
    if not (pa.types.is_null(kind) or any(fits(kind) for fits in kinds)):
        msg = f"the column {name} ({option}) holds {kind}, not {what}"
        raise UnfitCatalogueError(msg)
    return name
