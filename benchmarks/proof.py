"""What the proofs showed, for the page that an operator reads: from the figures that lie in the results."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.faults.page import FAULTS, FaultResults
from benchmarks.faults.page import rows as rows_of_faults
from benchmarks.fuzzing import FUZZ, FuzzResults
from benchmarks.fuzzing import rows as rows_of_fuzz
from benchmarks.runs import Run
from benchmarks.settings import RESULTS
from benchmarks.soak.page import SOAK, SoakResults
from benchmarks.soak.page import rows as rows_of_soak


def proof(folder: Path = RESULTS) -> str:
    """Return all tables, each with the command that made it, or without figures the command that would make them."""
    parts = [
        *_part("Faults under load", "faults", folder / FAULTS, _faults),
        *_part("A soak", "soak", folder / SOAK, _soak),
        *_part("What was tried on it", "fuzz", folder / FUZZ, _fuzz),
    ]
    return "\n".join([*parts, ""])


def _part(title: str, command: str, folder: Path, lines: Callable[[bytes], tuple[Run, Sequence[str]]]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    files = sorted(folder.glob("*.json"))
    if not files:
        yield f"Not measured yet: `python -m benchmarks {command}`."
        yield ""
    for file in files:
        run, found = lines(file.read_bytes())
        # The page of the same figures says more of them.
        page = f"../benchmarks/results/{folder.name}/{file.stem}.md"
        where = f"{run.machine.processor}, {run.machine.cores} cores"
        yield f"By `{run.command}`, {run.finished}, on {where}: [all of it]({page})."
        yield ""
        yield from found
        yield ""


def _faults(data: bytes) -> tuple[Run, Sequence[str]]:
    results = FaultResults.model_validate_json(data)
    return results, [*rows_of_faults(results)]


def _soak(data: bytes) -> tuple[Run, Sequence[str]]:
    results = SoakResults.model_validate_json(data)
    return results, [*rows_of_soak(results)]


def _fuzz(data: bytes) -> tuple[Run, Sequence[str]]:
    results = FuzzResults.model_validate_json(data)
    return results, [*rows_of_fuzz(results)]
