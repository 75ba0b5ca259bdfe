"""The results as a table in Markdown and as a plot."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.compare.systems import SYSTEMS

_BEGIN, _END = "<!-- compared -->", "<!-- end -->"
_HEADER = (
    "| system | what it is | RMSE | accuracy on question 1 | parameters | multiply-adds | training images/s | minutes "
    "| published |"
)

Result = dict[str, Any]


class TableError(ValueError):
    """A file without a place for the table; the message says how to make one."""


def table(results: Sequence[Result]) -> str:
    """Return the results as a table in Markdown, with what they rest on before it and notes after it.

    Parameters
    ----------
    results : sequence of dict
        At least one, as `training.compare.compare.compare` returns them.
    """
    # The terms of a made-up set say nothing of the galaxies that the others were measured on.
    terms = min(results, key=lambda each: SYSTEMS[each["system"]].made_up)["terms"]
    machines = "; ".join(sorted({_machine(each["machine"]) for each in results}))
    lines = [
        (
            f"Each system saw {terms['galaxies_seen']:,} galaxies in batches of {terms['batch_size']}, drawn from "
            f"{terms['learning']:,} (seed {terms['seed']}, {terms['precision']}), and was measured on the "
            f"{terms['validation']:,} validation galaxies in one view. Computed on: {machines}."
        ),
        "",
        _HEADER,
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
        *(_row(each) for each in results),
    ]
    for each in results:
        system = SYSTEMS[each["system"]]
        if each["rmse_of_question"] is not None:
            lines += ["", f"`{system.name}`: RMSE {each['rmse_of_question']:.4f} over the columns of question 1 alone."]
        if system.made_up:
            began, ended = each["loss"]
            lines += [
                "",
                (
                    f"`{system.name}`: the RMSE is over its five columns on {each['terms']['validation']} made-up "
                    "galaxies, and can't be compared with the others; its loss in training went from "
                    f"{began:.4f} in the first tenth to {ended:.4f} in the last."
                ),
            ]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    system = SYSTEMS[result["system"]]
    cells = [
        f"`{system.name}`",
        f"{system.what} ({system.reference})" if system.reference else system.what,
        _number(result["rmse"], ".4f") + (" (made-up)" if system.made_up else ""),
        _number(result["accuracy"], ".1%"),
        _count(result["parameters"]),
        _count(result["multiply_adds"]),
        _number(result["images_per_second"], ".0f"),
        _number(result["minutes"], ".1f"),
        system.published or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def _count(value: int) -> str:
    if value < 1e5:
        return str(value)
    return f"{value / 1e6:,.0f} M" if value >= 1e8 else f"{value / 1e6:.3g} M"


def _machine(facts: dict[str, Any]) -> str:
    computed_on = f"CPU, threads: {facts['threads']}" if facts["device"] == "cpu" else facts["gpu"]
    return f"{computed_on}, PyTorch {facts['torch']}"


def place_of(path: Path) -> tuple[str, str]:
    """Return what stands before and after the table in a file, or what will in a new one.

    Raises
    ------
    TableError
        If the file is there and has no marks.
    """
    if not path.exists():
        return "# Comparison\n\n", "\n"
    before, begin, rest = path.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        msg = (
            f"{path} has no place for the table; put {_BEGIN} and {_END} where it is to stand, or give another --table"
        )
        raise TableError(msg)
    return before, after


def write_table(text: str, path: Path, plot: Path) -> None:
    """Put the table, with the plot below it, between its marks or into a new file; TableError if there are no marks."""
    before, after = place_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Path(os.path.relpath(plot, path.parent)).as_posix()
    shown = f"![RMSE and accuracy of each system]({picture})"
    path.write_text(f"{before}{_BEGIN}\n{text}\n{shown}\n{_END}{after}", "utf-8")


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw RMSE and accuracy of every system that has them, as PNG or SVG by the file's ending."""
    shown = [each for each in results if not SYSTEMS[each["system"]].made_up][::-1]
    figure = Figure(figsize=(9, 1.2 + 0.34 * len(shown)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, figure_name, label, form in zip(
        panels, ("rmse", "accuracy"), ("RMSE over all columns", "accuracy on question 1"), (".4f", ".1%"), strict=True
    ):
        for height, each in enumerate(shown):
            value = each[figure_name]
            if value is not None:
                colour = "tab:red" if each["system"] == "ours" else "tab:blue"
                panel.barh(height, value, color=colour, height=0.7)
                panel.text(value, height, f" {value:{form}}", va="center", fontsize=8)
        panel.set_xlabel(label)
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(shown)), [each["system"] for each in shown])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
