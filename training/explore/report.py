"""All parts as one page: what is shown, in which order, and the file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from training.arrays import ArrayFileError, Galaxies, read_galaxies
from training.evaluate import split_sha256
from training.explore.calibration import calibration
from training.explore.content import Part, counted
from training.explore.correlations import correlations
from training.explore.embed import drawn_for_the_page
from training.explore.examples import examples, structured
from training.explore.first_layer import first_layer
from training.explore.mistakes import mistakes
from training.explore.population import population
from training.explore.scoring import Model, find_model
from training.explore.settings import ExploreSettings
from training.explore.uncertainty import uncertainty
from training.metrics import rmse


class OutputError(ValueError):
    """A page that can't be written where it was asked for."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    galaxies, scored : int
        How many galaxies the file holds, and how many of them the model scored.
    notes : tuple of str
        What is not in the page, and why.
    """

    path: Path
    size: int
    galaxies: int
    scored: int
    notes: tuple[str, ...]


def explore(settings: ExploreSettings) -> Written:
    """Write the page.

    Raises
    ------
    ArrayFileError
        If the data are no array file, or hold no galaxy.
    ModelFileError
        If the model that was named can't be used.
    OutputError
        If the page can't be written.
    """
    galaxies = read_galaxies(settings.data)
    if not len(galaxies):
        msg = f"{settings.data} holds no galaxies; prepare it again"
        raise ArrayFileError(msg)
    model, missing = find_model(settings.model, galaxies)
    # Said before minutes of work, not after them.
    partial = _room_for(settings.output)
    chosen = _to_score(galaxies, settings)
    notes = _notes(model, missing, galaxies, chosen)
    with drawn_for_the_page():
        parts = [population(galaxies), examples(galaxies), correlations(galaxies)]
        if model:
            parts.append(first_layer(galaxies, structured(galaxies.tree, galaxies.votes), model.file))
        if model and len(chosen):
            parts += _judged(galaxies, chosen, model)
    page = _rendered(settings, galaxies, parts, notes)
    try:
        size = partial.write_bytes(page.encode("utf-8", "replace"))
        partial.replace(settings.output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritable(settings.output, error) from error
    return Written(settings.output, size, len(galaxies), len(chosen) if model else 0, tuple(notes))


def _judged(galaxies: Galaxies, chosen: "np.typing.NDArray[np.intp]", model: Model) -> list[Part]:
    seen, split = galaxies.where(chosen), galaxies.where(galaxies.validation)
    predictions = model.predict(seen.images)
    card, error = model.card, rmse(predictions.scores, seen.votes)
    caution = (
        ""
        # The card knows the whole split, of which those that were drawn are a part.
        if card.metrics.get("validation_sha256") == split_sha256(split)
        else f" The card does not say that {card.name} was measured on this validation split; it may be trained on it."
    )
    wrong = mistakes(seen, predictions)
    said = f"{card.name} {card.version} scores {counted(len(seen), 'galaxy')} with an RMSE of {error:.4f}.{caution}"
    wrong = Part(wrong.name, wrong.title, (said, *wrong.text), wrong.blocks)
    return [wrong, calibration(seen, predictions.scores), uncertainty(seen, predictions)]


def _to_score(galaxies: Galaxies, settings: ExploreSettings) -> "np.typing.NDArray[np.intp]":
    unseen = np.flatnonzero(galaxies.validation)
    if 0 < settings.galaxies < len(unseen):
        return np.sort(np.random.default_rng(settings.seed).choice(unseen, settings.galaxies, replace=False))
    return unseen


def _notes(model: Model | None, missing: str, galaxies: Galaxies, chosen: "np.typing.NDArray[np.intp]") -> list[str]:
    if model is None:
        return [
            (
                f"Without a model: {missing}. What its first layer sees, where it is wrong, and whether its scores "
                "and error bars hold are left out; name a model that goes with the data with --model."
            )
        ]
    if not len(chosen):
        return [
            (
                "The data set no galaxies aside for validation, so that there are none to measure a model on: where "
                "it is wrong, and whether its scores and error bars hold, are left out."
            )
        ]
    if len(chosen) < galaxies.validation.sum():
        return [f"The model scored {len(chosen):,} of {galaxies.validation.sum():,} galaxies set aside for validation."]
    return []


def _rendered(settings: ExploreSettings, galaxies: Galaxies, parts: list[Part], notes: list[str]) -> str:
    environment = Environment(
        loader=PackageLoader("training.explore", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=f"Galaxies of {settings.data.name}",
        tree=galaxies.tree,
        framing=galaxies.framing,
        sha256=galaxies.sha256,
        galaxies=counted(len(galaxies), "galaxy"),
        parts=parts,
        notes=notes,
    )


def _room_for(output: Path) -> Path:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.is_dir():
            raise IsADirectoryError(None, "Is a directory")
    except OSError as error:
        raise _unwritable(output, error) from error
    return output.with_name(output.name + ".partial")


def _unwritable(output: Path, error: OSError) -> OutputError:
    return OutputError(f"{output} can't be written: {error.strerror}; name another place with --output")
