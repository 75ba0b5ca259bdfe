"""The table of all experiments on a page, between two marks."""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from training.experiment.plan import Experiments
from training.experiment.results import Measured, Result, changes
from training.experiment.rows import ExperimentError, Row
from training.runs import write_safely

BEGIN, END = "<!-- experiments -->", "<!-- end -->"

_PART = re.compile(f"({BEGIN}\n).*?({END})", re.DOTALL)
_COLUMNS = (
    "row: what differs",
    "RMSE, one view",
    "RMSE, eight views",
    "parameters (M)",
    "multiply-adds (M)",
    "minutes",
    "images/s",
    "command",
)
_CHANGED = "†"


def table(experiments: Experiments, results: Mapping[str, Result]) -> str:
    """Return all groups with their rows; a row that was not performed yet has no figures."""
    changed = {name for name in results if changes(experiments, results, name)}
    parts = [_group(experiments, results, changed, name) for name in experiments.groups]
    if changed:
        parts.append(
            f"{_CHANGED} The settings of the row, or the runs that it was made from, have changed since; "
            "`python -m training experiment --stale` says how.\n"
        )
    return "\n".join(parts)


def write_table(page: Path, experiments: Experiments, results: Mapping[str, Result]) -> None:
    """Write the table anew between the marks of a page, and leave the rest as it is; a missing page is made.

    Raises
    ------
    ExperimentError
        If the page has no such marks.
    """
    text = page.read_text("utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    if not _PART.search(text):
        msg = f"{page} has no place for the table: a line {BEGIN} and, further down, a line {END}"
        raise ExperimentError(msg)
    new = _PART.sub(lambda part: f"{part[1]}\n{table(experiments, results)}\n{part[2]}", text, count=1)
    if new != text or not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        write_safely(page, lambda file: file.write(new.encode()))


def _group(experiments: Experiments, results: Mapping[str, Result], changed: set[str], group: str) -> str:
    of_it = experiments.groups[group]
    lines = [f"### {of_it.title}", "", of_it.text.strip(), "", _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    for name, row in experiments.rows.items():
        if row.group == group:
            mark = f" {_CHANGED}" if name in changed else ""
            cells = [f"`{name}`{mark}: {row.about}", *_figures(row, results.get(name)), f"`{command(name)}`"]
            lines.append(_line(cells))
    return "\n".join([*lines, ""])


def command(name: str) -> str:
    """Return the command that makes a row again."""
    return f"python -m training experiment {name}"


def _figures(row: Row, result: Result | None) -> list[str]:
    if result is None or not result.runs:
        return [""] * 6
    runs = result.runs

    def mean(value: Callable[[Measured], float | None], digits: int) -> str:
        values = [each for each in map(value, runs) if each is not None]
        return f"{statistics.fmean(values):,.{digits}f}" if values else ""

    return [
        _rmse([each.rmse_one_view for each in runs], [fold.rmse_one_view for fold in runs[0].folds]) + _over(row, runs),
        _rmse([each.rmse_eight_views for each in runs], [fold.rmse_eight_views for fold in runs[0].folds]),
        mean(lambda each: each.parameters / 1e6, 2),
        mean(lambda each: each.multiply_adds / 1e6, 0),
        mean(lambda each: each.minutes, 1),
        mean(lambda each: each.images_per_second, 0),
    ]


def _rmse(values: Sequence[float], folds: Sequence[float]) -> str:
    """Return the mean over seeds and its spread; with one seed, the spread over folds if there are some."""
    several = values if len(values) > 1 else folds
    spread = f" ± {statistics.stdev(several):.4f}" if several else ""
    return f"{statistics.fmean(values):.4f}{spread}"


def _over(row: Row, runs: Sequence[Measured]) -> str:
    if row.ensemble:
        return ""
    if len(runs) < len(row.seeds):
        return f" ({len(runs)} of {len(row.seeds)} seeds)"
    if len(runs) > 1:
        return f" ({len(runs)} seeds)"
    return f" ({len(runs[0].folds)} folds)" if runs[0].folds else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(each.replace('|', '&#124;') for each in cells)} |".replace("|  |", "| |").replace(
        "|  |", "| |"
    )
