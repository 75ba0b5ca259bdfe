"""What a run measured: one file of JSON, from which table and plot are written."""

import math
import statistics
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel

from benchmarks.failures import reason
from benchmarks.limit import Limit
from benchmarks.machine import Machine
from benchmarks.percentiles import Percentiles
from benchmarks.processes import Memory
from benchmarks.provenance import Measured
from benchmarks.scenarios.attacks import Attacked
from benchmarks.scenarios.crowd import Crowd
from benchmarks.scenarios.memory import LongRun
from benchmarks.scenarios.mixed import Mixed
from benchmarks.scenarios.open_loop import OpenLoop
from benchmarks.scenarios.start import Start
from benchmarks.systems import Precision
from benchmarks.wrk import Load


class LimitRow(BaseModel):
    """The limit in one round; ``busy``: what part of the processor others used just before."""

    round: int
    precision: Precision
    limit: Limit
    busy: float = 0.0


class Row(BaseModel):
    """One system under one load in one round.

    Attributes
    ----------
    memory
        After the load, and the peak during it.
    busy
        What part of the processor others used just before the system was started.
    """

    round: int
    precision: Precision
    system: str
    variant: str
    load: Load
    memory: Memory
    busy: float = 0.0


class TailRow(BaseModel):
    """Times of the service under load in one round, by the project's own client, which sees each of them."""

    round: int
    precision: Precision
    connections: int
    times: Percentiles
    statuses: dict[str, int]
    client_per_thousand: float


class Scenarios(BaseModel):
    """What the service was put through besides, with one precision; None: that was not measured.

    Attributes
    ----------
    limit
        Images a second that this machine could do just before.
    ended
        Scenarios that the service did not live to the end of, or did not come up for, and what was seen of that.
    """

    precision: Precision
    limit: float | None = None
    ended: dict[str, str] = {}
    open_loop: OpenLoop | None = None
    mixed: Mixed | None = None
    patient_crowd: Crowd | None = None
    impatient_crowd: Crowd | None = None
    attacks: list[Attacked] = []
    memory: LongRun | None = None
    start: Start | None = None


class Results(BaseModel):
    """Everything that a run measured.

    Attributes
    ----------
    command
        What was called.
    finished
        Date and time (UTC).
    images
        What was sent, in words.
    commit, model, peers
        What was measured; of peers, their releases.
    whole
        Whether this is the run that the table asks for: nothing left out, nothing shortened, the end reached.
    complete
        Whether limit, service and scenarios have all been measured that were asked for until now.
    skipped
        What was not measured, and why.
    """

    command: str
    finished: str
    machine: Machine
    device: str
    images: str
    seconds: float
    rounds: int
    commit: str
    model: Measured
    peers: dict[str, str] = {}
    whole: bool = False
    complete: bool = True
    limits: list[LimitRow] = []
    rows: list[Row] = []
    tails: list[TailRow] = []
    scenarios: list[Scenarios] = []
    skipped: dict[str, str] = {}

    def skip(self, what: str, error: Exception, *, peer: bool = False) -> None:
        """Note what was not measured and why; the run is complete without it only if it is a peer."""
        self.skipped[what] = reason(error)
        self.complete = self.complete and peer

    @property
    def precisions(self) -> list[Precision]:
        """Those of which anything was measured."""
        found = {row.precision for row in self.rows}
        found |= {each.precision for each in self.limits}
        found |= {each.precision for each in self.scenarios}
        return sorted(found)

    def limit_of(self, precision: Precision, in_round: int | None = None) -> float | None:
        """Return images per second of one round, or the median of all; None if it was not measured."""
        found = [
            each.limit.images_per_second
            for each in self.limits
            if each.precision == precision and in_round in {None, each.round}
        ]
        return statistics.median(found) if found else None

    def tail_ratio(self, precision: Precision) -> float | None:
        """Return the median over rounds of p99 by the own client, in units of connections / limit of the same round."""
        return _median(
            row.times.p99_ms * limit / (1000 * row.connections)
            for row in self.tails
            if row.precision == precision and (limit := self.limit_of(precision, row.round))
        )

    def series(self) -> list["Series"]:
        """Return what was measured, gathered over the rounds."""
        gathered: dict[tuple[Precision, str, str, int], list[Row]] = {}
        for row in self.rows:
            gathered.setdefault((row.precision, row.system, row.variant, row.load.connections), []).append(row)
        return [
            Series(precision, system, variant, connections, rows, [self.limit_of(precision, row.round) for row in rows])
            for (precision, system, variant, connections), rows in gathered.items()
        ]


