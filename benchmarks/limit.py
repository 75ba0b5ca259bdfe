"""The limit of this machine: decode and network in one program, with no HTTP about them.

Every way to spread the work over the cores is tried for a moment with several sizes of batches; the two best are
measured in full, and the better one is the limit. Run as a program of its own (``python -m benchmarks.limit``), so that
it shares nothing with what measures.
"""

import itertools
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, PositiveFloat

from app.providers import cores
from benchmarks.failures import LimitError
from benchmarks.images import galaxies
from benchmarks.scoring import ROOT, Scorer

BATCHES = {"cpu": (1, 4, 8, 16, 32), "cuda": (8, 32, 64, 128)}
_WARM_UP_SECONDS, _TRIAL_SECONDS = 0.1, 0.4
_FINALISTS = 2
_PATIENCE_SECONDS = 300.0
_WORKER_ENDED = "a process that worked for the limit has ended"


class Limit(BaseModel):
    """Images a second that this machine decodes and scores.

    Attributes
    ----------
    configuration
        The way that gave the most.
    tried
        What each way gave in its short trial.
    """

    images_per_second: PositiveFloat
    configuration: str
    tried: dict[str, float]


def measure_limit(file: Path, data: Path, seconds: float, device: str = "cpu") -> Limit:
    """Measure in a program of its own; LimitError if it fails."""
    options = ["--file", str(file), "--data", str(data), "--seconds", str(seconds), "--device", device]
    command = [sys.executable, "-m", "benchmarks.limit", *options]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        msg = f"the limit was not measured within {_PATIENCE_SECONDS:g} s"
        raise LimitError(msg) from error
    if done.returncode != 0:
        msg = f"the limit could not be measured: {done.stderr.strip()[-1000:]}"
        raise LimitError(msg)
    try:
        return Limit.model_validate_json(done.stdout.strip().rpartition("\n")[2])
    except ValueError as error:
        msg = f"what measures the limit printed {done.stdout[-200:]!r}"
        raise LimitError(msg) from error


def threads(scorer: Scorer, images: Sequence[bytes], batch: int, seconds: float) -> float:
    """One thread a core, each with its own loop; a run of the network takes one thread."""
    rates = [0.0] * cores()

    def loop(place: int) -> None:
        rates[place] = _loop(scorer, images[place:], batch, seconds)

    running = [threading.Thread(target=loop, args=(place,)) for place in range(cores())]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return sum(rates)


def one_session(scorer: Scorer, images: Sequence[bytes], batch: int, seconds: float) -> float:
    """One loop; a run of the network takes all cores, and so does decoding the batch before it."""
    endless, count = itertools.cycle(images), 0
    begun = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        while time.perf_counter() - begun < seconds:
            scorer.run(list(pool.map(scorer.read, itertools.islice(endless, batch))))
            count += batch
    return count / (time.perf_counter() - begun)


class Workers:
    """One process a core, each with its own session of one thread, ready before anything is timed."""

    def __init__(self, file: Path, images: Sequence[bytes], device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Any] = []
        self._processes = []
        for place in range(cores()):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, file, images[place:], device), daemon=True)
            process.start()
            # With this end closed here too, the end of a worker is the end of its pipe.
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self._answers()

    def __call__(self, _scorer: Scorer, _images: Sequence[bytes], batch: int, seconds: float) -> float:
        """Let all work at once."""
        try:
            for pipe in self._pipes:
                pipe.send((batch, seconds))
        except OSError as error:
            raise LimitError(_WORKER_ENDED) from error
        return sum(self._answers())

    def _answers(self) -> list[float]:
        try:
            return [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError) as error:
            raise LimitError(_WORKER_ENDED) from error

    def end(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
            process.join()


def _work(pipe: Any, file: Path, images: Sequence[bytes], device: str) -> None:  # noqa: ANN401
    scorer = Scorer(file, 1, device)
    scorer.classify(images[:1])
    pipe.send(0.0)
    while True:
        batch, seconds = pipe.recv()
        pipe.send(_loop(scorer, images, batch, seconds))


def _loop(scorer: Scorer, images: Sequence[bytes], batch: int, seconds: float) -> float:
    """Return images a second by this loop's own clock: that another one ends later, in a large batch, is not its."""
    endless, count, begun = itertools.cycle(images), 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        scorer.run([scorer.read(data) for data in itertools.islice(endless, batch)])
        count += batch
    return count / (time.perf_counter() - begun)


def best(rate: Callable[[tuple[str, int], float], float], ways: Sequence[tuple[str, int]], seconds: float) -> Limit:
    """Try every way, measure the most promising in full, and return the better.

    Parameters
    ----------
    rate
        Images per second of a way and a size of batch, measured for so many seconds.
    ways
        Names of ways, with sizes of batches.
    seconds
        How long the most promising are measured.
    """
    tried = {}
    for way in ways:
        # A size of batch that is new costs ONNX Runtime memory and choices, the first time only.
        rate(way, _WARM_UP_SECONDS)
        tried[way] = rate(way, _TRIAL_SECONDS)
    finalists = sorted(tried, key=lambda way: tried[way], reverse=True)[:_FINALISTS]
    measured = {way: rate(way, seconds) for way in finalists}
    winner = max(measured, key=lambda way: measured[way])
    return Limit(
        images_per_second=measured[winner],
        configuration=_in_words(winner),
        tried={_in_words(way): round(each, 1) for way, each in tried.items()},
    )


def _in_words(way: tuple[str, int]) -> str:
    return f"{way[0]}, batches of {way[1]}"


@click.command()
@click.option("--file", type=click.Path(path_type=Path), required=True, help="ONNX file")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of Galaxy Zoo's pictures")
@click.option("--seconds", type=float, required=True, help="How long the best ways are measured")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Execution provider")
def main(file: Path, data: Path, seconds: float, device: str) -> None:
    """Measure the limit and print it as JSON."""
    images = galaxies(data).encoded
    try:
        limit = _measure(file, images, seconds, device)
    except LimitError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(limit.model_dump()))


def _measure(file: Path, images: Sequence[bytes], seconds: float, device: str) -> Limit:
    one, all_cores = Scorer(file, 1, device), Scorer(file, cores(), device)
    workers = Workers(file, images, device)
    ways: dict[str, Callable[[int, float], float]] = {
        "a thread a core": lambda batch, span: threads(one, images, batch, span),
        "a process a core": lambda batch, span: workers(one, images, batch, span),
        "one session of all cores": lambda batch, span: one_session(all_cores, images, batch, span),
    }
    pairs = [(way, batch) for way in ways for batch in BATCHES[device]]
    try:
        return best(lambda way, span: ways[way[0]](way[1], span), pairs, seconds)
    finally:
        workers.end()


if __name__ == "__main__":
    main()
