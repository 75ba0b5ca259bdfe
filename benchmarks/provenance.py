"""What was measured: the commit, and the model."""

import subprocess

from pydantic import BaseModel

from benchmarks.scoring import MODEL_FOLDER, ROOT
from benchmarks.systems import MODEL_FILES, Precision
from galaxytree.card import ModelCard, sha256_of


class Measured(BaseModel):
    """The model.

    Attributes
    ----------
    sha256
        Of the file of each network that there is.
    rmse_rise
        What the card says that int8 costs: RMSE on the validation split over that of fp32; None if it does not say.
    """

    name: str
    version: str
    sha256: dict[Precision, str]
    rmse_rise: float | None


def model() -> Measured:
    """Look at the model that is shipped."""
    card = ModelCard.read(MODEL_FOLDER)
    return Measured(
        name=card.name,
        version=card.version,
        sha256={precision: sha256_of(file) for precision, file in MODEL_FILES.items() if file.is_file()},
        rmse_rise=card.int8.rmse_rise if card.int8 else None,
    )


def commit() -> str:
    """Return git's name for the commit that is checked out, with ``-dirty`` if files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
