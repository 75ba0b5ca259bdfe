"""What it costs to ask where the network looked: the same images one after another, with and without, in turn."""

import http.client
import statistics
from collections.abc import Sequence
from itertools import cycle, islice
from time import perf_counter

from benchmarks.machine import this_machine
from benchmarks.provenance import commit
from benchmarks.serving import serving
from benchmarks.systems import Precision, service

EXPLAIN = "&explain=Class4.1"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")

_HEAD = f"""| network | without, ms | with `{EXPLAIN[1:]}`, ms | ratio |
|---|--:|--:|--:|"""


def explaining(images: Sequence[bytes], count: int) -> str:
    """Serve both networks, and ask each so many times both ways on one connection.

    Parameters
    ----------
    images
        JPEGs.
    count
        Requests of each kind; before them, a tenth as many that don't count.

    Returns
    -------
    str
        A table of medians.
    """
    lines = [f"{this_machine('cpu').name}, commit {commit()}, {count} requests of each kind, one at a time", "", _HEAD]
    for precision in PRECISIONS:
        without, beside = _medians(precision, images, count)
        lines.append(f"| {precision} | {without:.2f} | {beside:.2f} | {beside / without:.3f} |")
    return "\n".join(lines)


def _medians(precision: Precision, images: Sequence[bytes], count: int) -> tuple[float, float]:
    system = service(precision, "cpu")
    times: dict[str, list[float]] = {"": [], EXPLAIN: []}
    with serving(system, images[0]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        warm = count // 10
        for number, image in enumerate(islice(cycle(images), warm + count)):
            # Whoever goes first changes, since the second finds the image in caches.
            for query in (*times,) if number % 2 else reversed((*times,)):
                started = perf_counter()
                connection.request("POST", system.path + query, image, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                body = answer.read()
                took = 1000 * (perf_counter() - started)
                if answer.status != http.HTTPStatus.OK or (b'"explanation"' in body) != bool(query):
                    msg = f"{precision} answers {answer.status} to {query!r}: {body[:200]!r}"
                    raise RuntimeError(msg)
                if number >= warm:
                    times[query].append(took)
        connection.close()
    return statistics.median(times[""]), statistics.median(times[EXPLAIN])
