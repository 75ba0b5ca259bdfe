"""``GET /cutout``: where a survey has the picture of a position."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.errors import InvalidRequestError
from app.problems import documented
from galaxytree.cutouts import (
    DEFAULT_HIPS,
    LARGEST_RADIUS_ARCSEC,
    SURVEYS,
    USUAL_RADIUS_ARCSEC,
    CutoutError,
    cutout_url,
)
from galaxytree.schemas import Cutout

router = APIRouter(tags=["classify"])

_TITLES = "; ".join(f"`{each.name}`: {each.title}" for each in SURVEYS.values())


class CutoutParameters(BaseModel):
    """What the query of a cut-out says."""

    model_config = ConfigDict(frozen=True)

    ra: Annotated[float, Field(description="Right ascension (ICRS), degrees", ge=0, le=360, examples=[202.4696])]
    dec: Annotated[float, Field(description="Declination (ICRS), degrees", ge=-90, le=90, examples=[47.1952])]
    survey: Annotated[
        str, Field(description=f"Whose picture. {_TITLES}", json_schema_extra={"enum": [*SURVEYS]}, max_length=32)
    ] = "sdss"
    radius: Annotated[
        float,
        Field(
            description="The galaxy's petroR90_r, arcsec: the picture is 8.48 times as wide, as the network knows them",
            gt=0,
            le=LARGEST_RADIUS_ARCSEC,
        ),
    ] = USUAL_RADIUS_ARCSEC
    hips: Annotated[
        str,
        Field(
            description="Which HiPS, for the survey `hips`", pattern="^[!-~]+$", max_length=256, examples=[DEFAULT_HIPS]
        ),
    ] = DEFAULT_HIPS


@router.get("/cutout", responses=documented(InvalidRequestError))
async def cutout(asked: Annotated[CutoutParameters, Query()]) -> Cutout:
    """Return the URL of a galaxy's picture, for `POST /classify/batch`. Nothing is asked of anyone for it."""
    try:
        url = cutout_url(asked.survey, asked.ra, asked.dec, asked.radius, hips=asked.hips)
    except CutoutError as error:
        said = str(error)
        msg = f"{said[:1].upper()}{said[1:]}."
        raise InvalidRequestError(msg) from error
    return Cutout(url=url, survey=asked.survey, radius=asked.radius, warning=SURVEYS[asked.survey].warning)
