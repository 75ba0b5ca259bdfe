"""Settings of a comparison."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from galaxytree.options import Options
from training.settings import DATA_FILE

_GALAXIES_SEEN, _QUICK_GALAXIES_SEEN = 100_000, 3_200
_DRAWABLE = (".png", ".svg")
_OUTPUT, _QUICK_OUTPUT = Path("runs/compare"), Path("runs/compare-quick")


class CompareSettings(Options):
    """What `compare` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_COMPARE_"

    data: Annotated[Path, Field(description="Array file made by `prepare`")] = DATA_FILE
    quick: Annotated[
        bool, Field(description="Show that all works: a small budget, results in a folder of their own")
    ] = False
    systems: Annotated[
        str, Field(description="Names of those to train and measure, with commas between them; `all` for all")
    ] = "all"
    galaxies_seen: Annotated[
        int | None,
        Field(
            gt=0,
            description="How many galaxies every network sees in training, a galaxy counted each time; not set: "
            f"{_GALAXIES_SEEN}, or {_QUICK_GALAXIES_SEEN} with --quick",
        ),
    ] = None
    batch_size: Annotated[int, Field(gt=0, description="Galaxies a step")] = 32
    output: Annotated[
        Path | None,
        Field(
            description="Folder of the results, a JSON file a system; not set: "
            f"{_OUTPUT}, or {_QUICK_OUTPUT} with --quick"
        ),
    ] = None
    table: Annotated[
        Path | None,
        Field(
            description="Markdown file to write the table into, between its marks if it is there; not set: "
            "docs/compare.md, or table.md in the folder of the results with --quick"
        ),
    ] = None
    plot: Annotated[
        Path | None,
        Field(
            description="Picture of the table to draw (PNG or SVG by its ending); not set: "
            "docs/figures/compare.png, or compare.png in the folder of the results with --quick"
        ),
    ] = None
    precision: Annotated[Literal["bf16", "float32"], Field(description="Arithmetic of the forward passes")] = "bf16"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where to train")] = "auto"
    threads: Annotated[int, Field(ge=0, description="CPU threads; 0 leaves it to PyTorch")] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Seed of all that is random")] = 1

    @field_validator("plot")
    @classmethod
    def _drawable(cls, plot: Path | None) -> Path | None:
        if plot is not None and plot.suffix.lower() not in _DRAWABLE:
            msg = f"{plot} ends in none of {', '.join(_DRAWABLE)}"
            raise ValueError(msg)
        return plot

    @property
    def steps(self) -> int:
        """Batches that every network sees."""
        wanted = self.galaxies_seen or (_QUICK_GALAXIES_SEEN if self.quick else _GALAXIES_SEEN)
        return max(wanted // self.batch_size, 1)

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return self.output or (_QUICK_OUTPUT if self.quick else _OUTPUT)

    @property
    def table_file(self) -> Path:
        """Where the table is written."""
        return self.table or (self.folder / "table.md" if self.quick else Path("docs/compare.md"))

    @property
    def plot_file(self) -> Path:
        """Where the plot is drawn."""
        return self.plot or (self.folder / "compare.png" if self.quick else Path("docs/figures/compare.png"))
