"""What can be set of a run."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from benchmarks.scoring import ROOT
from galaxytree.options import Options

RESULTS = Path(__file__).parent / "results"
PARTIAL_RESULTS = ROOT / "reports" / "benchmarks"
"""Where runs go that leave something out: no figures of theirs are to be published."""

CONNECTIONS = (1, 8, 32, 128)
BUSY = (8, 32, 128)
"""Loads at which the service is held against its peers."""
_QUICK_SECONDS = 1.0
_QUICK_SCALE = 0.1


class BenchSettings(Options):
    """What `run` is given."""

    env_prefix: ClassVar[str] = "GALAXYTREE_BENCH_"

    quick: Annotated[
        bool, Field(description="One round, a second each, scenarios a tenth as long: to see that it runs")
    ] = False
    rounds: Annotated[int, Field(gt=0, le=100, description="Times that everything is measured, in turn")] = 3
    seconds: Annotated[float, Field(gt=0, le=600, description="How long each load lasts")] = 4.0
    precision: Annotated[
        Literal["fp32", "int8", "both"], Field(description="Network that is measured; both, as far as there are both")
    ] = "both"
    device: Annotated[Literal["cpu", "cuda"], Field(description="Where the network runs, everywhere")] = "cpu"
    scenarios: Annotated[bool, Field(description="Whether to measure more than steady load")] = True
    data: Annotated[
        Path, Field(description="Folder with Galaxy Zoo's pictures; where it has none, galaxies are made up")
    ] = Path("../shared/galaxy-zoo")
    output: Annotated[
        Path | None,
        Field(
            description="Folder for the results; not set: benchmarks/results, or reports/benchmarks of part of a run"
        ),
    ] = None

    @property
    def each_seconds(self) -> float:
        """How long a load lasts."""
        return _QUICK_SECONDS if self.quick else self.seconds

    @property
    def each_round(self) -> range:
        """The rounds, counted from 1."""
        return range(1, 2 if self.quick else self.rounds + 1)

    @property
    def scale(self) -> float:
        """By how much scenarios are shortened."""
        return _QUICK_SCALE if self.quick else 1.0

    @property
    def precisions(self) -> tuple[Literal["fp32", "int8"], ...]:
        """Networks that are asked for."""
        return ("fp32", "int8") if self.precision == "both" else (self.precision,)

    @property
    def shortened(self) -> bool:
        """Whether a run with these is less than what the table asks for."""
        full = BenchSettings()
        return (
            self.quick
            or not self.scenarios
            or self.precision != "both"
            or self.rounds < full.rounds
            or self.seconds < full.seconds
        )
