"""Why a survey can't go on.

::

    GalaxytreeError
    └── SurveyError                 the message says what to do; what was scored is kept
        ├── WrongOptionError        wrong_option: what an option says can't be
        ├── UnfitCatalogueError     unfit_catalogue: it lacks what the survey needs, or has columns named like ours
        ├── SurveyDiffersError      survey_differs: the ledger belongs to another catalogue, model or other options
        ├── NetworkChangedError     network_changed: the service began to answer with another network
        ├── LedgerLockedError       ledger_locked: another process works on the same survey
        ├── LedgerUnreadableError   ledger_unreadable: its manifest is none that this galaxytree knows
        ├── OutputExistsError       output_exists: a file that isn't this survey's stands where the table is to be
        ├── EngineMissingError      engine_unavailable: what --engine asks for isn't installed
        └── StorageError            storage_failed: nothing can be written there, as on a full disk
"""

from typing import ClassVar

from galaxytree.client import GalaxytreeError


class SurveyError(GalaxytreeError):
    """A survey can't be begun, or can't go on."""


class WrongOptionError(SurveyError):
    """What an option says can't be."""

    code: ClassVar[str] = "wrong_option"  # type: ignore[misc]


class UnfitCatalogueError(SurveyError):
    """The catalogue lacks what the survey needs of it, or has columns named like those of the scores."""

    code: ClassVar[str] = "unfit_catalogue"  # type: ignore[misc]


class SurveyDiffersError(SurveyError):
    """The ledger was begun with another catalogue, another model or other options."""

    code: ClassVar[str] = "survey_differs"  # type: ignore[misc]


class NetworkChangedError(SurveyError):
    """An answer came from another network than the survey was begun with."""

    code: ClassVar[str] = "network_changed"  # type: ignore[misc]


class LedgerLockedError(SurveyError):
    """Another process works on the same survey."""

    code: ClassVar[str] = "ledger_locked"  # type: ignore[misc]


class LedgerUnreadableError(SurveyError):
    """The ledger's manifest can't be read, or is of another format."""

    code: ClassVar[str] = "ledger_unreadable"  # type: ignore[misc]


class OutputExistsError(SurveyError):
    """A file that isn't this survey's stands where the table is to be."""

    code: ClassVar[str] = "output_exists"  # type: ignore[misc]


class EngineMissingError(SurveyError):
    """What is to score isn't installed."""

    code: ClassVar[str] = "engine_unavailable"  # type: ignore[misc]


class StorageError(SurveyError):
    """The ledger or the table can't be written or read, as on a full disk."""

    code: ClassVar[str] = "storage_failed"  # type: ignore[misc]
