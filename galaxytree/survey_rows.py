"""The rows of a catalogue that a survey is of, a few at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from galaxytree.catalogue import Catalogue, FilterError

READ_ROWS = 4096
"""About how many rows are read together: enough for a format to be quick, few enough to be small."""


class SurveyRows:
    """The rows that are asked for, in the catalogue's order.

    Parameters
    ----------
    catalogue : Catalogue
    where : str or None
        Which rows count, as SQL over the columns; all if not given.
    limit : int or None
        How many of these at most, from the first.
    """

    def __init__(self, catalogue: Catalogue, where: str | None = None, limit: int | None = None) -> None:
        self.catalogue = catalogue
        self._where = where
        self._limit = limit
        self._seen: list[bytes] = []

    @cached_property
    def count(self) -> int:
        """How many they are; with a condition, the catalogue is read for it once."""
        selected = self.catalogue.rows
        if self._where is not None:
            selected = 0
            for table in self._selected(READ_ROWS):
                selected += table.num_rows
                if self._limit is not None and selected >= self._limit:
                    break
        return selected if self._limit is None else min(selected, self._limit)

    @property
    def selection(self) -> str | None:
        """What tells which rows a condition selects, in hexadecimal; None without one.

        A condition may have another answer tomorrow (``day > current_date - 7``), and then the rows are others.
        """
        if self._where is None:
            return None
        _ = self.count
        return hashlib.sha256(b"".join(self._seen)).hexdigest()

    def chunks(
        self, size: int, columns: Sequence[str] | None = None, *, start: int = 0
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield tables of exactly `size` rows, the last of what is left, each with its first row's number from 0.

        Parameters
        ----------
        size
        columns
            Only these; all if not given.
        start
            From which row on: one at which a chunk begins.

        Raises
        ------
        FilterError
            If the condition doesn't select the rows that it did before: scores would come to stand at other galaxies.
        """
        if self._where is None:
            # A multiple of the chunk, so that nothing has to be cut and put together.
            together = size * max(1, READ_ROWS // size)
            tables, first = self.catalogue.batches(together, start=start), start
        else:
            tables, first = self._selected(READ_ROWS), 0
        if columns is not None:
            tables = (table.select(list(columns)) for table in tables)
        for table in of_equal_size(tables, size):
            left = self.count - first
            if left <= 0:
                return
            if first >= start:
                yield first, table.slice(0, left)
            first += table.num_rows

    def _selected(self, size: int) -> Iterator[pa.Table]:
        from galaxytree.catalogue import where  # noqa: PLC0415 (loads DuckDB, which few surveys need)

        for place, table in enumerate(self.catalogue.batches(size)):
            rows = where(table, str(self._where))
            seen = hashlib.sha256(np.packbits(np.asarray(rows)).tobytes()).digest()
            if place == len(self._seen):
                self._seen.append(seen)
            elif self._seen[place] != seen:
                msg = f"{self._where!r} doesn't select the same rows each time: leave out chance, and the time of day"
                raise FilterError(msg)
            yield table.filter(rows)


def of_equal_size(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Cut tables and put them together so that each has `size` rows, and the last what is left."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        at = 0
        while count + table.num_rows - at >= size:
            part = table.slice(at, size - count)
            yield pa.concat_tables([*held, part]) if held else part
            at += part.num_rows
            held, count = [], 0
        if at < table.num_rows:
            held.append(table.slice(at))
            count += table.num_rows - at
    if held:
        yield pa.concat_tables(held)
