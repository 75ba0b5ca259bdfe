"""What lies in the folders and archives that `prepare` is given: tables of each kind, and pictures."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from galaxytree.decision_tree import DecisionTree
from training.pictures import is_archive, is_picture, pictures_in
from training.report import UNREADABLE, Report, ValidationSplitError
from training.votes import Kind, WrongHeaderError, kind_of, tables_in

# What lies beside data without being any, among it this program's own files: not worth a line in the report.
_BESIDE = {".txt", ".md", ".pdf", ".enc", ".h5", ".json"}
_PACKED_TAR = (".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass
class Sources:
    """What was found.

    Attributes
    ----------
    tables
        Kind -> files.
    pictures
        Folders and archives.
    """

    tables: dict[Kind, list[Path]] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)

    def mapping_of(self, release: Path) -> Path:
        """Return the mapping that goes with a release: the one in its folder, or the only one.

        Raises
        ------
        WrongHeaderError
            If there is none, or one can't tell which.
        """
        mappings = self.tables.get("mapping", [])
        near = [path for path in mappings if path.parent == release.parent] or mappings
        if len(near) != 1:
            msg = f"{release.name}: needs one gz2_filename_mapping.csv beside it; {len(near)} were given"
            raise WrongHeaderError(msg)
        return near[0]


def find(sources: Iterable[Path], tree: DecisionTree, report: Report) -> Sources:
    """Tell tables from pictures, and look one level into folders.

    Raises
    ------
    ValidationSplitError
        If a file is called a validation split and is none.
    """
    found = Sources()
    for source in sources:
        with report.listing(source):
            if source.is_dir():
                _sort_folder(source, tree, found, report)
            elif _is_packed(source):
                _pass_over(source, report)
            else:
                _sort_file(source, tree, found, report)
    return found


def _sort_folder(folder: Path, tree: DecisionTree, found: Sources, report: Report) -> None:
    inside = sorted(folder.iterdir())
    if any(is_picture(path.name) for path in inside):
        found.pictures.append(folder)
    for path in inside:
        # A folder that may not be looked into, as "lost+found", is listed; its neighbours are used.
        with report.listing(path):
            if path.is_dir():
                if any(pictures_in(path)):
                    found.pictures.append(path)
            elif not path.is_file() or _is_beside(path):
                continue
            elif is_archive(path) or (path.suffix.lower() in {".csv", ".gz"} and not _is_packed(path)):
                _sort_file(path, tree, found, report)
            else:
                _pass_over(path, report)


def _is_beside(path: Path) -> bool:
    """Whether a file is passed over in silence: a picture, for which its folder stands, or what is no data."""
    name, ending = path.name.lower(), path.suffix.lower()
    if ending == ".txt" and _is_called_split(path):
        return False
    return is_picture(name) or name.startswith(".") or name.partition(".")[0] == "readme" or ending in _BESIDE


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(_PACKED_TAR)


def _pass_over(path: Path, report: Report) -> None:
    if _is_called_split(path):
        raise _no_split(path, "files with its ending are not read")
    report.problem("file that is not read", path.name)


def _sort_file(path: Path, tree: DecisionTree, found: Sources, report: Report) -> None:
    archive = is_archive(path)
    try:
        tables = _tables_in(path) if archive else [path.name]
        if archive and (not tables or any(pictures_in(path))):
            found.pictures.append(path)
        if not tables:
            return
        if any("benchmark" in each.lower() for each in (path.name, *tables)):
            # Their header is that of the votes, and what they say of the test set's galaxies is made up.
            report.problem("sample submission, not votes", path.name)
            return
        kind = kind_of(path, tree)
    except UNREADABLE as error:
        if _is_called_split(path):
            raise _no_split(path, str(error)) from error
        raise
    if _is_called_split(path) and kind != "ids":
        raise _no_split(path, "its header is not the one column GalaxyID")
    if kind == "unknown":
        report.problem("table that is not known by its header", path.name)
    found.tables.setdefault(kind, []).append(path)


def _is_called_split(path: Path) -> bool:
    return "validation" in path.name.lower()


def _no_split(path: Path, why: str) -> ValidationSplitError:
    msg = (
        f"{path} is called a validation split and can't be used as one: {why}. Mend it, or rename it if it is none; "
        "otherwise galaxies that are to be measured on would be trained on"
    )
    return ValidationSplitError(msg)


def _tables_in(path: Path) -> list[str]:
    if path.suffix.lower() != ".zip":
        return []
    with zipfile.ZipFile(path) as archive:
        return tables_in(archive)
