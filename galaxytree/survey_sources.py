"""Where the image of each row is: in a column of URLs, in one of files, or at a position on the sky.

A row that says nothing of use is no image but an `Unusable`: it is a failed row, and nobody is asked for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from galaxytree.cutouts import DEFAULT_HIPS, NO_RADIUS_WARNING, SURVEYS, arcseconds_in, cutout_urls, degrees_in
from galaxytree.survey_errors import UnfitCatalogueError

URL_COLUMNS = ("url", "image_url", "cutout_url")
"""Columns that are taken for URLs where nobody says which; if there is none so written, in other capitals."""

RA, DEC, RADIUS = "ra", "dec", "petroR90_r"
"""Columns that are taken for positions (degrees, J2000) and radii (arcsec) where nobody says which; likewise."""

HIPS = "hips"
"""The survey that is any HiPS."""


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
    """Images are cut out of a sky survey, about the rows' positions.

    Attributes
    ----------
    survey, hips
        See `galaxytree.cutouts.cutout_url`.
    factors
        Column -> by what its values are multiplied to be degrees, or arcsec: right ascension, declination, and radius
        where there is one.
    """

    survey: str
    hips: str
    factors: Mapping[str, float]
    files = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the position, and of the radius where there is one."""
        return tuple(self.factors)

    @property
    def words(self) -> tuple[str, ...]:
        """As options."""
        named = zip(("--ra-column", "--dec-column", "--radius-column"), self.columns, strict=False)
        hips = ("--hips", self.hips) if self.survey == HIPS else ()
        return ("--survey", self.survey, *hips, *(word for option in named for word in option))

    @property
    def warning(self) -> str | None:
        """Where this survey's pictures, or their framing, are not what networks are trained on."""
        found = [SURVEYS[self.survey].warning, NO_RADIUS_WARNING if len(self.columns) == 2 else None]
        return "; ".join(one for one in found if one) or None

    def images(self, table: pa.Table) -> list[str | Unusable]:
        """Return the URLs of the cut-outs."""
        values = (_scaled(table[name].to_pylist(), factor) for name, factor in self.factors.items())
        urls = cutout_urls(self.survey, *values, hips=self.hips)
        return [one if isinstance(one, str) else Unusable("bad_position", _sentence(str(one))) for one in urls]


def _scaled(values: Sequence[Any], factor: float) -> list[float | None]:
    return [None if value is None else factor * float(value) for value in values]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


@dataclass(frozen=True)
class Wanted:
    """What is said of where images are; None of what isn't said."""

    url_column: str | None = None
    path_column: str | None = None
    survey: str | None = None
    ra_column: str | None = None
    dec_column: str | None = None
    radius_column: str | None = None
    hips: str | None = None


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
    if wanted.hips is not None and wanted.survey != HIPS:
        msg = f"--hips is for --survey {HIPS}"
        raise UnfitCatalogueError(msg)
    if wanted.path_column is not None:
        return PathColumn(_text(schema, wanted.path_column, "--path-column"), folder)
    if wanted.survey is not None:
        return _cut_outs(schema, wanted, wanted.survey)
    if wanted.url_column is not None:
        return UrlColumn(_text(schema, wanted.url_column, "--url-column"))
    found = [name for name in (_usual(schema, name) for name in URL_COLUMNS) if name in schema.names]
    if len(found) != 1:
        seen = f"has the columns {' and '.join(found)}" if found else f"has no column {', '.join(URL_COLUMNS)}"
        msg = (
            f"the catalogue {seen}: say where the images are, with --url-column, --path-column or --survey. Its "
            f"columns are {', '.join(schema.names)}"
        )
        raise UnfitCatalogueError(msg)
    return UrlColumn(_text(schema, found[0], "--url-column"))


def _cut_outs(schema: pa.Schema, wanted: Wanted, survey: str) -> CutOuts:
    columns = [
        _numbers(schema, wanted.ra_column or _usual(schema, RA), "--ra-column"),
        _numbers(schema, wanted.dec_column or _usual(schema, DEC), "--dec-column"),
    ]
    factors = {name: degrees_in(_unit(schema, name), name) for name in columns}
    radius = wanted.radius_column or _usual(schema, RADIUS)
    if wanted.radius_column or radius in schema.names:
        _numbers(schema, radius, "--radius-column")
        columns.append(radius)
        factors[radius] = arcseconds_in(_unit(schema, radius), radius)
    if len(factors) < len(columns):
        msg = f"the columns of positions and radii are different ones; these are {', '.join(columns)}"
        raise UnfitCatalogueError(msg)
    return CutOuts(survey, wanted.hips or DEFAULT_HIPS, factors)


def _usual(schema: pa.Schema, name: str) -> str:
    """Return the column of a name, or if there is none the only one that differs in capitals; else the name."""
    alike = [each for each in schema.names if each.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else name


def _unit(schema: pa.Schema, name: str) -> str | None:
    unit = (schema.field(name).metadata or {}).get(b"unit")
    return None if unit is None else unit.decode()


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
