"""Positions -> URLs of pictures."""

import math
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from galaxytree.cutouts import (
    SURVEYS,
    USUAL_RADIUS_ARCSEC,
    AngleUnitError,
    CutoutError,
    arcseconds_in,
    cutout_url,
    cutout_urls,
    degrees_in,
)


def test_urls_are_those_of_the_services() -> None:
    # Whole, since they must be the same for ever: a survey that is gone on with compares them.
    at = "ra=184.4521000&dec=-5.4300000"
    cds = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits?hips=CDS%2FP%2F"
    size = "width=424&height=424&fov=0.01931556&projection=TAN&coordsys=icrs&format=jpg"
    assert [cutout_url(survey, 184.4521, -5.43, 8.2) for survey in SURVEYS] == [
        f"https://skyserver.sdss.org/dr18/SkyServerWS/ImgCutout/getjpeg?{at}&scale=0.164000&width=424&height=424",
        f"https://www.legacysurvey.org/viewer/jpeg-cutout?{at}&layer=ls-dr9&pixscale=0.164000&size=424",
        f"{cds}PanSTARRS%2FDR1%2Fcolor-i-r-g&{at}&{size}",
        f"{cds}DSS2%2Fcolor&{at}&{size}",
    ]


def arcsec_a_pixel(url: str) -> float:
    said = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    if "fov" in said:
        return float(said["fov"]) * 3600 / int(said["width"])
    return float(said.get("scale") or said["pixscale"])


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("radius", [1.5, 8.2, 120.0, 3600.0])
def test_a_galaxy_fills_the_same_part_of_every_picture(survey: str, radius: float) -> None:
    assert arcsec_a_pixel(cutout_url(survey, 10.0, 20.0, radius)) == pytest.approx(0.02 * radius, rel=1e-4)


@pytest.mark.parametrize("survey", SURVEYS)
def test_without_a_radius_pictures_are_framed_for_a_usual_one(survey: str) -> None:
    assert cutout_url(survey, 10.0, 20.0) == cutout_url(survey, 10.0, 20.0, USUAL_RADIUS_ARCSEC)


def test_only_the_pictures_of_sdss_come_without_a_warning() -> None:
    assert {name for name, survey in SURVEYS.items() if survey.warning is None} == {"sdss"}
    assert all(urlsplit(survey.documentation).scheme == "https" for survey in SURVEYS.values())


def test_any_hips_may_be_named() -> None:
    assert "?hips=CDS%2FP%2FSDSS9%2Fcolor&" in cutout_url("hips", 1, 2, 3, hips="CDS/P/SDSS9/color")
    assert "&a=b" not in cutout_url("hips", 1, 2, 3, hips="x&a=b#")
    for hips in ("", "a b", "a\nb", "\x00"):
        with pytest.raises(CutoutError, match="HiPS"):
            cutout_url("hips", 1, 2, 3, hips=hips)


@pytest.mark.parametrize(("ra", "dec"), [(0, 0), (360, 0), (0.0, -0.0), (-0.0, 0)])
def test_one_position_has_one_url(ra: float, dec: float) -> None:
    assert cutout_url("sdss", ra, dec, 5) == cutout_url("sdss", 0.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("position", "why"),
    [
        ((-0.1, 0, 5), "right ascension -0.1"),
        ((360.1, 0, 5), "right ascension 360.1"),
        ((math.nan, 0, 5), "right ascension nan"),
        ((0, 90.1, 5), "declination 90.1"),
        ((0, -math.inf, 5), "declination -inf"),
        ((0, 0, 0), "radius 0 "),
        ((0, 0, -9999.0), "radius -9999.0"),
        ((0, 0, math.nan), "radius nan"),
        ((0, 0, math.inf), "radius inf"),
        ((0, 0, 3601), "radius 3601"),
    ],
)
def test_what_is_no_position_or_radius_is_refused(position: tuple[Any, ...], why: str) -> None:
    with pytest.raises(CutoutError, match=why) as caught:
        cutout_url("sdss", *position)
    assert caught.value.code == "no_cutout"


def test_a_survey_that_does_not_reach_so_far_south_says_so() -> None:
    cutout_url("panstarrs", 0, -30, 5)
    with pytest.raises(CutoutError, match="ends at -30 degrees"):
        cutout_url("panstarrs", 0, -30.01, 5)


def test_the_known_surveys_are_named() -> None:
    with pytest.raises(CutoutError, match=r"'hubble'.*sdss, legacy, panstarrs, hips"):
        cutout_url("hubble", 0, 0)


def test_rows_without_a_picture_say_why_and_hold_up_no_others() -> None:
    found = cutout_urls(
        "sdss", [1.0, None, 2.0, 400.0, None], [1.0, 2.0, math.nan, 3.0, None], [5.0, 5.0, 5.0, 5.0, None]
    )
    assert found[0] == cutout_url("sdss", 1.0, 1.0, 5.0)
    assert [str(error) for error in found[1:]] == [
        "the right ascension is missing",
        "the declination is missing",
        "right ascension 400.0 is not from 0 to 360 degrees",
        "the right ascension and the declination and the radius are missing",
    ]
    assert all(isinstance(error, CutoutError) for error in found[1:])
    assert cutout_urls("sdss", [1.0], [1.0]) == [cutout_url("sdss", 1.0, 1.0)]
    with pytest.raises(ValueError, match="shorter"):
        cutout_urls("sdss", [1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("unit", "factor"), [(None, 1), ("", 1), ("deg", 1), ("Degrees", 1), ("°", 1), (" rad ", 180 / math.pi)]
)
def test_positions_may_be_in_degrees_and_radians(unit: str | None, factor: float) -> None:
    assert degrees_in(unit, "ra") == factor


@pytest.mark.parametrize(
    ("unit", "factor"),
    [(None, 1), ("arcsec", 1), ("arcmin", 60), ("mas", 0.001), ("deg", 3600), ("rad", 648000 / math.pi)],
)
def test_radii_may_be_in_any_angle(unit: str | None, factor: float) -> None:
    assert arcseconds_in(unit, "r") == pytest.approx(factor)


@pytest.mark.parametrize("unit", ["hourangle", "h", "hms", "pix", "kpc"])
def test_other_units_are_refused_with_the_column(unit: str) -> None:
    with pytest.raises(AngleUnitError, match=f"'x' is in {unit}") as caught:
        degrees_in(unit, "x")
    assert caught.value.code == "unknown_angle_unit"
    with pytest.raises(AngleUnitError, match=f"'x' is in {unit}"):
        arcseconds_in(unit, "x")
