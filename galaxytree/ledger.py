"""The ledger of a survey: what is scored already, on disk, so that the same command goes on after whatever happened.

It is a folder beside the table that is to be: ``manifest.json`` says of which survey it is, and each chunk of rows that
is done is a file ``part-<first row>.parquet``. All are written under other names, brought to the disk and renamed.
Every page of a part has a checksum, and what doesn't read as it was written is scored again.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from galaxytree.durable import UNFINISHED, replace, storing, sync_folder
from galaxytree.score_table import ERROR_CODE, OK, STATUS
from galaxytree.survey_errors import LedgerLockedError, LedgerUnreadableError, StorageError
from galaxytree.survey_manifest import Manifest

_MANIFEST = "manifest.json"
_OUTPUT = "output.json"
_LOCK = "lock"

_NOTED = {"bytes", "mtime_ns", "failed"}

_FIRST = b"galaxytree.first"
_NETWORK = b"galaxytree.network"


@dataclass
class Ledger:
    """An open ledger, which nobody else has open; see `opened`.

    Attributes
    ----------
    folder
    manifest
        None as long as the survey is not begun.
    failed
        First row of each part that there is -> how many of its rows failed, by code.
    """

    folder: Path
    manifest: Manifest | None
    failed: dict[int, Mapping[str, int]]

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest; StorageError if that can't be done.

        Parts that are there without one are nobody's: they could be of another catalogue.
        """
        with storing(self.folder):
            for stray in [*self.folder.glob("part-*"), self.folder / _OUTPUT]:
                stray.unlink(missing_ok=True)
            sync_folder(self.folder)
        replace(self.folder / _MANIFEST, manifest.model_dump_json(indent=1).encode())
        self.manifest = manifest

    @property
    def begun(self) -> Manifest:
        """The manifest of a survey that is begun."""
        if self.manifest is None:
            raise ValueError(self.folder)
        return self.manifest

    @property
    def is_complete(self) -> bool:
        """Whether every row is scored, or failed."""
        return len(self.failed) == len(self.begun.firsts)

    def codes(self) -> Counter[str]:
        """Count the rows that failed, by code."""
        return sum((Counter(one) for one in self.failed.values()), Counter())

    def write(self, first: int, table: pa.Table, network: str) -> None:
        """Keep the rows of a chunk: when this returns they outlive a power cut. StorageError if they can't be kept.

        Parameters
        ----------
        first
            Which row of the survey the table begins with, from 0.
        table
            Of the manifest's schema.
        network
            SHA-256 of the network that scored it.
        """
        told = {_FIRST: str(first).encode(), _NETWORK: network.encode()}
        buffer = pa.BufferOutputStream()
        # Scores hardly compress, and statistics of so few rows serve nobody.
        pq.write_table(
            pa.Table.from_arrays(table.columns, schema=self.begun.part_schema.with_metadata(told)), buffer,
            use_dictionary=False, compression="none", write_statistics=False, write_page_checksum=True,
        )  # fmt: skip
        replace(self.folder / _name(first), buffer.getvalue())
        self.failed[first] = _failures(table)

    def read(self, first: int) -> pa.Table:
        """Return the rows of a part, as they were written; StorageError if that can't be done."""
        path = self.folder / _name(first)
        try:
            return self._read(path)
        except (OSError, ValueError) as error:
            msg = f"{path} can't be read any more ({error}). Give the same command again: its rows are scored anew"
            raise StorageError(msg) from error

    def take_stock(self) -> list[str]:
        """Read every part, and remove what is none; return the names of the parts that were damaged.

        Raises
        ------
        StorageError
            If the folder can't be read; then nothing of it is lost.
        """
        damaged = []
        with storing(self.folder):
            for unfinished in self.folder.glob(f"*{UNFINISHED}"):
                unfinished.unlink()
            for path in sorted(self.folder.glob("part-[0-9]*.parquet")):
                try:
                    table = self._read(path)
                except ValueError:
                    damaged.append(path.name)
                    path.unlink()
                else:
                    self.failed[_first(path)] = _failures(table)
        return damaged

    def _read(self, path: Path) -> pa.Table:
        """Read a part; ValueError if the file is none, OSError if it can't be read now."""
        data = path.read_bytes()
        try:
            with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
                table = file.read(use_threads=False)
        except (OSError, pa.ArrowException) as error:
            msg = f"it is damaged: {error}"
            raise ValueError(msg) from error
        manifest, told = self.begun, table.schema.metadata or {}
        first = _first(path)
        belongs = (
            told.get(_FIRST) == str(first).encode()
            and told.get(_NETWORK) == manifest.model.network.encode()
            and first in manifest.firsts
            and table.num_rows == manifest.rows_of(first)
            and table.schema.equals(manifest.part_schema)
        )
        if not belongs:
            msg = "it is no part of this survey"
            raise ValueError(msg)
        return pa.Table.from_arrays(table.columns, schema=manifest.schema)

    def announce_output(self) -> None:
        """Note that the table is about to be written."""
        replace(self.folder / _OUTPUT, b"{}")

    def outdate_output(self) -> None:
        """Note that the table, if it was written, won't be what the ledger holds any more."""
        if self._noted() is not None:
            self.announce_output()

    def note_output(self, output: Path) -> None:
        """Note that the table is written."""
        with storing(output):
            note = {**_looks(output), "failed": self.codes().total()}
            replace(self.folder / _OUTPUT, json.dumps(note).encode())

    def owns(self, output: Path) -> bool:
        """Whether the file at the table's place was written from this ledger, as far as can be told."""
        return self._noted() == {} or self.has_written(output)

    def has_written(self, output: Path) -> bool:
        """Whether the table is written, and nobody has changed it since."""
        noted = self._noted() or {}
        return bool(noted) and output.exists() and {**noted, **_looks(output)} == noted

    def is_over(self, output: Path) -> bool:
        """Whether the table is written, and no row of it failed: then the ledger is of no more use."""
        return self.has_written(output) and (self._noted() or {})["failed"] == 0

    def _noted(self) -> dict[str, int] | None:
        if self.manifest is None:
            return None
        with storing(self.folder):
            try:
                noted = json.loads((self.folder / _OUTPUT).read_bytes())
            except (FileNotFoundError, ValueError):
                return None
        # What is no note of ours says nothing.
        return noted if isinstance(noted, dict) and (not noted or set(noted) == _NOTED) else None

    def remove(self) -> None:
        """Remove the ledger: nothing of it is needed any more."""
        with storing(self.folder):
            # The manifest last: parts without it would be nobody's. That the survey is over is known to the end.
            for path in [*self.folder.glob("part-*"), self.folder / _OUTPUT, self.folder / _MANIFEST]:
                path.unlink(missing_ok=True)
        self.manifest = None


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    """Open a ledger, or begin one, and let nobody else have it meanwhile.

    What was not begun, or was removed, leaves no folder behind.

    Raises
    ------
    LedgerLockedError
        If another process has it.
    LedgerUnreadableError
        If its manifest is none of this format.
    StorageError
        If the folder can't be made or read.
    """
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        lock = filelock.FileLock(folder / _LOCK, blocking=False)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            msg = f"another galaxytree works on this survey: it holds {folder / _LOCK}"
            raise LedgerLockedError(msg) from error
    ledger = None
    try:
        ledger = Ledger(folder, _manifest(folder), {})
        yield ledger
    finally:
        if ledger is not None and ledger.manifest is None:
            with suppress(OSError):
                (folder / _LOCK).unlink()
                folder.rmdir()
        lock.release()


def _manifest(folder: Path) -> Manifest | None:
    path = folder / _MANIFEST
    with storing(folder):
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            what = error.errors()[0]
            msg = (
                f"{path} is no manifest that this galaxytree knows ({'.'.join(map(str, what['loc']))}: {what['msg']}). "
                f"Go on with the release that wrote it, or remove {folder} to begin anew"
            )
            raise LedgerUnreadableError(msg) from error


def _failures(table: pa.Table) -> Mapping[str, int]:
    failed = pc.not_equal(table[STATUS], OK)
    if not pc.any(failed).as_py():
        return {}
    return Counter(map(str, table[ERROR_CODE].filter(failed).to_pylist()))


def _looks(path: Path) -> dict[str, int]:
    """Return what tells whether a file is the one it was."""
    found = path.stat()
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def _name(first: int) -> str:
    return f"part-{first:09d}.parquet"


def _first(path: Path) -> int:
    return int(path.stem.removeprefix("part-"))
