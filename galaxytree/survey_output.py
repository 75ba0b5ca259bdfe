"""The table of a survey that is scored: the catalogue's columns, and what the ledger holds."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from itertools import count

import pyarrow as pa

from galaxytree.catalogue import writing
from galaxytree.ledger import Ledger
from galaxytree.score_table import ERROR_CODE, ERROR_DETAIL, OK, STATUS
from galaxytree.survey_errors import OutputExistsError
from galaxytree.survey_plan import Plan
from galaxytree.survey_rows import of_equal_size

WRITE_ROWS = 16_384
"""How many rows are written together, however many a part has: so that the file depends on nothing but its rows."""

SHOWN_FAILURES = 5
"""How many failed rows are shown."""


def check_place(plan: Plan, ledger: Ledger) -> None:
    """Raise OutputExistsError if a file that is none of this survey's is where the table is to be."""
    output = plan.call.output
    if output.exists() and not plan.call.overwrite and not ledger.owns(output):
        msg = (
            f"{output} exists already, and neither a ledger nor what it says of itself tells that it is of this "
            "catalogue and this command: choose another --output, or replace it with --overwrite"
        )
        raise OutputExistsError(msg)


def write_output(plan: Plan, ledger: Ledger) -> list[str]:
    """Write the table; it appears when it is whole.

    Returns
    -------
    list of str
        The first few rows that failed, in words.

    Raises
    ------
    CatalogueError, StorageError
        If the catalogue or the ledger can't be read, or the table can't be written.
    OutputExistsError
        If a foreign file came to be where the table is to be.
    UnfitCatalogueError
        If the catalogue isn't what it was when the survey was begun.
    """
    check_place(plan, ledger)
    manifest, output = ledger.begun, plan.call.output
    schema = plan.table_schema(manifest)
    plan.watch.check()
    ledger.announce_output()
    # What a killed run has left.
    unfinished = re.compile(rf"\.{re.escape(output.name)}\.\d+\.unfinished")
    for stray in output.parent.iterdir():
        if unfinished.match(stray.name):
            stray.unlink(missing_ok=True)
    kept = plan.rows.chunks(WRITE_ROWS, plan.columns)
    scores = of_equal_size(_parts(ledger), WRITE_ROWS)
    failures: list[str] = []
    with writing(output, schema, rows=manifest.rows, metadata=_metadata(plan, ledger)) as table:
        for (first, rows), scored in zip(kept, scores, strict=True):
            table.write(pa.Table.from_arrays([*rows.columns, *scored.columns], schema=schema))
            failures += failed_rows(scored, first, SHOWN_FAILURES - len(failures))
    ledger.note_output(output)
    return failures


def failures_of(ledger: Ledger) -> list[str]:
    """Return the first few rows that failed, in words."""
    found: list[str] = []
    for first in ledger.begun.firsts:
        if len(found) < SHOWN_FAILURES and ledger.failed[first]:
            found += failed_rows(ledger.read(first), first, SHOWN_FAILURES - len(found))
    return found


def _parts(ledger: Ledger) -> Iterator[pa.Table]:
    for first in ledger.begun.firsts:
        yield ledger.read(first)


def failed_rows(scored: pa.Table, first: int, most: int) -> list[str]:
    """Return at most so many failed rows in words; they are counted from 1, and `first` rows come before these."""
    columns = (scored[name].to_pylist() for name in (STATUS, ERROR_CODE, ERROR_DETAIL))
    rows = zip(count(first + 1), *columns, strict=False)
    return [f"row {number}: {code}: {detail}" for number, status, code, detail in rows if status != OK][:most]


def _metadata(plan: Plan, ledger: Ledger) -> dict[str, str]:
    """Return what the table says of itself: no times, and nothing that the result doesn't depend on."""
    manifest = ledger.begun
    model = manifest.model
    return {
        "galaxytree_version": version("galaxytree"),
        "model": model.name,
        "model_version": model.version,
        "model_sha256": model.sha256,
        "network_sha256": model.network,
        "tree": model.tree,
        "views": str(manifest.views),
        "catalogue": plan.catalogue.path.name,
        **origin(plan),
    }


def origin(plan: Plan) -> dict[str, str]:
    """Return by what a table tells of which survey it is: the catalogue, the command, and which rows it selects."""
    selection = plan.rows.selection
    return {
        "catalogue_sha256": plan.watch.sha256,
        "command": plan.command,
        **({} if selection is None else {"selection_sha256": selection}),
    }
