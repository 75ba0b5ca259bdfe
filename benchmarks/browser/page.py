"""What was measured of the page that people see: one file of JSON, and a table."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runs import MARKS, Run

FOLDER = "page"
ROUNDS, DROPS = 20, 5
MOST_MS = {"paints": 1000.0, "first": 300.0, "others": 300.0}

_ASKED = {
    "paints": "first contentful paint with an empty cache, under 1 s",
    "first": "from the drop of the first galaxy to its answer drawn, within 300 ms",
    "others": "from the drop of a further galaxy to its answer drawn, within 300 ms",
}


class PageResults(Run):
    """Everything that a run measured.

    Attributes
    ----------
    paints, first, others
        Milliseconds; see `benchmarks.browser.measure.measure`.
    busy
        The part of all cores that others used just before.
    """

    images: str
    browser: str
    busy: float
    paints: list[float]
    first: list[float]
    others: list[float]


def publish(results: PageResults, folder: Path) -> Path:
    """Write figures and table; return where the table is."""
    return results.write(folder / FOLDER, list(_page(results)))


def _page(results: PageResults) -> Iterator[str]:
    yield f"# The page in a browser: {results.machine.name}"
    yield ""
    yield from results.about()
    yield "- **Network**: int8."
    yield f"- **Browser**: Chromium {results.browser}, no window, 1280 x 900 px, on the same cores as the service."
    yield f"- **Busy with other things** just before: {100 * results.busy:.0f} % of all cores."
    yield f"- **Images**: {results.images}."
    yield (
        "- **How**: each round is a context of its own with nothing kept. A galaxy is dropped as by a file manager; "
        "its answer is drawn when the frame that shows the tree has been painted. Met is what the slowest meets."
    )
    yield ""
    yield "| asked | times | median | slowest | |"
    yield "|---|--:|--:|--:|---|"
    for name, asked in _ASKED.items():
        times: list[float] = getattr(results, name)
        met = MARKS[max(times) <= MOST_MS[name]]
        yield f"| {asked} | {len(times)} | {statistics.median(times):.0f} ms | {max(times):.0f} ms | {met} |"
