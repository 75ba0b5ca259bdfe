"""The fuzzers and Schemathesis of the tests, with more inputs than `make test` has; and their counts."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from benchmarks.failures import NotMeasuredError
from benchmarks.runs import MARKS, Run, table
from benchmarks.scoring import ROOT
from benchmarks.settings import PARTIAL_RESULTS, RESULTS
from galaxytree.options import Options

FUZZ = "fuzz"
CASES, INPUTS = 5_000, 200_000
SCHEMATHESIS = "cases of Schemathesis"
_KINDS = 7
"""Into so many the inputs are divided; see `tests.fuzz`."""

_MORE_CASES = 1.5
"""Some routes have fewer cases that differ than they are asked for."""

_WORDS = 30


class FuzzSettings(Options):
    """What `fuzz` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_FUZZ_"

    cases: Annotated[int, Field(gt=0, description="Cases of Schemathesis, at least")] = CASES
    inputs: Annotated[int, Field(gt=0, description="Inputs of the fuzzers, at least")] = INPUTS
    processes: Annotated[int, Field(gt=0, le=64, description="How many work side by side")] = 2
    output: Annotated[
        Path | None,
        Field(description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of fewer inputs"),
    ] = None


class FuzzResults(Run):
    """What was tried, and how that went.

    Attributes
    ----------
    counts
        How many of each kind.
    passed
        Whether nothing was found.
    said
        The last line of pytest.
    """

    counts: dict[str, int] = Field(default_factory=dict)
    passed: bool = False
    said: str = ""
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many cases of Schemathesis there were."""
        return self.counts.get(SCHEMATHESIS, 0)

    @property
    def inputs(self) -> int:
        """How many inputs of fuzzers there were."""
        return sum(self.counts.values()) - self.cases


def run_fuzz(settings: FuzzSettings, command: str, say: Callable[[str], None]) -> Path:
    """Try everything, and return the page.

    Raises
    ------
    NotMeasuredError
        If what the tests need is not installed.
    """
    if not all(importlib.util.find_spec(each) for each in ("pytest", "hypothesis", "schemathesis", "xdist")):
        msg = "the fuzzers are tests, which need what `make test` installs: pip install -e '.[dev]'"
        raise NotMeasuredError(msg)
    results = FuzzResults.begin(command)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="counts") as folder:
        numbers = {"FUZZ_CASES": round(_MORE_CASES * settings.cases), "FUZZ_INPUTS": -(-settings.inputs // _KINDS)}
        environment = {**os.environ, "FUZZ_COUNTS": folder, **{name: str(each) for name, each in numbers.items()}}
        words = ["tests/fuzz", "-q", "-p", "no:logging", "-n", str(settings.processes), "--dist", "load"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        counts: Counter[str] = Counter()
        for file in Path(folder).glob("*.json"):
            counts.update(json.loads(file.read_bytes()))
    lines = done.stdout.strip().splitlines()
    results.counts = dict(sorted(counts.items()))
    results.passed, results.said = done.returncode == 0, lines[-1] if lines else "pytest said nothing"
    results.seconds = time.perf_counter() - begun
    for line in lines[-1:] if results.passed else lines[-_WORDS:]:
        say(line)
    results.finish(whole=results.cases >= CASES and results.inputs >= INPUTS)
    return publish(results, settings.output or (RESULTS if results.whole else PARTIAL_RESULTS))


def publish(results: FuzzResults, folder: Path) -> Path:
    """Write figures and page; return where the page is."""
    head = [f"# Fuzzing: {results.machine.name}", "", *results.about(), ""]
    return results.write(folder / FUZZ, [*head, *rows(results)])


def rows(results: FuzzResults) -> Iterator[str]:
    """Return the table."""
    found = "nothing" if results.passed else f"**{results.said}**"
    asked = {SCHEMATHESIS: CASES, "inputs of fuzzers, in all": INPUTS}
    reached = {SCHEMATHESIS: results.cases, "inputs of fuzzers, in all": results.inputs}
    lines = [
        (name, f"{reached[name]:,}", f"{number:,}", found, MARKS[results.passed and reached[name] >= number])
        for name, number in asked.items()
    ]
    lines += [(name, f"{number:,}", "", "", "") for name, number in results.counts.items() if name != SCHEMATHESIS]
    yield from table(("tried", "number", "asked for", "found", ""), iter(lines), (1, 2))
