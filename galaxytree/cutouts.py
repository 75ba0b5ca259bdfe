"""Sky position -> the URL of a picture, from a survey's cut-out service.

All pictures are framed as Galaxy Zoo 2 framed the ones that the network learned from: 424 pixels a side, at 0.02 times
the galaxy's radius ``petroR90_r`` a pixel (Willett et al. 2013, MNRAS 435, 2835, section 2), so that a galaxy fills the
same part of the picture whatever its size on the sky.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from galaxytree.client_errors import GalaxytreeError

PIXELS = 424
"""How wide and how high pictures are. SDSS gives up to 2048 pixels, the Legacy Surveys up to 3000."""

SCALE_PER_RADIUS = 0.02
"""Arcseconds a pixel, for each arcsecond of the galaxy's radius."""

USUAL_RADIUS_ARCSEC = 10.0
"""The radius that is taken for all galaxies of a catalogue without one; their pictures are 84.8 arcsec wide."""

LARGEST_RADIUS_ARCSEC = 3600.0
"""Beyond this a radius is no galaxy's: its picture would be 8.5 degrees wide."""

DEFAULT_HIPS = "CDS/P/DSS2/color"

NO_RADIUS_WARNING = (
    f"without a column of radii all pictures are framed for a petroR90 of {USUAL_RADIUS_ARCSEC:g} arcsec; galaxies "
    "that are much smaller or larger look unlike those that the network was trained on"
)
"""What to tell whoever asks for pictures without saying how large the galaxies are."""


class CutoutError(GalaxytreeError):
    """There is no picture of that position; the message says why."""

    code = "no_cutout"


class AngleUnitError(GalaxytreeError):
    """A column is in a unit that no position or radius has."""

    code = "unknown_angle_unit"


@dataclass(frozen=True)
class Survey:
    """A survey's cut-out service.

    Attributes
    ----------
    name
        How it is asked for.
    title
        What it is.
    documentation
        Where the service's parameters are described.
    warning
        Why the network's scores may be worse on its pictures; None for those that it was trained on.
    south_deg
        The declination at which the survey ends in the south.
    url
        (right ascension, declination, arcseconds a pixel, HiPS) -> URL, of numbers that are written out.
    """

    name: str
    title: str
    documentation: str
    warning: str | None
    url: Callable[[str, str, float, str], str]
    south_deg: float = -90.0


def _sdss(ra: str, dec: str, scale: float, _: str) -> str:
    return (
        "https://skyserver.sdss.org/dr18/SkyServerWS/ImgCutout/getjpeg"
        f"?ra={ra}&dec={dec}&scale={scale:.6f}&width={PIXELS}&height={PIXELS}"
    )


def _legacy(ra: str, dec: str, scale: float, _: str) -> str:
    return (
        "https://www.legacysurvey.org/viewer/jpeg-cutout"
        f"?ra={ra}&dec={dec}&layer=ls-dr9&pixscale={scale:.6f}&size={PIXELS}"
    )


def _hips(ra: str, dec: str, scale: float, hips: str) -> str:
    return (
        "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
        f"?hips={quote(hips, safe='')}&ra={ra}&dec={dec}&width={PIXELS}&height={PIXELS}"
        f"&fov={scale * PIXELS / 3600:.8f}&projection=TAN&coordsys=icrs&format=jpg"
    )


def _panstarrs(ra: str, dec: str, scale: float, _: str) -> str:
    # The survey's own service wants the names of its image files, which take a look-up for each position.
    return _hips(ra, dec, scale, "CDS/P/PanSTARRS/DR1/color-i-r-g")


_OTHER_PICTURES = (
    "the network was trained on pictures of SDSS; those of {} have other depth, sharpness and colours, so that its "
    "scores and error bars may not hold"
)

SURVEYS: dict[str, Survey] = {
    each.name: each
    for each in (
        Survey(
            "sdss",
            "Sloan Digital Sky Survey, colour pictures of DR18",
            "https://cas.sdss.org/dr16/en/help/docs/api.aspx",
            None,
            _sdss,
        ),
        Survey(
            "legacy",
            "DESI Legacy Imaging Surveys DR9, colour pictures of the Sky Viewer",
            "https://www.legacysurvey.org/viewer",
            _OTHER_PICTURES.format("the Legacy Surveys"),
            _legacy,
        ),
        Survey(
            "panstarrs",
            "Pan-STARRS DR1, colour pictures by CDS",
            "https://alasky.cds.unistra.fr/hips-image-services/hips2fits",
            _OTHER_PICTURES.format("Pan-STARRS"),
            _panstarrs,
            south_deg=-30.0,
        ),
        Survey(
            "hips",
            "any HiPS that CDS has; DSS2 unless another is named",
            "https://alasky.cds.unistra.fr/hips-image-services/hips2fits",
            _OTHER_PICTURES.format("other surveys"),
            _hips,
        ),
    )
}
"""The cut-out services that are known, by name."""


