"""Requests a second by number of connections, as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.results import Results, find
from benchmarks.settings import CONNECTIONS
from benchmarks.systems import SERVICE


def draw(results: Results, file: Path) -> None:
    """Draw one panel for each precision: the best of each system, and the limit."""
    series = results.series()
    precisions = results.precisions
    figure = Figure(figsize=(6 * len(precisions), 4.2), layout="constrained")
    panels = figure.subplots(1, len(precisions), squeeze=False)[0]
    for panel, precision in zip(panels, precisions, strict=True):
        limit = results.limit_of(precision)
        if limit:
            panel.axhline(limit, color="black", linestyle=":", label="limit")
        for name in dict.fromkeys(each.system for each in series if each.precision == precision):
            variant = "" if name == SERVICE else None
            every = (find(series, precision, number, name, variant) for number in CONNECTIONS)
            found = [each for each in every if each]
            rates = [each.per_second for each in found]
            middle = [each.median for each in found]
            low, high = [min(each) for each in rates], [max(each) for each in rates]
            spread = [
                [m - least for m, least in zip(middle, low, strict=True)],
                [most - m for m, most in zip(middle, high, strict=True)],
            ]
            wide = 2.5 if name == SERVICE else 1.2
            panel.errorbar(
                [each.connections for each in found],
                middle,
                yerr=spread,
                marker="o",
                capsize=3,
                linewidth=wide,
                label=name,
            )
        panel.set_xscale("log", base=2)
        panel.set_xticks(CONNECTIONS, [str(each) for each in CONNECTIONS])
        panel.set_ylim(bottom=0)
        panel.set_title(f"{precision}, {results.machine.cores} cores" if results.device == "cpu" else precision)
        panel.set_xlabel("connections")
        panel.set_ylabel("requests answered a second")
        panel.legend(fontsize="small")
    figure.savefig(file, dpi=120, metadata={"Software": None})
