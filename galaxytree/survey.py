"""A survey from its beginning, or wherever it was left, to its table.

The order in which things happen keeps rows from getting lost: a chunk is on the disk before more is asked for in its
place; the table appears when every row is in it; and only then, if none failed, the ledger goes.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from galaxytree.ledger import Ledger, opened
from galaxytree.stopping import run_stoppable
from galaxytree.survey_engine import Engine
from galaxytree.survey_errors import StorageError, SurveyDiffersError
from galaxytree.survey_found import found_failures
from galaxytree.survey_output import check_place, failures_of, write_output
from galaxytree.survey_plan import Plan
from galaxytree.survey_progress import Progress
from galaxytree.survey_scoring import score
from galaxytree.tables.errors import UnwritableError


@dataclass(frozen=True)
class Summary:
    """What came of a survey.

    Attributes
    ----------
    output
        The table.
    rows
        How many rows it has.
    failed
        How many of them failed, by code.
    failures
        The first few of these, in words.
    was_done
        Whether there was nothing left to do.
    has_ledger
        Whether what failed can be tried again.
    """

    output: Path
    rows: int
    failed: Counter[str]
    failures: list[str]
    was_done: bool = False
    has_ledger: bool = True

    @property
    def ok(self) -> int:
        """How many rows have scores."""
        return self.rows - self.failed.total()


def conduct(plan: Plan, engine: Callable[[], Engine], progress: Progress) -> Summary:
    """Conduct a survey to its end; whatever stops it, what is scored is kept.

    Parameters
    ----------
    plan
    engine
        Makes what scores, if there is something to score; it is made, used and closed in one event loop.
    progress

    Raises
    ------
    GalaxytreeError
        If it can't go on; the message says how to.
    KeyboardInterrupt
        If it was asked to stop.
    """
    with opened(plan.call.ledger) as ledger:
        if ledger.manifest is not None:
            plan.check_same(ledger.manifest)
            if ledger.is_over(plan.call.output):
                return _finished(plan, ledger, [], was_done=True)
            for name in ledger.take_stock():
                progress.say(f"{ledger.folder / name} is damaged: its rows are scored again")
        elif plan.call.output.exists():
            done = _done(plan)
            if done is not None:
                return done
        check_place(plan, ledger)
        if not _needs_scoring(plan, ledger):
            plan.table_schema(ledger.begun)
            if ledger.has_written(plan.call.output):
                return _finished(plan, ledger, failures_of(ledger), was_done=True)
        else:
            run_stoppable(_scored(plan, ledger, engine, progress))
        try:
            failures = write_output(plan, ledger)
        except UnwritableError as error:
            cause = error.__cause__
            why = f" ({os.strerror(cause.errno)})" if isinstance(cause, OSError) and cause.errno else ""
            msg = f"{error}{why}. All rows are scored, and kept: set this right, and the same command writes them"
            raise StorageError(msg) from error
        return _finished(plan, ledger, failures)


def _done(plan: Plan) -> Summary | None:
    """Return what came of a survey of which only the table is left; None if this table isn't known to be of it."""
    found = None if plan.call.overwrite else found_failures(plan)
    if found is not None and not (found[0] and plan.call.retry_failed):
        return Summary(plan.call.output, plan.rows.count, *found, was_done=True, has_ledger=False)
    if plan.call.retry_failed:
        msg = (
            f"{plan.call.output} is there, and no ledger beside it ({plan.call.ledger.name}): it goes when no row has "
            "failed, and without it nothing can be tried again"
        )
        raise SurveyDiffersError(msg)
    return None


def _needs_scoring(plan: Plan, ledger: Ledger) -> bool:
    if ledger.manifest is None or not ledger.is_complete:
        return True
    return plan.call.retry_failed and bool(ledger.codes())


async def _scored(plan: Plan, ledger: Ledger, engine: Callable[[], Engine], progress: Progress) -> None:
    one = engine()
    try:
        model = await one.model()
        if ledger.manifest is None:
            manifest = plan.begin(model)
            plan.table_schema(manifest)
            ledger.begin(manifest)
        else:
            plan.check_model(ledger.manifest, model)
            plan.table_schema(ledger.manifest)
        ledger.outdate_output()
        await score(plan, ledger, one, progress)
    finally:
        await one.aclose()


def _finished(plan: Plan, ledger: Ledger, failures: list[str], *, was_done: bool = False) -> Summary:
    summary = Summary(plan.call.output, ledger.begun.rows, ledger.codes(), failures, was_done)
    if not summary.failed:
        ledger.remove()
    return summary
