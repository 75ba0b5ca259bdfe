"""A table that is there without a ledger: whether it is what the same command wrote, as it says itself."""

from collections import Counter

from galaxytree.catalogue import open_catalogue
from galaxytree.score_table import ERROR_CODE, ERROR_DETAIL, OK, STATUS
from galaxytree.survey_output import SHOWN_FAILURES, failed_rows, origin
from galaxytree.survey_plan import Plan
from galaxytree.tables.base import text_of
from galaxytree.tables.errors import CatalogueError


def found_failures(plan: Plan) -> tuple[Counter[str], list[str]] | None:
    """Look at the table that stands where this survey's is to be.

    Returns
    -------
    tuple or None
        How many of its rows failed, by code, and the first few in words; None if it doesn't say that it is of the same
        catalogue and the same command, or isn't as long.
    """
    names = [plan.call.prefix + name for name in (STATUS, ERROR_CODE, ERROR_DETAIL)]
    failed: Counter[str] = Counter()
    shown: list[str] = []
    first = 0
    try:
        table = open_catalogue(plan.call.output)
        said = text_of(table.schema.metadata)
        if not origin(plan).items() <= said.items() or table.rows != plan.rows.count:
            return None
        if not {*plan.columns, *names} <= {*table.schema.names}:
            return None
        for some in table.batches():
            rows = some.select(names).rename_columns([STATUS, ERROR_CODE, ERROR_DETAIL])
            codes = zip(rows[STATUS].to_pylist(), rows[ERROR_CODE].to_pylist(), strict=True)
            failed.update(str(code) for status, code in codes if status != OK)
            shown += failed_rows(rows, first, SHOWN_FAILURES - len(shown))
            first += rows.num_rows
    except CatalogueError:
        return None
    return failed, shown
