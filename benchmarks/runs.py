"""What the results of every proof say of their run, and how they are written."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from benchmarks.machine import Machine, this_machine
from benchmarks.provenance import Measured, commit, model

MARKS = {True: "met", False: "**not met**", None: "not done"}


class Run(BaseModel):
    """A run, and where it was made.

    Attributes
    ----------
    whole
        Whether this is what is to be published: nothing left out, nothing shortened, the end reached.
    """

    command: str
    finished: str = ""
    machine: Machine
    commit: str
    model: Measured
    whole: bool = False

    @classmethod
    def begin(cls, command: str) -> Self:
        """Look at where this is."""
        return cls(command=command, machine=this_machine(), commit=commit(), model=model())

    def finish(self, *, whole: bool) -> None:
        """Note that the run has ended."""
        self.whole = whole
        self.finished = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")

    def about(self) -> Iterator[str]:
        """Return where the figures come from, as lines of Markdown."""
        if not self.whole:
            yield "**A part of a run, or a shortened one: not to be published.**"
            yield ""
        yield f"- **Made by** `{self.command}`, {self.finished}."
        sums = ", ".join(f"{precision} sha256 {each}" for precision, each in self.model.sha256.items())
        yield f"- **Measured**: commit {self.commit}; {self.model.name} {self.model.version}, {sums}."
        yield f"- **Machine**: {self.machine.processor}, {self.machine.cores} cores, {self.machine.kernel}."

    def write(self, folder: Path, lines: Sequence[str]) -> Path:
        """Write figures and page to a folder of their kind; return where the page is."""
        stem = folder / self.machine.name
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".json").write_text(self.model_dump_json(indent=1) + "\n", "utf-8")
        page = stem.with_suffix(".md")
        page.write_text("\n".join(lines) + "\n", "utf-8")
        return page


def table(head: Sequence[str], rows: Iterator[Sequence[str]], numbers: Sequence[int] = ()) -> Iterator[str]:
    """Return a table of Markdown; columns of numbers are set to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('--:' if place in numbers else '---' for place in range(len(head)))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
