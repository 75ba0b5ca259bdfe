"""What was counted, and what is the case now, as Prometheus's metrics: made when somebody asks, by its own client."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from app.errors import ReloadRefusedError, TryLaterError
from app.lifecycle import State
from app.processes import resident_bytes_of_workers
from app.providers import CPU, cores
from app.routes.classify import PATH
from app.telemetry import metrics as m
from app.telemetry.gpu import Gpus
from app.telemetry.metrics import Metric
from app.telemetry.numbers import OK, REPLACED, UNCHANGED, Spread

if TYPE_CHECKING:
    from app.pool import Pool
    from app.service import Service

SCORED = "scored"
_TRY_LATER = frozenset({429, 503})

Series = Iterable[tuple[tuple[str, ...], float]]


def registry_of(service: "Service") -> CollectorRegistry:
    """Return all that a service's metrics are made of."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(service))
    ProcessCollector(registry=registry)
    return registry


class ServiceCollector(Collector):
    """Makes metrics of a service.

    Parameters
    ----------
    service
    """

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._gpus: Gpus | None = None

    def collect(self) -> Iterator[Family]:
        """Yield what there is."""
        yield from self._requests()
        yield from self._images()
        yield from self._queue()
        yield from self._fetches()
        yield from self._workers()
        yield from self._state()
        yield from self._keys()
        yield from self._gpu()
        log = self._service.telemetry.access_log
        yield _counter(m.LOG_LINES_LOST, {(): 0 if log is None else log.lost}.items())

    def _requests(self) -> Iterator[Family]:
        numbers = self._service.telemetry.numbers
        requests = dict(numbers.requests)
        # Known from the beginning, so that the first one is seen to be one more.
        rejected: Counter[tuple[str, ...]] = Counter({(each.code,): 0 for each in TryLaterError.__subclasses__()})
        for (_, _, status, code), count in requests.items():
            if status in _TRY_LATER:
                rejected[(code,)] += count
        series = (((route, method, str(status), code), count) for (route, method, status, code), count in
                  requests.items())  # fmt: skip
        yield _counter(m.REQUESTS, series)
        yield _histogram(m.REQUEST_SECONDS, {(route,): spread for route, spread in numbers.seconds.items()})
        yield _counter(m.REJECTED, rejected.items())
        yield _counter(m.DRAINED, [((), numbers.drained)])
        yield _counter(m.MALFORMED, [((), numbers.malformed)])

    def _images(self) -> Iterator[Family]:
        numbers = self._service.telemetry.numbers
        images: Counter[tuple[str, ...]] = Counter()
        for (route, method, _, code), count in numbers.requests.items():
            if route == PATH and method == "POST":
                images["single", _outcome(code)] += count
        for code, count in numbers.items.items():
            images["batch", _outcome(code)] += count
        for code, count in numbers.inferred.items():
            images["infer", _outcome(code)] += count
        yield _counter(m.IMAGES, images.items())
        stages = {"decode": numbers.decode, "queue": numbers.queue, "infer": numbers.infer, "whole": numbers.image}
        yield _histogram(m.STAGE_SECONDS, {(stage,): spread for stage, spread in stages.items()})
        yield _histogram(m.RUN_IMAGES, {(): numbers.runs})

    def _queue(self) -> Iterator[Family]:
        admission = self._service.admission
        pools = self._pools()
        yield _gauge(m.QUEUE_IMAGES, [((), admission.images)])
        yield _gauge(m.QUEUE_IMAGES_LIMIT, [((), admission.max_images)])
        yield _gauge(m.QUEUE_BYTES, [((), admission.bytes)])
        yield _gauge(m.QUEUE_BYTES_LIMIT, [((), admission.max_bytes)])
        yield _gauge(m.QUEUE_AGE, [((), max((pool.oldest_seconds() for pool in pools), default=0.0))])
        yield _gauge(m.QUEUE_TURNS, [((), admission.waiting)])
        yield _gauge(m.BATCHES, [((), admission.batches)])
        yield _gauge(m.BATCHES_LIMIT, [((), admission.max_batches)])

    def _pools(self) -> "list[Pool]":
        return [live.pool for live in self._service.roster.live]

    def _fetches(self) -> Iterator[Family]:
        numbers = self._service.telemetry.numbers
        yield _counter(m.FETCHES, numbers.fetches.items())
        yield _histogram(m.FETCH_SECONDS, {(host,): spread for host, spread in numbers.fetch_seconds.items()})

    def _workers(self) -> Iterator[Family]:
        yield _gauge(m.WORKERS, [((), sum(pool.alive for pool in self._pools()))])
        each = self._service.settings.workers or cores()
        lives = self._service.roster.live
        wanted = sum(each if live.running.provider == CPU else 1 for live in lives) if lives else each
        yield _gauge(m.WORKERS_WANTED, [((), wanted)])
        yield _counter(m.RESTARTS, [((), self._service.telemetry.numbers.restarts)])
        yield _counter(m.WITHOUT_MEMORY, [((), self._service.telemetry.numbers.without_memory)])
        # Known from the beginning, as above.
        reloads = {REPLACED: 0, UNCHANGED: 0, ReloadRefusedError.code: 0, **self._service.telemetry.numbers.reloads}
        yield _counter(m.RELOADS, (((outcome,), count) for outcome, count in reloads.items()))
        yield _gauge(m.WORKER_MEMORY, [((), resident_bytes_of_workers())])

    def _state(self) -> Iterator[Family]:
        service = self._service
        yield _gauge(m.READY, [((), float(service.is_ready))])
        yield _gauge(m.STATE, [((state,), float(service.lifecycle.state is state)) for state in State])
        models = {
            (card.name, card.version, live.network_sha256, live.running.precision, live.running.provider): 1.0
            for live in service.roster.live
            for card in (live.folder.card,)
        }
        yield _gauge(m.MODEL, models.items())
        yield _gauge(m.BUILD, [((version("galaxytree"),), 1.0)])

    def _keys(self) -> Iterator[Family]:
        keys, file = self._service.access.keys, self._service.keys_file
        yield _gauge(m.KEYS, [] if keys is None else [((), len(keys.keys))])
        yield _gauge(m.KEYS_FILE_OK, [] if file is None else [((), float(file.is_valid))])

    def _gpu(self) -> Iterator[Family]:
        if all(live.running.provider == CPU for live in self._service.roster.live):
            return
        if self._gpus is None:
            self._gpus = Gpus()
        gpus = self._gpus.look()
        memory = {
            (str(gpu.number), kind): size for gpu in gpus for kind, size in (("used", gpu.used), ("total", gpu.total))
        }
        yield _gauge(m.GPU_MEMORY, memory.items())
        yield _gauge(m.GPU_BUSY, [((str(gpu.number),), gpu.busy) for gpu in gpus if gpu.busy is not None])


def _outcome(code: str) -> str:
    return SCORED if code == OK else code


def _gauge(metric: Metric, series: Series) -> Family:
    family = GaugeMetricFamily(metric.shown, metric.says, labels=metric.labels)
    for labels, value in series:
        family.add_metric(labels, value)
    return family


def _counter(metric: Metric, series: Series) -> Family:
    family = CounterMetricFamily(metric.shown, metric.says, labels=metric.labels)
    for labels, value in series:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, spreads: Mapping[tuple[str, ...], Spread]) -> Family:
    family = HistogramMetricFamily(metric.shown, metric.says, labels=metric.labels)
    for labels, spread in spreads.items():
        bounds = [*(str(bound) for bound in spread.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(spread.counts), strict=True))
        family.add_metric(labels, buckets, spread.total)
    return family
