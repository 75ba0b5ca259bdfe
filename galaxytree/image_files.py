"""Files of images on this machine, read to be sent or scored: within bytes, and what can't be read is told."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 64 << 20
"""Larger files are no images that any service takes; they are not read."""


@dataclass(frozen=True)
class Unread:
    """Why a file is no image that could be sent.

    Attributes
    ----------
    code, detail
        As problems have them.
    """

    code: str
    detail: str

    @property
    def row(self) -> dict[str, Any]:
        """The result of an image that is not there, as ``POST /classify/batch`` has results."""
        return {"status": "error", "error": asdict(self)}


def read_image(path: Path) -> bytes | Unread:
    """Return the bytes of a file, or why there are none."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # A pipe or a device could keep us waiting for ever; what a folder is, opening it says.
            return Unread("unreadable_file", f"{_name_of(path)} is no regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: a name that no file can have.
        return Unread("unreadable_file", f"{_name_of(path)}: {getattr(error, 'strerror', None) or error}")
    if len(data) > MAX_FILE_BYTES:
        return Unread("payload_too_large", f"The file {_name_of(path)} has more than {MAX_FILE_BYTES:,} bytes.")
    return data


def _name_of(path: Path) -> str:
    """Return what a file is called, without its folder: that isn't the same everywhere."""
    return path.name if path.name.isprintable() else ascii(path.name)
