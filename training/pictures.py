"""Where pictures come from: a folder of JPEGs, a zip or a tar file of them, each picture read when it is wanted."""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Picture:
    """One picture: its name without folder and ending, and how to read its bytes."""

    name: str
    read: Callable[[], bytes]


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar file, by its ending."""
    return path.suffix.lower() in {".zip", ".tar"}


def pictures_in(path: Path) -> Iterator[Picture]:
    """List the pictures in a folder (not in its subfolders), a zip file or an uncompressed tar file.

    Raises
    ------
    OSError, zipfile.BadZipFile, tarfile.TarError
        If the file can't be read or is damaged.
    """
    if path.is_dir():
        yield from (Picture(file.stem, file.read_bytes) for file in sorted(path.iterdir()) if is_picture(file.name))
    elif path.suffix.lower() == ".zip":
        yield from _in_zip(path)
    else:
        yield from _in_tar(path)


def _in_zip(path: Path) -> Iterator[Picture]:
    archive = zipfile.ZipFile(path)
    for entry in archive.infolist():
        if is_picture(entry.filename):
            yield Picture(PurePosixPath(entry.filename).stem, _reading(archive, entry))


def _reading(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    return lambda: archive.read(entry)


def _in_tar(path: Path) -> Iterator[Picture]:
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            if entry.isfile() and is_picture(entry.name):
                yield Picture(PurePosixPath(entry.name).stem, _part_of(path, entry.offset_data, entry.size))


def _part_of(path: Path, offset: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return read


def is_picture(name: str) -> bool:
    """Whether a file is a picture that is read, by its ending."""
    path = PurePosixPath(name)
    # macOS puts a shadow of each file, "__MACOSX/._name", into the zips it makes.
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
