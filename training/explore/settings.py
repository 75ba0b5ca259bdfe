"""Settings of `explore`."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from galaxytree.options import Options
from training.settings import DATA_FILE


class ExploreSettings(Options):
    """What `explore` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_EXPLORE_"

    data: Annotated[Path, Field(description="Array file made by `prepare`")] = DATA_FILE
    model: Annotated[
        Path | None, Field(description="Folder of model.onnx and card.json; the shipped model if none is named")
    ] = None
    output: Annotated[Path, Field(description="Page to write; one that is there is replaced")] = Path(
        "reports/explore.html"
    )
    galaxies: Annotated[
        int, Field(ge=0, description="How many galaxies of the validation split to score, drawn at random; 0 for all")
    ] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Seed of that draw")] = 1