class Series:
    """One system under one load, in all rounds that it was measured in.

    Parameters
    ----------
    rows
        One a round.
    limits
        The limit in the same rounds; None where it was not measured.
    """

    def __init__(
        self,
        precision: Precision,
        system: str,
        variant: str,
        connections: int,
        rows: list[Row],
        limits: list[float | None],
    ) -> None:
        self.precision, self.system, self.variant, self.connections = precision, system, variant, connections
        self.rows, self._limits = rows, limits

    @property
    def label(self) -> str:
        """Name and variant."""
        return f"{self.system} ({self.variant})" if self.variant else self.system

    @property
    def per_second(self) -> list[float]:
        """Requests a second that were answered well, in each round."""
        return [row.load.good_per_second for row in self.rows]

    @property
    def median(self) -> float:
        """Their median."""
        return statistics.median(self.per_second)

    @property
    def ratio(self) -> float | None:
        """The median over rounds of the part of the same round's limit."""
        return _median(rate / limit for rate, limit in zip(self.per_second, self._limits, strict=True) if limit)

    @property
    def tail_ratio(self) -> float | None:
        """The median over rounds of wrk's p99, in units of connections / limit of the same round."""
        pairs = zip(self.rows, self._limits, strict=True)
        return _median(row.load.p99_ms * limit / (1000 * self.connections) for row, limit in pairs if limit)

    def over(self, other: "Series") -> float | None:
        """Return the median over common rounds of how many times as many requests a second this has as another."""
        rates = {row.round: row.load.good_per_second for row in other.rows}
        return _median(row.load.good_per_second / rates[row.round] for row in self.rows if rates.get(row.round))

    def time_ms(self, name: Literal["p50_ms", "p95_ms", "p99_ms"]) -> float:
        """Return the median over rounds of a percentile of the time to an answer."""
        times: list[float] = [getattr(row.load, name) for row in self.rows]
        return statistics.median(times)

    @property
    def failed(self) -> int:
        """Requests that were not answered 200, in all rounds."""
        return sum(row.load.failed for row in self.rows)

    @property
    def requests(self) -> int:
        """Requests that were answered, in all rounds."""
        return sum(row.load.requests for row in self.rows)

    @property
    def memory(self) -> Memory:
        """Memory in the round that took the most."""
        return max((row.memory for row in self.rows), key=lambda memory: memory.peak)


def find(
    series: Iterable[Series], precision: str, connections: int, system: str, variant: str | None = None
) -> Series | None:
    """Return the best of what is asked for, by requests a second; None if it was not measured.

    Where anything was measured in two rounds or more, what was measured in one does not count: that can be a lucky one.
    """
    found = [
        each
        for each in series
        if (each.precision, each.connections, each.system) == (precision, connections, system)
        and variant in {None, each.variant}
    ]
    least = min(2, max((len(each.rows) for each in found), default=0))
    return max((each for each in found if len(each.rows) >= least), key=lambda each: each.median, default=None)


def _median(values: Iterable[float]) -> float | None:
    """Return the median; None of nothing, and NaN if one of them is."""
    found = list(values)
    if any(math.isnan(each) for each in found):
        return math.nan
    return statistics.median(found) if found else None
