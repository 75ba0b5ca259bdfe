"""The files that a comparison writes: a page with the table between its marks, and the plot beside it."""

import os
import tempfile
from pathlib import Path
from typing import Any

from training.compare.results import CompareError
from training.runs import write_safely

_BEGIN, _END = "<!-- compared -->", "<!-- end -->"


def see_writable(path: Path, option: str) -> None:
    """Make the folder of a file, and see that the file can be written: not only when hours have been spent.

    Parameters
    ----------
    path : Path
    option : str
        What to give another path with.

    Raises
    ------
    CompareError
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # As its contents will be: into a new file beside it, which then takes its place.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error.strerror, option) from error
    if path.is_dir():
        raise _unwritable(path, "it is a folder", option)


def write(path: Path, contents: Any, option: str) -> None:  # noqa: ANN401  (callable on a binary file)
    """Write a file, whole or not at all; CompareError if it can't be written."""
    try:
        write_safely(path, contents)
    except OSError as error:
        raise _unwritable(path, error.strerror, option) from error


def _unwritable(path: Path, reason: str | None, option: str) -> CompareError:
    return CompareError(f"{path} can't be written ({reason}); give another {option}")


def place_of(path: Path) -> tuple[str, str]:
    """Return what stands before and after the table in a file, or what will in a new one.

    Raises
    ------
    CompareError
        If the file is there and can't be read, or has no marks.
    """
    if not path.exists():
        return "# Comparison\n\n", "\n"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read as a page ({error}); give another --table"
        raise CompareError(msg) from error
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        msg = (
            f"{path} has no place for the table; put {_BEGIN} and {_END} where it is to stand, or give another --table"
        )
        raise CompareError(msg)
    return before, after


def write_table(text: str, path: Path, plot: Path) -> None:
    """Put the table, with the plot below it, between its marks or into a new file.

    Raises
    ------
    CompareError
        If there are no marks, or the file can't be written.
    """
    before, after = place_of(path)
    picture = Path(os.path.relpath(plot, path.parent)).as_posix()
    shown = f"![RMSE and accuracy of each system]({picture})"
    page = f"{before}{_BEGIN}\n{text}\n{shown}\n{_END}{after}"
    write(path, lambda file: file.write(page.encode()), "--table")
