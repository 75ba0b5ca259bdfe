"""Surveys that are measured: one that goes well, and one that everything happens to."""

import shutil
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from benchmarks.images import galaxies
from benchmarks.processes import Started
from benchmarks.serving import Server, free_port, serving
from benchmarks.survey import catalogue
from benchmarks.survey.host import ORIGINALS
from benchmarks.survey.running import ImageHost, Ran, image_host, score
from benchmarks.systems import Precision, System, service
from benchmarks.wrk import run_wrk, write_bodies

CONNECTIONS = 32
KILLED_AT = (0.2, 0.4, 0.75)
RESTARTED_AT = 0.6
FETCH_TIMEOUT_SECONDS = 5
"""How long the service waits for an image of the disturbed survey: what is slow there never comes."""

_END_SECONDS = 120

Say = Callable[[str], None]


class Steady(BaseModel):
    """A survey that goes well, beside ``POST /classify`` in the same run of the service.

    Attributes
    ----------
    seconds
        Of the whole command: starting Python, reading the catalogue, all rows, and writing the table.
    cpu_seconds
        What the client took of the processor.
    classify_per_second
        Images a second of ``POST /classify`` at 32 connections, before and after.
    resident
        MiB that the client held: after a quarter of the time, half, three quarters, all, and the most.
    wrong
        What is wrong with the table; see `benchmarks.survey.catalogue.held_against`.
    fetched_again
        Rows whose image was asked for more than once.
    """

    precision: Precision
    rows: int
    seconds: float
    cpu_seconds: float
    classify_per_second: list[float]
    resident: list[float]
    service_mib: float
    wrong: dict[str, int]
    fetched_again: int
    status: int

    @property
    def per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def ratio(self) -> float:
        """Rows a second, in units of images a second of ``POST /classify``."""
        return self.per_second / statistics.mean(self.classify_per_second)


class Disturbed(BaseModel):
    """The same survey twice, with 2 % bad URLs: undisturbed, and with a service restarted and a client killed.

    Attributes
    ----------
    seconds
        Undisturbed, and disturbed in all.
    kills, restarts
        How often the client was killed, and the service ended and started again.
    same
        Whether both tables are the same, byte for byte.
    scored_again
        How often the image of a good row was fetched once more in the disturbed survey.
    """

    precision: Precision
    rows: int
    bad: int
    seconds: tuple[float, float]
    kills: int
    restarts: int
    same: bool
    scored_again: int
    wrong: dict[str, int]
    statuses: tuple[int, int]


def _service(precision: Precision, host: ImageHost, **settings: str) -> System:
    plain = service(precision, "cpu")
    variables = {"fetch_hosts": f"127.0.0.1:{host.port}", **settings}
    return replace(plain, variables={f"GALAXYTREE_{name.upper()}": value for name, value in variables.items()})


def steady(precision: Precision, rows: int, data: Path, seconds: float, say: Say) -> Steady:
    """Measure a survey in which all goes well, and ``POST /classify`` for so many seconds before and after it."""
    images = galaxies(data, ORIGINALS).encoded
    with tempfile.TemporaryDirectory(prefix="survey") as name, image_host(data, rows) as host:
        folder = Path(name)
        bodies = write_bodies(images, folder / "bodies")
        given = catalogue.write(folder / "catalogue.csv", rows, host.port, catalogue.good)
        with serving(_service(precision, host), images[0]) as server:
            rates = [_classify(server, bodies, seconds)]
            ran = score(given, folder / "scores.parquet", server.url)
            rates.append(_classify(server, bodies, seconds))
            memory = server.process.memory().peak_once
        say(f"{precision}: {rows / ran.seconds:.0f} rows/s; /classify {rates}; {ran.said}")
        return Steady(
            precision=precision,
            rows=rows,
            seconds=ran.seconds,
            cpu_seconds=ran.cpu_seconds,
            classify_per_second=rates,
            resident=_at_quarters(ran.resident),
            service_mib=memory,
            wrong=catalogue.held_against(folder / "scores.parquet", rows, catalogue.good),
            fetched_again=sum(count > 1 for count in host.counts()),
            status=ran.status,
        )


