"""Whether a catalogue is still the one that a survey was begun with, while the survey runs."""

from pathlib import Path

from galaxytree.catalogue import Catalogue
from galaxytree.survey_errors import UnfitCatalogueError


class Watch:
    """Knows what a catalogue was.

    Parameters
    ----------
    catalogue : Catalogue

    Attributes
    ----------
    sha256
        Of its bytes.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        # In this order, so that no change goes unseen.
        self._looks = _looks(catalogue.path)
        self.sha256 = catalogue.sha256()

    def glance(self) -> None:
        """Raise UnfitCatalogueError if it was changed; as long as its size and time are the same, it wasn't.

        What is read before a glance is of the catalogue as it was. Otherwise rows would be scored as they stand in
        another one, and kept when that is put back.
        """
        looks = _looks(self._catalogue.path)
        if looks != self._looks:
            self.check()
            self._looks = looks

    def check(self) -> None:
        """Raise UnfitCatalogueError if it was changed."""
        if self._catalogue.sha256() != self.sha256:
            msg = (
                f"{self._catalogue.path} was changed while it was scored: nothing is written. Put it back as it was, "
                "and give the same command again"
            )
            raise UnfitCatalogueError(msg)


def _looks(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