def cutout_url(
    survey: str, ra: float, dec: float, radius_arcsec: float | None = None, *, hips: str = DEFAULT_HIPS
) -> str:
    """Return the URL of a galaxy's picture. The same position always has the same one.

    Parameters
    ----------
    survey
        One of `SURVEYS`.
    ra, dec
        Position (ICRS), degrees; right ascension from 0 to 360.
    radius_arcsec
        The radius that holds 90 % of the galaxy's light, ``petroR90_r`` of SDSS, arcsec; `USUAL_RADIUS_ARCSEC` for
        None.
    hips
        Which HiPS, for the survey ``hips``: an identifier such as ``CDS/P/SDSS9/color``.

    Raises
    ------
    CutoutError
        If there is no such survey or position, or the survey has no picture of it.
    """
    if survey not in SURVEYS:
        msg = f"no cut-out service is called {survey!r}; there are {', '.join(SURVEYS)}"
        raise CutoutError(msg)
    if not hips or any(letter.isspace() or not letter.isprintable() for letter in hips):
        msg = f"{hips!r} is no identifier of a HiPS"
        raise CutoutError(msg)
    service = SURVEYS[survey]
    if not 0 <= ra <= 360:
        msg = f"right ascension {ra} is not from 0 to 360 degrees"
        raise CutoutError(msg)
    if not -90 <= dec <= 90:
        msg = f"declination {dec} is not from -90 to 90 degrees"
        raise CutoutError(msg)
    if dec < service.south_deg:
        msg = f"declination {dec} is south of {service.title}, which ends at {service.south_deg:g} degrees"
        raise CutoutError(msg)
    radius = USUAL_RADIUS_ARCSEC if radius_arcsec is None else radius_arcsec
    if not 0 < radius <= LARGEST_RADIUS_ARCSEC:
        msg = f"radius {radius} is not from 0 to {LARGEST_RADIUS_ARCSEC:g} arcsec"
        raise CutoutError(msg)
    # Seven digits are less than a thousandth of an arcsecond.
    return service.url(f"{ra % 360 or 0.0:.7f}", f"{dec + 0.0:.7f}", max(SCALE_PER_RADIUS * radius, 1e-6), hips)


def cutout_urls(
    survey: str,
    ra: Sequence[float | None],
    dec: Sequence[float | None],
    radius_arcsec: Sequence[float | None] | None = None,
    *,
    hips: str = DEFAULT_HIPS,
) -> list[str | CutoutError]:
    """Return the URLs of some galaxies' pictures, and for each that has none, why not.

    Parameters
    ----------
    survey, hips
        See `cutout_url`.
    ra, dec
        Positions, degrees; None where one is missing.
    radius_arcsec
        Radii, arcsec; None for a catalogue without any. A single radius that is missing is an error of its row: to
        frame that galaxy alone in another way would go unseen.

    Returns
    -------
    list
        One a row.
    """
    radii = [USUAL_RADIUS_ARCSEC] * len(ra) if radius_arcsec is None else radius_arcsec
    urls: list[str | CutoutError] = []
    for each_ra, each_dec, radius in zip(ra, dec, radii, strict=True):
        missing = [
            name
            for name, value in (("right ascension", each_ra), ("declination", each_dec), ("radius", radius))
            if value is None or math.isnan(value)
        ]
        if missing:
            urls.append(CutoutError(f"the {' and the '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"))
            continue
        try:
            urls.append(cutout_url(survey, each_ra, each_dec, radius, hips=hips))  # type: ignore[arg-type]
        except CutoutError as error:
            urls.append(error.with_traceback(None))
    return urls


DEGREES = {
    **dict.fromkeys(("", "deg", "degs", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 180 / math.pi),
}
ARCSECONDS = {
    **dict.fromkeys(("", "arcsec", "arcsecs", "arcsecond", "arcseconds", "asec", '"', "''"), 1.0),
    **dict.fromkeys(("arcmin", "arcmins", "arcminute", "arcminutes", "'"), 60.0),
    **dict.fromkeys(("mas", "milliarcsec"), 0.001),
    **{unit: 3600.0 * factor for unit, factor in DEGREES.items() if unit},
}


def degrees_in(unit: str | None, column: str) -> float:
    """Return by what the values of a column of positions are multiplied to be degrees.

    Parameters
    ----------
    unit
        As it stands in the catalogue; none at all means degrees.
    column
        The column's name, for the message.

    Raises
    ------
    AngleUnitError
        If it is another one, such as hours.
    """
    return _factor(DEGREES, unit, column, "degrees")


def arcseconds_in(unit: str | None, column: str) -> float:
    """Return by what the values of a column of radii are multiplied to be arcseconds; see `degrees_in`.

    Raises
    ------
    AngleUnitError
        If it is a unit of no angle, such as pixels.
    """
    return _factor(ARCSECONDS, unit, column, "arcsec")


def _factor(known: dict[str, float], unit: str | None, column: str, wanted: str) -> float:
    factor = known.get((unit or "").strip().lower())
    if factor is None:
        msg = f"column {column!r} is in {unit}, which is not understood; {wanted} are"
        raise AngleUnitError(msg)
    return factor
