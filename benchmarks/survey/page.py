"""What was measured of surveys: one file of JSON, and a page."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from benchmarks.points import down
from benchmarks.runs import MARKS, Run
from benchmarks.survey.measure import FETCH_TIMEOUT_SECONDS, Disturbed, Steady

SURVEYS = "surveys"
ROWS = 100_000
LEAST_RATIO = 0.9
MOST_MIB = 300
IN_FLIGHT_ROWS = 32 * 256
"""Rows of the chunks that a client has in flight at most, unless it is told otherwise: so many where images stall, of
which 1,024 are unanswered."""


class SurveyResults(Run):
    """Everything that a run measured."""

    images: str
    steady: list[Steady] = Field(default_factory=list)
    disturbed: list[Disturbed] = Field(default_factory=list)


def publish(results: SurveyResults, folder: Path) -> Path:
    """Write figures and page; return where the page is."""
    # Apart from the results of loads, which are of another form.
    return results.write(folder / SURVEYS, list(_page(results)))


def _page(results: SurveyResults) -> Iterator[str]:
    yield f"# Surveys: {results.machine.name}"
    yield ""
    yield from results.about()
    yield f"- **Images**: {results.images}."
    yield (
        "- **How**: service, host of images and client share the cores of this machine. The rate of a survey is that "
        "of the whole command, from the start of Python to the table."
    )
    yield ""
    yield "| | asked | reached | |"
    yield "|---|---|---|---|"
    for steady in results.steady:
        yield from _steady(steady)
    for disturbed in results.disturbed:
        yield from _disturbed(disturbed)


def _row(precision: str, asked: str, reached: str, *, met: bool) -> str:
    return f"| {precision} | {asked} | {reached} | {MARKS[met]} |"


def _steady(each: Steady) -> Iterator[str]:
    before, after = each.classify_per_second
    yield _row(
        each.precision,
        f"{each.rows:,} URLs: {LEAST_RATIO} of the images/s of `/classify` at 32 connections",
        f"{down(each.ratio)}: {each.per_second:.0f} rows/s in {each.seconds:.0f} s; `/classify` {before:.0f}/s before, "
        f"{after:.0f}/s after",
        met=each.ratio >= LEAST_RATIO,
    )
    wrong = {what: number for what, number in each.wrong.items() if number}
    yield _row(
        each.precision,
        "every row once, in order, scored",
        f"wrong: {wrong or 'nothing'}; images fetched more than once: {each.fetched_again}; exit status {each.status}",
        met=not wrong and not each.status,
    )
    *quarters, most = each.resident
    yield _row(
        each.precision,
        f"client memory under {MOST_MIB} MiB and flat",
        f"{', '.join(f'{mib:.0f}' for mib in quarters)} MiB after each quarter, {most:.0f} at most; "
        f"{1e6 * each.cpu_seconds / each.rows:.0f} us of processor time a row (service: {each.service_mib:.0f} MiB at "
        "most)",
        met=most < MOST_MIB,
    )


def _disturbed(each: Disturbed) -> Iterator[str]:
    calm, unquiet = each.seconds
    wrong = {what: number for what, number in each.wrong.items() if number}
    yield _row(
        each.precision,
        f"{each.rows:,} URLs, {each.bad:,} of them bad, client killed three times, service restarted once: the same "
        "table",
        f"{'the same' if each.same else 'not the same'}, byte for byte; {each.kills} kills, {each.restarts} restart; "
        f"wrong: {wrong or 'nothing'}; {unquiet:.0f} s (undisturbed {calm:.0f} s; images that stall are given up after "
        f"{FETCH_TIMEOUT_SECONDS} s); exit status {each.statuses[0]} and {each.statuses[1]}",
        met=each.same and not wrong,
    )
    most = IN_FLIGHT_ROWS * (each.kills + each.restarts)
    yield _row(
        each.precision,
        "at most what was in flight is scored twice",
        f"{each.scored_again:,} good rows were fetched once more, by {each.kills + each.restarts} interruptions; in "
        f"flight are at most {IN_FLIGHT_ROWS:,} rows each time, in chunks some of whose images stall",
        met=each.scored_again <= most,
    )
