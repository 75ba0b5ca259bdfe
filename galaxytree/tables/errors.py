"""What can go wrong with a table.

::

    GalaxytreeError
    └── CatalogueError
        ├── UnknownFormatError      unknown_format: a file's name doesn't say which format it has
        ├── UnreadableError         unreadable_catalogue: a file isn't there, or isn't what its name says
        ├── UnwritableError         unwritable_table: a table can't be written there, or not in that format
        └── FilterError             bad_filter: a condition on rows that can't be understood
"""

from typing import ClassVar

from galaxytree.client import GalaxytreeError


class CatalogueError(GalaxytreeError):
    """A table can't be read or written; the message says why."""


class UnknownFormatError(CatalogueError):
    """A file's name doesn't say which format it has."""

    code: ClassVar[str] = "unknown_format"  # type: ignore[misc]


class UnreadableError(CatalogueError):
    """A file isn't there, or isn't what its name says."""

    code: ClassVar[str] = "unreadable_catalogue"  # type: ignore[misc]


class UnwritableError(CatalogueError):
    """A table can't be written there, or not in that format."""

    code: ClassVar[str] = "unwritable_table"  # type: ignore[misc]


class FilterError(CatalogueError):
    """A condition on rows can't be understood."""

    code: ClassVar[str] = "bad_filter"  # type: ignore[misc]
