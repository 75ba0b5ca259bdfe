"""Write the parts of the docs that derive from the code, or check that they are what the code says now.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the functions below make them.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from app import errors
from app.settings import ENV_PREFIX, Settings
from app.telemetry.metrics import ALL, PROCESS
from benchmarks.proof import proof
from benchmarks.sizing import sizing
from galaxytree.card import CARD_FILE, ModelCard
from galaxytree.cli import main as galaxytree_command
from galaxytree.decision_tree import load_tree, tree_names
from galaxytree.schemas import Classification
from training.cli import main as training_command

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def trees() -> str:
    """Return every decision tree as a table."""
    return "\n".join(_tree(name) for name in tree_names())


def _tree(name: str) -> str:
    tree = load_tree(name)
    lines = [
        f"### `{name}`: {tree.title}",
        "",
        "; ".join(tree.references) + ".",
        "",
        "| question | wording | answers → next question | adds up to |",
        "|---|---|---|---|",
    ]
    for question in tree.questions:
        answers = "; ".join(f"`{each.id}` {each.label} → {each.next}" for each in question.answers)
        adds_up_to = {"1": "1", "independent": "nothing: independent fractions"}.get(
            str(question.adds_up_to), f"`{question.adds_up_to}`"
        )
        lines.append(f"| {question.id} | {question.text} | {answers} | {adds_up_to} |")
    return "\n".join([*lines, ""])


def settings() -> str:
    """Return the service's settings as a table."""
    lines = ["| variable | option | default | what it is |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "not set" if field.default is None else f"`{field.default}`"
        option = f"--{name.replace('_', '-')}"
        lines.append(f"| `{ENV_PREFIX}{name.upper()}` | `{option}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def outputs() -> str:
    """Return what a model may say beside scores as a table."""
    lines = ["| field | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {Classification.model_fields[name].description} |" for name in _BESIDE_SCORES]
    return "\n".join(lines) + "\n"


def problems() -> str:
    """Return every error that the service answers as a table."""
    lines = ["| code | status | when |", "|---|---|---|"]
    for error in sorted(_leaves(errors.ServiceError), key=lambda each: (each.status, each.code)):
        when = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"| `{error.code}` | {error.status} | {when} |")
    lines += [
        "| `not_found` | 404 | There is nothing at this path. |",
        "| `method_not_allowed` | 405 | The path does not take this method; `Allow` says which it takes. |",
    ]
    return "\n".join(lines) + "\n"


def metrics() -> str:
    """Return all that ``GET /metrics`` tells as a table."""
    lines = ["| metric | kind | labels | what it is |", "|---|---|---|---|"]
    lines += [
        f"| `{each.shown}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.says} |"
        for each in ALL
    ]
    lines += [f"| `{name}` | process | | {says} |" for name, says in PROCESS.items()]
    return "\n".join(lines) + "\n"


def _leaves(error: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    below = error.__subclasses__()
    if not below:
        yield error
    for each in below:
        yield from _leaves(each)


def commands() -> str:
    """Return what every command says of itself with ``--help``."""
    texts = []
    for name, group in (("galaxytree", galaxytree_command), ("python -m training", training_command)):
        context = click.Context(group, info_name=name)
        for command in group.list_commands(context):
            found = group.get_command(context, command)
            if found is not None:
                inner = click.Context(
                    found, info_name=command, parent=context, max_content_width=100, terminal_width=100
                )
                texts.append(f"### `{name} {command}`\n\n```text\n{found.get_help(inner)}\n```\n")
    return "\n".join(texts)


def card() -> str:
    """Return the shipped model's card."""
    return "\n".join(_card(path.parent) for path in sorted((ROOT / "models").glob(f"*/{CARD_FILE}")))


def _card(folder: Path) -> str:
    model = ModelCard.read(folder)
    network, metrics = model.network, model.metrics
    smoothing = (model.provenance.get("calibration") or {}).get("smoothing")
    smoothed = f", smoothed by ({smoothing:g}, {1 - 2 * smoothing:g}, {smoothing:g})" if smoothing else ""
    lines = [
        f"### {model.name} {model.version}",
        "",
        f"- **Tree**: `{model.tree}`, {len(model.columns)} scores.",
        (
            f"- **Input**: the central {model.framing.field:.4f} of the shorter side, scaled to "
            f"{model.framing.size} x {model.framing.size} px; the network looks at the inner {network['crop']} px at "
            f"{network['resolution']} px{smoothed}."
        ),
        (
            f"- **Network**: {network['architecture']}, {network['parameters'] / 1e6:.2f} million parameters, "
            f"{network['multiply_adds'] / 1e6:.0f} million multiply-adds an image."
        ),
        f"- **Limits**: {model.limits}",
        f"- **Licence**: {model.licence}",
        f"- **Cite**: {'; '.join(model.citations)}.",
        "",
        "Provenance:",
        "",
        *(f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in model.provenance.items()),
        "",
    ]
    if not metrics:
        return "\n".join([*lines, "It was not measured: its data set no galaxies aside for validation.", ""])
    return "\n".join([*lines, *_figures(model), ""])


def _figures(model: ModelCard) -> list[str]:
    """Return what was measured, as far as the model has it, of its int8 file too."""
    metrics, int8 = model.metrics, model.int8
    eight = metrics.get("eight_views")
    views = f"**RMSE {metrics['rmse']:.4f}** with one view" + (f", **{eight['rmse']:.4f}** with eight" if eight else "")
    lines = [f"Measured with `{metrics['command']}` on {metrics['split']}: {views}.", ""]
    measured = {"": metrics}
    if int8 is not None and int8.metrics:
        measured["int8, "] = int8.metrics
        default = "used on CPUs that have instructions for it, unless told otherwise"
        used = default if int8.by_default else "used where it is asked for"
        lines += [
            (
                f"The int8 file, measured with `{int8.metrics['command']}`: **RMSE {int8.metrics['rmse']:.4f}** with "
                f"one view ({int8.rmse_rise:+.6f} to that of `model.onnx`), "
                f"**{int8.metrics['eight_views']['rmse']:.4f}** with eight; {used}. How it was made: "
                f"{_text(int8.provenance)}"
            ),
            "",
        ]
    lines += _by_question_of(model, measured)
    if "error_bars" in metrics:
        lines += _coverage({name: each["error_bars"] for name, each in measured.items()})
    if "out_of_domain" in metrics:
        lines += _flagged({name: each["out_of_domain"] for name, each in measured.items()})
    return lines


def _by_question_of(model: ModelCard, measured: dict[str, Any]) -> list[str]:
    """Return RMSE and agreement of each question; `measured` holds the figures of each file by what it is called."""
    columns = {f"{name}{views}": each for name, one in measured.items() for views, each in _in_views(one).items()}
    names = " | ".join(["RMSE", *list(columns)[1:]])
    lines = [
        f"| question | {names} | agrees with the volunteers' majority, where most were asked |",
        f"|---|{'---|' * len(columns)}---|",
    ]
    for question in load_tree(model.tree).questions:
        agrees = model.metrics["agreement_with_majority"].get(question.id)
        part = f"{agrees['part']:.1%} of {agrees['galaxies']} galaxies" if agrees else "nobody was asked"
        shown = " | ".join(f"{each['rmse_by_question'][question.id]:.4f}" for each in columns.values())
        lines.append(f"| {question.id} {question.text} | {shown} | {part} |")
    return lines


def _in_views(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the figures in one view, and in eight if there are."""
    return {"one view": metrics} | ({"eight views": metrics["eight_views"]} if "eight_views" in metrics else {})


def _coverage(measured: dict[str, Any]) -> list[str]:
    """Return for what parts of the votes error bars hold."""
    promised = [
        f"{part:.0%} interval, {name}{views}"
        for name, bars in measured.items()
        for views in ("one view", "eight")
        for part in bars["promised"]
    ]
    lines = [
        "",
        (
            "For what part of galaxies and answers the vote fraction lies within the error bars; for a question, "
            "where the scores give it a weight over 0.1:"
        ),
        "",
        f"| answers | {' | '.join(promised)} | number |",
        f"|---|{'---|' * len(promised)}---|",
    ]
    first = next(iter(measured.values()))["one_view"]
    for name, one in first.items():
        if one["held"]:
            held = [
                part
                for bars in measured.values()
                for views in ("one_view", "eight_views")
                for part in bars[views][name]["held"] or ()
            ]
            lines.append(f"| {name} | {' | '.join(f'{part:.1%}' for part in held)} | {one['votes']} |")
    return lines


def _flagged(measured: dict[str, Any]) -> list[str]:
    """Return what part of pictures is flagged."""
    # Cards of models from before there were two have the one column.
    views = {"flagged": "one view", "flagged_with_eight_views": "eight views"}
    columns = {
        f"{name}{said}": (flagged, key)
        for name, flagged in measured.items()
        for key, said in views.items()
        if key in flagged["validation"]
    }
    lines = [
        "",
        "What part is flagged as out of domain:",
        "",
        f"| pictures | {' | '.join(columns)} | number |",
        f"|---|{'---|' * len(columns)}---|",
    ]
    for what, each in next(iter(measured.values())).items():
        parts = " | ".join(f"{flagged[what][key]:.1%}" for flagged, key in columns.values())
        lines.append(f"| {what} | {parts} | {each['pictures']} |")
    return lines


def _text(value: object) -> str:
    return f"`{json.dumps(value)}`" if isinstance(value, dict | list) else str(value)


def answer() -> str:
    """Return what the service answers for the made-up galaxy, laid out by question."""
    shown = json.loads((ROOT / "docs" / "figures" / "answer.json").read_bytes())
    # What `?detail=scores` leaves; of a model that doesn't say, some of it is missing.
    kept = {name: shown[name] for name in _KEPT if shown.get(name) is not None}
    fields = (
        f'"{name}": {_by_question(value) if name in _TABLES else json.dumps(value)}' for name, value in kept.items()
    )
    text = "{" + ",\n ".join(fields) + "}"
    if json.loads(text) != kept:
        msg = "the answer is not laid out as it is"
        raise ValueError(msg)
    return (
        "```sh\ncurl -F file=@docs/figures/galaxy.jpg 'localhost:8000/classify?detail=scores'\n```\n\n"
        f"```json\n{text}\n```\n\n"
        "Without `?detail=scores` the answer also holds every question with its weight and each answer's vote\n"
        "fraction, the likeliest path through the tree, and a sentence:\n\n"
        f"> {shown['summary']}\n"
    )


_BESIDE_SCORES = ("uncertainty", "uncertainty_95", "out_of_domain")
_TABLES = ("scores", "uncertainty", "uncertainty_95")
_KEPT = ("model", "image", "views", *_TABLES, "out_of_domain")


def _by_question(table: dict[str, float]) -> str:
    """Lay out one value an answer."""
    by_question: dict[str, list[str]] = {}
    for name, value in table.items():
        by_question.setdefault(name.partition(".")[0], []).append(f'"{name}": {value}')
    lines = ",\n   ".join(",\n    ".join(", ".join(some) for some in _rows(each)) for each in by_question.values())
    return f"{{\n   {lines}}}"


def _rows(items: list[str], length: int = 4) -> Iterator[list[str]]:
    for first in range(0, len(items), length):
        yield items[first : first + length]


PARTS: dict[str, Callable[[], str]] = {
    "trees": trees,
    "settings": settings,
    "outputs": outputs,
    "problems": problems,
    "metrics": metrics,
    "commands": commands,
    "card": card,
    "answer": answer,
    "proof": proof,
    "sizing": sizing,
}


def renewed(text: str) -> str:
    """Return a page with its generated parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part['name']]()}{part[3]}", text)


def main() -> int:
    """Write, or with ``--check`` compare; 1 if a page is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a page is out of date")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        text = page.read_text("utf-8")
        if (new := renewed(text)) != text:
            stale.append(page)
            if not check:
                page.write_text(new, "utf-8")
    for page in stale:
        print(f"{page.relative_to(ROOT)} {'is out of date: make docs' if check else 'was written anew'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
