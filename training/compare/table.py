"""The results as a table in Markdown and as a plot."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.compare.page import write
from training.compare.results import Machine, Result, Terms
from training.compare.settings import CompareSettings
from training.compare.systems import SYSTEMS

_HEADER = (
    "| system | what it is | RMSE | accuracy on question 1 | parameters | multiply-adds | training images/s | minutes "
    "| published |"
)


def table(results: Sequence[Result]) -> str:
    """Return the results as a table in Markdown, with what they rest on before it and notes after it.

    Parameters
    ----------
    results : sequence of Result
        At least one.
    """
    lines = [
        _rests_on(results),
        "",
        _HEADER,
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
        *(_row(each) for each in results),
    ]
    for each in results:
        system = SYSTEMS[each.system]
        if each.rmse_of_question is not None:
            lines += ["", f"`{system.name}`: RMSE {each.rmse_of_question:.4f} over the columns of question 1 alone."]
        if system.made_up and each.loss is not None:
            began, ended = each.loss
            lines += [
                "",
                (
                    f"`{system.name}`: it learnt from {each.terms.learning:,} made-up galaxies, and the RMSE is over "
                    f"its five columns on {each.terms.validation:,} others, which can't be compared with the rest; its "
                    f"loss in training went from {began:.4f} in the first tenth to {ended:.4f} in the last."
                ),
            ]
    return "\n".join(lines) + "\n"


def _rests_on(results: Sequence[Result]) -> str:
    """Say what was learnt from and measured on, and where."""
    # The terms of a made-up set say nothing of the galaxies that the others were measured on.
    terms = min(results, key=lambda each: SYSTEMS[each.system].made_up).terms
    regressions = [f"`{each.system}`" for each in results if each.terms.learning_rate is None]
    said = []
    if len(regressions) < len(results):
        said.append(
            f"Each network saw {terms.galaxies_seen:,} galaxies, a galaxy counted each time, in batches of "
            f"{terms.batch_size}, drawn from {terms.learning:,} (seed {terms.seed}, {terms.precision})."
        )
    if regressions:
        whole = terms.learning - terms.learning % terms.batch_size
        said.append(
            f"Least squares ({', '.join(regressions)}) had {min(whole, terms.galaxies_seen):,} of the "
            f"{terms.learning:,} galaxies, each once (seed {terms.seed})."
        )
    said.append(f"Measured on the {terms.validation:,} validation galaxies in one view.")
    said.append("Every line is one training with one seed: how far another seed would move it was not measured.")
    said.append(f"Computed on: {'; '.join(sorted({_machine(each.machine) for each in results}))}.")
    # A comparison of some of the systems is told by its rows.
    said.append(f"Made by `{_command(terms)}`.")
    return " ".join(said)


def _command(terms: Terms) -> str:
    """Return the command that makes results of these terms again, with the budget and what is not as usual."""
    usual = CompareSettings().model_dump()
    options = {name: getattr(terms, name) for name in ("galaxies_seen", "batch_size", "seed", "precision")}
    named = [f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value != usual[name]]
    return " ".join(["python -m training compare", *named])


def _row(result: Result) -> str:
    system = SYSTEMS[result.system]
    cells = [
        f"`{system.name}`",
        f"{system.what} ({system.reference})" if system.reference else system.what,
        _number(result.rmse, ".4f") + (" (made-up)" if system.made_up else ""),
        _number(result.accuracy, ".1%"),
        _count(result.parameters),
        _count(result.multiply_adds),
        _number(result.images_per_second, ".0f"),
        _number(result.minutes, ".1f"),
        system.published or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def _count(value: int) -> str:
    if value < 1e5:
        return str(value)
    return f"{value / 1e6:,.0f} M" if value >= 1e8 else f"{value / 1e6:.3g} M"


def _machine(machine: Machine) -> str:
    computed_on = f"CPU, threads: {machine.threads}" if machine.device == "cpu" else machine.gpu
    return f"{computed_on}, PyTorch {machine.torch}"


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw RMSE and accuracy of every system that has them, as PNG or SVG by the file's ending.

    Raises
    ------
    CompareError
        If the file can't be written.
    """
    shown = [each for each in results if not SYSTEMS[each.system].made_up][::-1]
    figure = Figure(figsize=(9, 1.2 + 0.34 * len(shown)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, figure_name, label, form in zip(
        panels, ("rmse", "accuracy"), ("RMSE over all columns", "accuracy on question 1"), (".4f", ".1%"), strict=True
    ):
        for height, each in enumerate(shown):
            value: float | None = getattr(each, figure_name)
            if value is not None:
                colour = "tab:red" if each.system == "ours" else "tab:blue"
                panel.barh(height, value, color=colour, height=0.7)
                panel.text(value, height, f" {value:{form}}", va="center", fontsize=8)
        panel.set_xlabel(label)
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(shown)), [each.system for each in shown])
    write(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=110), "--plot")
