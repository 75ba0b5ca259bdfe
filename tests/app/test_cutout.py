"""``GET /cutout``: a position in, the URL of its picture out."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.fetching.settings import DEFAULT_HOSTS
from galaxytree.cutouts import SURVEYS, cutout_url

HERE = {"ra": 202.4696, "dec": 47.1952}


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_picture_of_a_position(http: httpx.Client, survey: str) -> None:
    answer = http.get("/cutout", params={**HERE, "survey": survey, "radius": 20})
    assert answer.json() == {
        "url": cutout_url(survey, 202.4696, 47.1952, 20),
        "survey": survey,
        "radius": 20.0,
        "warning": SURVEYS[survey].warning,
    }
    # The service fetches from there as it is set by itself.
    assert urlsplit(answer.json()["url"]).hostname in DEFAULT_HOSTS.split()


def test_without_more_it_is_sdss_and_a_usual_radius(http: httpx.Client) -> None:
    found = http.get("/cutout", params=HERE).json()
    assert (found["survey"], found["radius"], found["warning"]) == ("sdss", 10.0, None)
    assert found["url"] == cutout_url("sdss", 202.4696, 47.1952)


def test_any_hips(http: httpx.Client) -> None:
    asked = {**HERE, "survey": "hips", "hips": "CDS/P/SDSS9/color"}
    assert parse_qs(http.get("/cutout", params=asked).json()["url"])["ra"] == ["202.4696000"]
    assert "hips=CDS%2FP%2FSDSS9%2Fcolor&" in http.get("/cutout", params=asked).json()["url"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ra": 361}, "query.ra: "),
        ({"ra": "12h"}, "query.ra: "),
        ({"ra": "nan"}, "query.ra: "),
        ({"dec": -91}, "query.dec: "),
        ({"dec": None}, "query.dec: "),
        ({"radius": 0}, "query.radius: "),
        ({"radius": "inf"}, "query.radius: "),
        ({"survey": "hubble"}, "No cut-out service is called 'hubble'; there are sdss, legacy, panstarrs, hips."),
        ({"survey": "panstarrs", "dec": -45}, "Declination -45.0 is south of Pan-STARRS DR1"),
        ({"survey": "hips", "hips": "a b"}, "query.hips: "),
    ],
)
def test_there_is_no_such_position_or_survey(http: httpx.Client, wrong: dict[str, object], says: str) -> None:
    asked = {name: value for name, value in {**HERE, **wrong}.items() if value is not None}
    answer = http.get("/cutout", params=asked)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.json()["detail"]
