"""What `prepare` found, and what it does with a file that can't be read: list it, and go on with the next."""

import csv
import json
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from training.votes import WrongHeaderError

UNREADABLE = (
    OSError,
    EOFError,  # a gzipped file that is cut off
    zlib.error,  # a compressed file that is damaged, as the next
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,  # a zip file with a password, or packed in a way that Python does not know
    MemoryError,  # a file that says it is larger than all memory
    tarfile.TarError,
    csv.Error,
    UnicodeDecodeError,
    WrongHeaderError,
)
"""What reading a stranger's file may raise."""

_SHOWN = 5


class NothingToPrepareError(ValueError):
    """No galaxy has both a picture and votes; the message counts what was found."""


class ValidationSplitError(NothingToPrepareError):
    """A table that was to fix the validation split can't be used; going on would train on what is to be measured on."""


@dataclass
class Report:
    """What `prepare` found.

    Attributes
    ----------
    counts
        What -> how often.
    problems
        (what, where) of all that could not be used, or not wholly.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, what: str, where: str) -> None:
        """List and count one thing that could not be used."""
        self.problems.append((what, where))
        self.counts[what] += 1

    @contextmanager
    def listing(self, path: Path, what: str = "file that cannot be read") -> Iterator[None]:
        """List a file that can't be read instead of failing."""
        try:
            yield
        except UNREADABLE as error:
            self.problem(what, f"{path.name}: {str(error) or type(error).__name__}")

    def summary(self) -> str:
        """Return the counts and the first few problems in a few lines; empty if there are none."""
        counts = [f"{count} x {what}" for what, count in self.counts.most_common()]
        first = [f"{what}: {where}" for what, where in self.problems[:_SHOWN]]
        return "".join(f"\n  {line}" for line in [*counts, *(["the first of them:"] if first else []), *first])

    def write(self, path: Path) -> None:
        """Write the whole report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"counts": self.counts, "problems": self.problems}, indent=1) + "\n", "utf-8")
