"""Files that are there as a whole or not at all, and outlive a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from galaxytree.survey_errors import StorageError

UNFINISHED = ".writing"
"""What the name of a file ends with until it is whole."""


def replace(path: Path, data: Any) -> None:  # noqa: ANN401 (bytes, or a buffer of pyarrow's)
    """Write a file so that it is there as a whole or as it was before, whatever happens.

    When this returns, it outlives a power cut.

    Raises
    ------
    StorageError
        If it can't be written.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    with storing(path):
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            # On a full disk the rest of a file that isn't one would stand in the way of what can be done.
            with suppress(OSError):
                unfinished.unlink()
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can do that."""
    # Windows opens no folders.
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into a StorageError that tells how to go on."""
    try:
        yield
    except OSError as error:
        msg = (
            f"{error.filename or path}: {error.strerror or error}. Set this right, for instance by making room, and "
            "give the same command again: nothing that was scored before is lost"
        )
        raise StorageError(msg) from error
