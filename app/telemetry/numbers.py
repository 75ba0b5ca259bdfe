"""What is counted while requests are served: plain numbers, which are only made metrics of when somebody asks.

Counting happens for every request and every image, in the one thread that serves them all; being asked happens a few
times a minute. So a count here is an addition to a dictionary or a list, and names, labels and text are for
`app.telemetry.collector`.
"""

from bisect import bisect_left
from collections import defaultdict

STAGE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: from decoding a small picture to the longest that an image is waited for."""

REQUEST_BOUNDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds: batches may take hours."""

RUN_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Images of a run, each counted once a view."""

OK = "ok"
CUT_OFF = "cut_off"
"""What became of a request whose client went, or whose answer has no proper end."""

GONE = 499
"""Status of a request whose client went before it was answered: the one that proxies have for it."""

REPLACED, UNCHANGED = "replaced", "unchanged"
"""What came of a reload that found new models, or none."""

Answer = tuple[str, str, int, str]
"""Of requests with the same: route, method, status, code."""


class Spread:
    """How values are spread: how many there are up to each of some bounds, and what they add up to.

    Parameters
    ----------
    bounds
        In ascending order; beyond the last one there may be values too.

    Attributes
    ----------
    counts
        How many values there are between the bound before, exclusive, and each bound, inclusive; those beyond come
        last.
    total
        What the values add up to.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Numbers:
    """All that is counted. It belongs to the event loop's thread.

    Attributes
    ----------
    requests
        How many requests were answered so; that of one is noted when its answer is complete, or it is known that it
        won't be.
    seconds
        What they took, by route.
    drained
        How many of them ended while the service was asked to end.
    malformed
        How many connections were closed since what came was no HTTP.
    items
        Of batches: how many became what, `OK` or the code of an error.
    inferred
        The same of the images of requests of the Open Inference Protocol; `CUT_OFF` where the client went.
    decode, queue, infer, image
        Seconds that an image took which got its answer: from bytes to pixels, waiting, its run, and all of it, from
        its last byte.
    runs
        How many views were scored together.
    fetches
        By kind of host and what became of it.
    fetch_seconds
        By kind of host.
    without_memory
        How many runs there was no memory for; those of more than one view were made again in halves.
    restarts
        How many workers died or hung, and were replaced.
    reloads
        How many reloads came to what: `REPLACED`, `UNCHANGED`, or the code of an error.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[Answer, int] = defaultdict(int)
        self.seconds: dict[str, Spread] = {}
        self.drained = 0
        self.malformed = 0
        self.items: defaultdict[str, int] = defaultdict(int)
        self.inferred: defaultdict[str, int] = defaultdict(int)
        self.decode = Spread(STAGE_BOUNDS)
        self.queue = Spread(STAGE_BOUNDS)
        self.infer = Spread(STAGE_BOUNDS)
        self.image = Spread(STAGE_BOUNDS)
        self.runs = Spread(RUN_BOUNDS)
        self.fetches: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.fetch_seconds: dict[str, Spread] = {}
        self.without_memory = 0
        self.restarts = 0
        self.reloads: defaultdict[str, int] = defaultdict(int)

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count a request."""
        self.requests[answer] += 1
        spread = self.seconds.get(answer[0])
        if spread is None:
            spread = self.seconds[answer[0]] = Spread(REQUEST_BOUNDS)
        spread.note(seconds)

    def scored(self, decode: float, queue: float, infer: float) -> None:
        """Count an image that got its answer."""
        self.decode.note(decode)
        self.queue.note(queue)
        self.infer.note(infer)
        self.image.note(decode + queue + infer)

    def fetched(self, host: str, outcome: str, seconds: float) -> None:
        """Count a fetch."""
        self.fetches[host, outcome] += 1
        spread = self.fetch_seconds.get(host)
        if spread is None:
            spread = self.fetch_seconds[host] = Spread(REQUEST_BOUNDS)
        spread.note(seconds)
