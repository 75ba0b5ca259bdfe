"""Which models a service has: those that lie in its folders, and those that are in service."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from app.errors import UnknownModelError
from app.live import Live
from app.model_folder import ModelFolder
from app.model_places import Places, places_of
from app.settings import Settings

_SHOWN = 64


def read_folder(path: Path | None) -> ModelFolder:
    """Read a folder's card and verify what it speaks of.

    Links are followed once, now: who starts a worker anew later is to find the same model there, though the link may
    lead to the next one by then.

    Raises
    ------
    ModelRefusedError
        See `ModelFolder.open` and `ModelFolder.verify`.
    """
    folder = ModelFolder.open(None if path is None else path.resolve())
    folder.verify()
    return folder


@dataclass
class Roster:
    """The models of a service by their names, one of them the default.

    Attributes
    ----------
    places
        Where they lie, the default one first.
    folders
        What was found there: of those in service or, before there are any, to be.
    """

    places: Places
    folders: dict[str, ModelFolder]
    _live: dict[str, Live] = field(default_factory=dict)
    # Also by the names in their cards; None is the default.
    _known: dict[str | None, Live] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Read and verify all that is set; ModelRefusedError if one is no good."""
        places = places_of(settings)
        return cls(places, {name: read_folder(path) for name, path in places.items()})

    @property
    def default(self) -> str:
        """Name of the model that is meant where none is named."""
        return next(iter(self.places))

    @property
    def names(self) -> list[str]:
        """By which models are known now: those that are set, and those in their cards."""
        return [name for name in self._folders_known() if name is not None]

    @property
    def live(self) -> tuple[Live, ...]:
        """Those in service, the default one first; none before the start."""
        return tuple(self._live.values())

    def find(self, name: str | None = None) -> Live | None:
        """Return the model in service of a name; None if there is none of it now."""
        return self._known.get(name)

    def folder(self, name: str | None = None) -> ModelFolder:
        """Return the folder of the model of a name; UnknownModelError if there is none."""
        found = self._folders_known().get(name)
        if found is None:
            raise self.unknown(name)
        return found

    def unknown(self, name: str | None) -> UnknownModelError:
        """Return the error that says which names there are."""
        names = ", ".join(self.places)
        return UnknownModelError(f"There is no model {str(name)[:_SHOWN]!r} here; there is: {names}.")

    def enter(self, lives: Iterable[Live]) -> list[Live]:
        """Have models in service from now on, and return those whose places they take."""
        live = dict(self._live)
        gone = [live[each.name] for each in lives if each.name in live]
        live |= {each.name: each for each in lives}
        ordered = {name: live[name] for name in self.places if name in live}
        self.folders = {name: each.folder for name, each in ordered.items()}
        known: dict[str | None, Live] = {None: ordered[self.default]}
        known |= {name: each for name, each in ordered.items()}  # noqa: C416 (of a wider type)
        for each in ordered.values():
            known.setdefault(each.folder.card.name, each)
        self._live, self._known = ordered, known
        return gone

    def _folders_known(self) -> dict[str | None, ModelFolder]:
        known: dict[str | None, ModelFolder] = {None: self.folders[self.default]}
        known |= {name: each for name, each in self.folders.items()}  # noqa: C416 (of a wider type)
        for each in self.folders.values():
            known.setdefault(each.card.name, each)
        return known
