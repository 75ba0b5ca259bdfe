"""What an image holds beyond its base."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.container.problems import ContainerError

LARGEST_BYTES = {"cpu": 600_000_000}
"""How large the variants may be over their base; that of CUDA is as large as its wheels."""

ENVIRONMENT = Path("opt/galaxytree")
# What `useradd` writes, and what buildah lays in every container.
_BESIDE = frozenset(
    {
        Path("etc", name + old)
        for name in ("group", "gshadow", "passwd", "shadow", "subgid", "subuid")
        for old in ("", "-")
    }
    | {Path("etc/hosts"), Path("etc/resolv.conf"), Path("run/.containerenv")}
)
_COMPILERS = frozenset(
    {"as", "c++", "cc", "clang", "cmake", "cpp", "g++", "gcc", "gfortran", "ld", "make", "ninja", "nvcc"}
)
_BUILDERS = frozenset({"hatchling", "pip", "setuptools", "wheel"})
_LEAVINGS = frozenset({"__pycache__", ".cache", "pip.conf"})


@dataclass(frozen=True)
class Contents:
    """The files of an image that its base doesn't have.

    Attributes
    ----------
    added
        Their paths, from the root of the image; folders are not among them.
    size_bytes
        How large they are together.
    base_bytes
        How large the files of the base are.
    faults
        What should not be there: compilers, caches, what it was built with or from, files that run as somebody else, or
        files outside the environment.
    """

    added: list[Path]
    size_bytes: int
    base_bytes: int
    faults: list[str]


def contents(root: Path, base: Path) -> Contents:
    """Compare the files of an image with those of its base."""
    before, after = dict(_files(base)), dict(_files(root))
    added = {path: status for path, status in after.items() if not _is_same(before.get(path), status)}
    faults = [fault for path, status in sorted(added.items()) for fault in _faults(path, status)]
    return Contents(sorted(added), _bytes(added.values()), _bytes(before.values()), faults)


def small_enough(found: Contents, most_bytes: int | None) -> str:
    """Say how large an image is.

    Raises
    ------
    ContainerError
        If it is larger than it may be.
    """
    said = f"{found.size_bytes / 1e6:.0f} MB in {len(found.added)} files over a base of {found.base_bytes / 1e6:.0f} MB"
    if most_bytes is not None and found.size_bytes > most_bytes:
        msg = f"{said}; {most_bytes / 1e6:.0f} MB are allowed"
        raise ContainerError(msg)
    return said


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            yield path.relative_to(root), path.lstat()


def _is_same(before: os.stat_result | None, after: os.stat_result) -> bool:
    return before is not None and (before.st_mode, before.st_size, int(before.st_mtime)) == (
        after.st_mode,
        after.st_size,
        int(after.st_mtime),
    )


def _bytes(files: Iterable[os.stat_result]) -> int:
    """Return the bytes of some files; one with several names counts once."""
    return sum({(each.st_dev, each.st_ino): each.st_size for each in files}.values())


def _faults(path: Path, status: os.stat_result) -> Iterator[str]:
    if ENVIRONMENT not in path.parents and path not in _BESIDE:
        yield f"/{path} is outside of /{ENVIRONMENT}"
    if path.name in _COMPILERS and status.st_mode & stat.S_IXUSR:
        yield f"/{path} is a compiler"
    if _LEAVINGS & set(path.parts) or path.suffix in {".pyc", ".whl"}:
        yield f"/{path} is left over from the build"
    if "site-packages" in path.parts and path.parts[path.parts.index("site-packages") + 1] in _BUILDERS:
        yield f"/{path} is only needed to build"
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        yield f"/{path} runs as somebody else than who starts it"
    if ENVIRONMENT in path.parents and not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH:
        yield f"/{path} may be written by anyone"
