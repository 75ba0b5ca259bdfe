"""The names of all that ``GET /metrics`` tells, and what they mean: the docs have this table."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

PREFIX = "galaxytree_"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name
        Without the prefix; that of a counter is shown with ``_total`` behind it.
    kind
    labels
        What tells its series apart.
    says
        What it is, in a sentence.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    says: str

    @property
    def shown(self) -> str:
        """The name as it is asked for."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


REQUESTS = Metric(
    "requests",
    "counter",
    ("route", "method", "status", "code"),
    "Requests that are over, by route, method, status, and `ok` or the code of the problem that was answered. 499 "
    "`cut_off`: the client went before it was answered; another status with `cut_off`: the answer broke off. Paths and "
    "methods that the service doesn't have are `other`",
)
REQUEST_SECONDS = Metric(
    "request_duration_seconds",
    "histogram",
    ("route",),
    "What a request took, from its head to the end of its answer: so with the time in which its body came in, but for "
    "small ones that came whole",
)
STAGE_SECONDS = Metric(
    "stage_duration_seconds",
    "histogram",
    ("stage",),
    "What an image took that got its answer, alone or in a batch: `decode` from bytes to pixels, `queue` waiting for "
    "that and for its run, `infer` its run, `whole` all of it, from its last byte to its answer",
)
IMAGES = Metric(
    "images",
    "counter",
    ("way", "outcome"),
    "What became of each image that was asked for, by `POST /classify` (`single`), as an item of a batch (`batch`) or "
    "in a request of the Open Inference Protocol (`infer`): `scored`, or the code of the problem. All images of an "
    "`infer` request fare alike; of one that is refused before it is known how many it has, none is counted",
)
RUN_IMAGES = Metric(
    "run_images",
    "histogram",
    (),
    "Images that the network scored in one run, each counted once a view",
)
QUEUE_IMAGES = Metric(
    "queue_images",
    "gauge",
    (),
    "Images in decoding, waiting and inference together, each counted once a view",
)
QUEUE_IMAGES_LIMIT = Metric("queue_images_limit", "gauge", (), "How many there may be (`queue_images`)")
QUEUE_BYTES = Metric("queue_bytes", "gauge", (), "Bytes of images being received or in service")
QUEUE_BYTES_LIMIT = Metric("queue_bytes_limit", "gauge", (), "How many there may be (`queue_bytes`)")
QUEUE_AGE = Metric(
    "queue_age_seconds",
    "gauge",
    (),
    "For how long the image has waited for its answer that has waited the longest; 0 if none waits",
)
QUEUE_TURNS = Metric(
    "queue_waiting_items",
    "gauge",
    (),
    "Items of batches that wait to be let in, and are not in the queue yet",
)
BATCHES = Metric("batches", "gauge", (), "Batches in service")
BATCHES_LIMIT = Metric("batches_limit", "gauge", (), "How many there may be (`batches`)")
FETCHES = Metric(
    "fetches",
    "counter",
    ("host", "outcome"),
    "Images fetched for items of batches, by host: the name of one that is listed by default, `private-listed` if any "
    "that was asked on the way has no public address, else `other`; and `ok` or the code of the problem",
)
FETCH_SECONDS = Metric(
    "fetch_duration_seconds",
    "histogram",
    ("host",),
    "What a fetch took, with waiting for its turn, redirects, tries and pauses",
)
REJECTED = Metric(
    "rejected",
    "counter",
    ("code",),
    "Requests that were told to try again later: those with status 429 or 503 among `requests`",
)
DRAINED = Metric("drained_requests", "counter", (), "Requests that were finished after the service was asked to end")
MALFORMED = Metric("malformed_requests", "counter", (), "Connections that were closed since what came was no HTTP")
WORKERS = Metric("workers", "gauge", (), "Workers that run")
WORKERS_WANTED = Metric("workers_wanted", "gauge", (), "Workers that are to run")
RESTARTS = Metric("worker_restarts", "counter", (), "Workers that died or hung, and were replaced")
WITHOUT_MEMORY = Metric(
    "runs_without_memory",
    "counter",
    (),
    "Runs of the network for which there was no memory; such a run is made again in halves, down to a single view",
)
RELOADS = Metric(
    "reloads",
    "counter",
    ("outcome",),
    "Times that the models were read again: `replaced`, `unchanged`, or the code of why what ran stayed, such as "
    "`model_refused`",
)
WORKER_MEMORY = Metric(
    "workers_resident_memory_bytes", "gauge", (), "Memory of all processes that run the network together"
)
READY = Metric("ready", "gauge", (), "1 if `GET /health/ready` says 200")
STATE = Metric("state", "gauge", ("state",), "1 for the state that the service is in: `starting`, `ready`, `draining`")
MODEL = Metric(
    "model_info",
    "gauge",
    ("name", "version", "sha256", "precision", "provider"),
    "1, with what answers: name and version of the model, SHA-256 of the ONNX file that runs, its precision, and ONNX "
    "Runtime's execution provider",
)
BUILD = Metric("build_info", "gauge", ("version",), "1, with the service's version")
GPU_MEMORY = Metric(
    "gpu_memory_bytes", "gauge", ("gpu", "kind"), "Memory of each GPU, `used` by whatever process, and `total`"
)
GPU_BUSY = Metric("gpu_utilization_ratio", "gauge", ("gpu",), "Part of the last moment in which a GPU computed")
KEYS = Metric(
    "api_keys",
    "gauge",
    (),
    "API keys that are valid, 0 if nobody has one; where no file of keys is set there is no such series",
)
KEYS_FILE_OK = Metric(
    "api_keys_file_ok",
    "gauge",
    (),
    "1 if what the file of keys says now is what is valid; 0 while it can't be read, makes no sense or is gone, and "
    "the keys from before stay. Where no file of keys is set there is no such series",
)
LOG_LINES_LOST = Metric(
    "access_log_lines_lost", "counter", (), "Lines of the access log that could not be written, or not fast enough"
)

ALL = tuple(each for each in tuple(globals().values()) if isinstance(each, Metric))
"""All of them, in their order here."""

PROCESS = {
    "process_resident_memory_bytes": "Memory of the process that speaks HTTP",
    "process_virtual_memory_bytes": "Addresses that it has",
    "process_cpu_seconds_total": "Processor time that it took",
    "process_start_time_seconds": "When it was started",
    "process_open_fds": "Its open files and sockets",
    "process_max_fds": "How many it may have",
}
"""What `prometheus_client` tells of the process on Linux."""
