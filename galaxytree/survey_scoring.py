"""The scoring of a survey's rows: what is still to be asked, and where the answers go."""

import asyncio
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

import pyarrow as pa

from galaxytree.ledger import Ledger
from galaxytree.score_table import ERROR, OK, STATUS, score_rows
from galaxytree.survey_engine import Chunk, Engine, Scored
from galaxytree.survey_plan import Plan
from galaxytree.survey_progress import Progress
from galaxytree.survey_sources import Unusable


async def score(plan: Plan, ledger: Ledger, engine: Engine, progress: Progress) -> None:
    """Score what the ledger lacks, and what failed if that is to be tried again.

    What is answered is in the ledger, on the disk, before more is asked for in its place.

    Raises
    ------
    NetworkChangedError
        If an answer comes from another network.
    GalaxytreeError
        If the engine can't go on, or the ledger can't be written.
    """
    work = _Work(plan, ledger)
    asking = ledger.begun.asking(files=plan.source.files)
    loop = asyncio.get_running_loop()
    ticking = asyncio.create_task(_tick(progress))
    progress.begin(ledger.begun.rows, work.done, sum(ledger.codes().values()))
    try:
        # Leaving waits for the part that is being written, whatever one leaves for.
        with ThreadPoolExecutor(1, "ledger") as disk:
            async with aclosing(engine.score(work.chunks(), asking)) as answers:
                async for scored in answers:
                    plan.check_network(ledger.begun, scored.network)
                    table = work.complete(scored)
                    part = work.due(scored.first)
                    await loop.run_in_executor(disk, ledger.write, scored.first, table, scored.network)
                    work.settled.append(part)
                    _show(work, progress)
        _show(work, progress)
    finally:
        ticking.cancel()
        progress.end()


def _show(work: "_Work", progress: Progress) -> None:
    while work.settled:
        part = work.settled.popleft()
        progress.advance(part.rows, work.failed(part.first) - part.failed)


async def _tick(progress: Progress) -> None:
    while True:
        await asyncio.sleep(progress.seconds)
        progress.tick()


@dataclass(frozen=True)
class _Rest:
    """The rows of a part that are not asked for.

    Attributes
    ----------
    table
        All rows of the part; those that are asked for are of no use.
    places
        Which rows those are.
    """

    table: pa.Table
    places: list[int]


@dataclass(frozen=True)
class _Due:
    """A part that is to be asked for, as it was before.

    Attributes
    ----------
    first
        Its first row.
    rows
        How many of its rows are to be asked for.
    failed
        How many of its rows had failed.
    """

    first: int
    rows: int
    failed: int


class _Work:
    """What is to be asked of the engine, and the parts that its answers complete.

    Attributes
    ----------
    done
        How many rows were done before.
    settled
        Parts that are done and not yet shown, as they were before. The thread that reads the catalogue puts some here,
        hence a deque.
    """

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan = plan
        self._ledger = ledger
        manifest = ledger.begun
        self._due = {
            first
            for first in manifest.firsts
            if first not in ledger.failed or (plan.call.retry_failed and ledger.failed[first])
        }
        self._rests: dict[int, _Rest] = {}
        self.done = manifest.rows - sum(self.due(first).rows for first in self._due)
        self.settled: deque[_Due] = deque()

    def chunks(self) -> Iterator[Chunk]:
        """Yield what is to be asked for, as the catalogue is read."""
        manifest, source = self._ledger.begun, self._plan.source
        start = min(self._due, default=manifest.rows)
        for first, table in self._plan.rows.chunks(manifest.chunk_rows, source.columns, start=start):
            if first not in self._due:
                continue
            self._plan.watch.glance()
            images = source.images(table)
            before = self._before(first, images)
            if before is None:
                yield Chunk(first, [str(image) for image in images])
                continue
            failed = [status != OK for status in before[STATUS].to_pylist()]
            places = [place for place, image in enumerate(images) if failed[place] and isinstance(image, str)]
            if places:
                self._rests[first] = _Rest(before, places)
                yield Chunk(first, [str(images[place]) for place in places])
                continue
            part = self.due(first)
            if first not in self._ledger.failed:
                self._ledger.write(first, before, manifest.model.network)
            self.settled.append(part)

    def due(self, first: int) -> _Due:
        """Return what is to be asked for of a part: all of it, or what failed."""
        failed = self.failed(first)
        return _Due(first, failed if first in self._ledger.failed else self._ledger.begun.rows_of(first), failed)

    def failed(self, first: int) -> int:
        """Return how many rows of a part are known to have failed."""
        return sum(self._ledger.failed.get(first, {}).values())

    def _before(self, first: int, images: list[str | Unusable]) -> pa.Table | None:
        """Return the part as far as it is known without asking; None if nothing of it is."""
        if first in self._ledger.failed:
            return self._ledger.read(first)
        unusable = [image for image in images if isinstance(image, Unusable)]
        if not unusable:
            return None
        nothing = Unusable("", "")
        problems = (image if isinstance(image, Unusable) else nothing for image in images)
        rows = [{"status": ERROR, "error": problem._asdict()} for problem in problems]
        return score_rows(rows, self._ledger.begun.schema)

    def complete(self, scored: Scored) -> pa.Table:
        """Return the part that a chunk's answers make whole."""
        rest = self._rests.pop(scored.first, None)
        if rest is None:
            return scored.table
        order = list(range(scored.table.num_rows, scored.table.num_rows + rest.table.num_rows))
        for answer, place in enumerate(rest.places):
            order[place] = answer
        return pa.concat_tables([scored.table, rest.table]).take(order)
