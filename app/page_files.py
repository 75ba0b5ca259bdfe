"""Files that browsers may ask for, read once as the service starts: nothing else can be asked for."""

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
    found = {INDEX: as_file(INDEX, (folder / INDEX).read_bytes())}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        linked = any((folder / each).is_symlink() for each in (name, *name.parents[:-1]))
        if path.suffix in _TYPES and path.is_file() and not linked:
            found[name.as_posix()] = as_file(path.name, path.read_bytes())
    return found


def as_file(name: str, data: bytes) -> PageFile:
    """Return a file of these bytes; the end of its name says of which kind it is."""
    return PageFile(data, _TYPES[Path(name).suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
