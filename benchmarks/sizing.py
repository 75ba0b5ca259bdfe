"""How much one machine does, for who is to choose one: from the figures of `make bench` that lie in the results."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Results, Series
from benchmarks.runs import table
from benchmarks.settings import RESULTS
from benchmarks.systems import SERVICE

CONNECTIONS = 32
_HEAD = ("machine", "network", "images/s", "each", "memory, MiB", "shared pages once, MiB", "by")


def sizing(folder: Path = RESULTS) -> str:
    """Return a table with a line for each machine and network that was measured."""
    files = sorted(folder.glob("*.json"))
    return "\n".join([*table(_HEAD, (row for file in files for row in _rows(file)), range(2, 6)), ""])


def _rows(file: Path) -> Iterator[tuple[str, ...]]:
    results = Results.model_validate_json(file.read_bytes())
    for series in results.series():
        if (series.system, series.variant, series.connections) == (SERVICE, "", CONNECTIONS):
            yield _row(results, series, f"../benchmarks/results/{file.stem}.md")


def _row(results: Results, series: Series, page: str) -> tuple[str, ...]:
    machine, rate = results.machine, statistics.median(series.per_second)
    where, each = (machine.gpu, "GPU") if machine.gpu else (f"{machine.processor}, {machine.cores} cores", "core")
    number = 1 if machine.gpu else machine.cores
    return (
        f"[{where}]({page})",
        series.precision,
        f"{rate:.0f}",
        f"{rate / number:.0f} a {each}",
        f"{statistics.median(row.memory.peak for row in series.rows):.0f}",
        f"{statistics.median(row.memory.pss for row in series.rows):.0f}",
        f"`{results.command}`, {results.finished[:10]}",
    )
