"""What was measured of faults: one file of JSON, and a page."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from benchmarks.faults.accounts import Accounts, in_words
from benchmarks.faults.stage import PART_OF_MOST, FaultRow
from benchmarks.runs import MARKS, Run, table

FAULTS = "faults"
_HEAD = (
    *("fault under load", "what happened", "sent", "accepted", "answered", "lost", "refused", "never taken"),
    *("p99, ms", "none lost"),
)


class FaultResults(Run):
    """Everything that a run measured."""

    images: str = ""
    rows: list[FaultRow] = Field(default_factory=list)


def publish(results: FaultResults, folder: Path) -> Path:
    """Write figures and page; return where the page is."""
    return results.write(folder / FAULTS, [*_page(results)])


def _page(results: FaultResults) -> Iterator[str]:
    yield f"# Faults under load: {results.machine.name}"
    yield ""
    yield from results.about()
    yield f"- **Images**: {results.images}."
    yield (
        f"- **Load**: requests that come at random, on average {PART_OF_MOST:.0%} of what the service answers to 16 "
        "clients that ask without a pause just before; on up to 64 connections; every answer is held, score by score, "
        "against what the same image got when nothing was the matter. Clients and service share the machine."
    )
    yield (
        "- **Accepted**: its whole body was taken, and no refusal was given (429, 503 `not_ready`, 408). **Lost**: "
        "accepted, and then no answer, a broken or a wrong one, or any other error. **Never taken**: no connection was "
        "to be had, or the kernel says that the service closed it with the request unread."
    )
    yield ""
    yield from rows(results)


def rows(results: FaultResults) -> Iterator[str]:
    """Return the table."""
    yield from table(_HEAD, (each for row in results.rows for each in _row(row)), range(2, 9))


def _row(row: FaultRow) -> Iterator[tuple[str, ...]]:
    if row.absent is not None:
        yield (row.title, f"not done: {row.absent}", *[""] * 7, MARKS[None])
        return
    happened = "; ".join(
        f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}" for name, value in row.happened.items()
    )
    happened = "; ".join([happened or "nothing", *(f"**{each}**" for each in row.missed)])
    yield (
        row.title,
        f"{happened} ({row.seconds:.0f} s, {row.rate:.0f} requests/s)",
        *_figures(row.accounts),
        MARKS[row.met],
    )
    if row.beside.sent:
        yield (f"{row.title}: what the fault itself sends", "", *_figures(row.beside), "")


def _figures(accounts: Accounts) -> tuple[str, ...]:
    numbers = (accounts.sent, accounts.accepted, accounts.answered)
    reasons = (accounts.lost, accounts.refused, accounts.away)
    p99 = f"{accounts.times.p99_ms:.0f}" if accounts.answered else ""
    return (*(f"{each:,}" for each in numbers), *(in_words(each) for each in reasons), p99)