def _classify(server: Server, bodies: Path, seconds: float) -> float:
    system = server.system
    run_wrk(server.url, system.path, bodies, system.content_type, CONNECTIONS, 1)
    return run_wrk(server.url, system.path, bodies, system.content_type, CONNECTIONS, seconds).good_per_second


def _at_quarters(resident: list[float]) -> list[float]:
    last = len(resident) - 1
    return [*(resident[last * quarter // 4] for quarter in (1, 2, 3, 4)), max(resident)]


def disturbed(precision: Precision, rows: int, data: Path, say: Say) -> Disturbed:
    """Measure a survey with 2 % bad URLs: as it is, and again while its client is killed and the service restarted."""
    kinds = [catalogue.mostly_good(row) for row in range(rows)]
    with tempfile.TemporaryDirectory(prefix="survey") as name, image_host(data, rows) as host:
        folder = Path(name)
        given, output, calm = folder / "catalogue.csv", folder / "scores.parquet", folder / "calm.parquet"
        catalogue.write(given, rows, host.port, catalogue.mostly_good)
        system = _service(precision, host, fetch_timeout_seconds=str(FETCH_TIMEOUT_SECONDS))
        port = free_port()
        with serving(system, b"", port) as server:
            plain = score(given, output, server.url)
        say(f"{precision}, 2 % bad: {plain.seconds:.0f} s, status {plain.status}; {plain.said}")
        # The same call once more, with nothing left of the first.
        output.rename(calm)
        for left in folder.glob("scores.parquet?*"):
            shutil.rmtree(left)
        before = host.counts()
        faults = Faults(system, port, host, rows)
        ran = faults.score(given, output)
        say(f"{precision}, disturbed: {sum(each.seconds for each in ran):.0f} s, {ran[-1].said}")
        counts = [after - first for first, after in zip(before, host.counts(), strict=True)]
        return Disturbed(
            precision=precision,
            rows=rows,
            bad=rows - kinds.count("good"),
            seconds=(plain.seconds, sum(each.seconds for each in ran)),
            kills=len(ran) - 1,
            restarts=faults.restarts,
            same=calm.read_bytes() == output.read_bytes(),
            scored_again=sum(count - 1 for count, kind in zip(counts, kinds, strict=True) if kind == "good" and count),
            wrong=catalogue.held_against(output, rows, catalogue.mostly_good),
            statuses=(plain.status, ran[-1].status),
        )


class Faults:
    """A client that is killed as often as is said, and a service that is restarted, as the survey goes on.

    Parameters
    ----------
    system, port
        The service, and where it is each time.
    host
        Tells how far the survey is.
    """

    def __init__(self, system: System, port: int, host: ImageHost, rows: int) -> None:
        self._system, self._port, self._host, self._rows = system, port, host, rows
        self._begun = sum(host.counts())
        self._kills = list(KILLED_AT)
        self.restarts = 0

    def score(self, given: Path, output: Path) -> list[Ran]:
        """Run the survey as often as it takes."""
        ran: list[Ran] = []
        with ExitStack() as services:
            servers = [services.enter_context(serving(self._system, b"", self._port))]

            def meanwhile(_client: Started) -> bool:
                part = (sum(self._host.counts()) - self._begun) / self._rows
                if part > RESTARTED_AT and not self.restarts:
                    self.restarts += 1
                    # Not by leaving its context, which would take along all that was started since: the client.
                    servers[-1].process.popen.terminate()
                    servers[-1].process.popen.wait(_END_SECONDS)
                    servers.append(services.enter_context(serving(self._system, b"", self._port)))
                if self._kills and part > self._kills[0]:
                    self._kills.pop(0)
                    return True
                return False

            while not ran or ran[-1].status < 0:
                ran.append(score(given, output, servers[-1].url, meanwhile))
        return ran
