"""Where the models lie that a service is to have, by name: what the settings ``model`` and ``models`` say."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings

DEFAULT_NAME = "default"
"""Of the model of a service that has one."""

Places = dict[str, Path | None]
"""Name of a model -> its folder; None is the shipped one. The first is the one that is meant where none is named."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def parse_models(said: str) -> Places:
    """Read ``NAME=FOLDER, NAME=FOLDER, …``; a name alone is that of the shipped model.

    Raises
    ------
    ValueError
        If it can't be read so; the message is a sentence.
    """
    places: Places = {}
    for part in filter(None, (each.strip() for each in said.split(","))):
        name, _, folder = (each.strip() for each in part.partition("="))
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is no name of a model: letters, digits, dots, underscores and hyphens, 64 at most"
            raise ValueError(msg)
        if name in places:
            msg = f"there are two models of the name {name!r}"
            raise ValueError(msg)
        places[name] = Path(folder) if folder else None
    if not places:
        msg = "there is no model in it: say NAME=FOLDER, with commas between several"
        raise ValueError(msg)
    return places


def places_of(settings: "Settings") -> Places:
    """Return where the models of a service lie, the default one first."""
    if settings.models is None:
        return {DEFAULT_NAME: settings.model}
    places = parse_models(settings.models)
    if settings.model is None:
        return places
    default = str(settings.model)
    return {default: places[default], **places}


def default_place(settings: "Settings") -> Path | None:
    """Return the folder of the model that is meant where none is named; None is the shipped one."""
    return next(iter(places_of(settings).values()))


def check_models(model: Path | None, models: str | None) -> None:
    """Raise ValueError if the two settings don't fit: ``model`` is to be a name where there are several."""
    if models is None:
        return
    places = parse_models(models)
    if model is not None and str(model) not in places:
        msg = f"model={model} is none of the names in models ({', '.join(places)})"
        raise ValueError(msg)
