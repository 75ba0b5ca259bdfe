"""The files of the page that ``GET /`` shows, read once as the service starts: nothing else can be asked for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "page"

INDEX = "index.html"
ICON = "icon.svg"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}


@dataclass(frozen=True)
class PageFile:
    """One file.

    Attributes
    ----------
    data
        Its bytes.
    media_type
        What they are.
    etag
        Names these bytes, in quotes, as the header ``ETag`` has it.
    """

    data: bytes
    media_type: str
    etag: str


def read_page(folder: Path = FOLDER) -> Mapping[str, PageFile]:
    """Read the files that a browser may ask for: those of known kinds, and none that a link leads to.

    Parameters
    ----------
    folder
        Where they are.

    Returns
    -------
    Mapping
        By their names below the folder, with ``/`` between the parts.

    Raises
    ------
    OSError
        If there is no page, or a file can't be read.
    """
    found = {INDEX: _read(folder / INDEX)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        linked = any((folder / each).is_symlink() for each in (name, *name.parents[:-1]))
        if path.suffix in _TYPES and path.is_file() and not linked:
            found[name.as_posix()] = _read(path)
    return found


def _read(path: Path) -> PageFile:
    data = path.read_bytes()
    return PageFile(data, _TYPES[path.suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
