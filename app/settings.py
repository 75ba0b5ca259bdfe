"""All settings of the service: one frozen value, from environment variables and the options of ``galaxytree serve``."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.access_settings import (
    AddressLimits,
    Connections,
    CorsOrigins,
    HeadTimeoutSeconds,
    HostNames,
    KeepAliveSeconds,
    MaxHeadBytes,
    PublicMetrics,
    RequireKeys,
    SendTimeoutSeconds,
    TrustedProxies,
)
from app.fetching.settings import (
    DEFAULT_HOSTS,
    FetchConcurrency,
    FetchConnectTimeoutSeconds,
    FetchFirstByteTimeoutSeconds,
    FetchHosts,
    FetchNameServers,
    FetchPerHost,
    FetchTimeoutSeconds,
    FetchTries,
)
from app.model_places import check_models
from app.telemetry.settings import AccessLogKind, LogFormat, TracesEndpoint
from galaxytree.views import MOST_VIEWS, Views

MIB = 1024 * 1024
ENV_PREFIX = "GALAXYTREE_"
MULTIPART_OVERHEAD_BYTES = 64 * 1024
"""What boundaries, headers and other fields of a multipart body may take beside the image."""


class Settings(BaseSettings):
    """What can be set. Each field is an environment variable ``GALAXYTREE_…`` and an option of ``galaxytree serve``.

    Raises
    ------
    pydantic.ValidationError
        If a value is out of its bounds, or of another kind.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        protected_namespaces=(),
        # Said so, and not that it is less than something.
        allow_inf_nan=False,
    )

    model: Annotated[
        Path | None,
        Field(
            title="Model",
            description="Folder with model.onnx and card.json; not set: the model that ships with galaxytree. Where "
            "models is set: which of its names is the default, or not set for the first",
        ),
    ] = None
    models: Annotated[
        str | None,
        Field(
            title="Models",
            description="Several models, by the names under which they are asked for: NAME=FOLDER, with commas "
            "between them; NAME alone is the model that ships with galaxytree. Each has its own workers in memory",
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cuda", "cpu"],
        Field(
            title="Device",
            description="Where the network runs. cuda refuses to start where CUDA doesn't come up; auto takes CUDA "
            "where it does, else the CPU, and says which and why",
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "int8"],
        Field(
            title="Precision",
            description="In which the network computes. int8 is for CPUs, and faster; auto takes it there if the CPU "
            "has instructions for it, the model has it and its card says that it costs next to no accuracy",
        ),
    ] = "auto"
    views: Annotated[
        Views,
        Field(
            title="Views",
            description="Orientations that an answer is averaged over where a request doesn't say: 1, the image as it "
            "is, or 8, its rotations by 90 degrees and mirror images, at up to 8 times the network's time",
        ),
    ] = 1
    host: Annotated[str, Field(title="Host", description="Address to listen on; 0.0.0.0 for every interface")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int, Field(title="Port", description="TCP port to listen on; 0 for any free one", ge=0, le=65535)
    ] = 8000
    max_image_bytes: Annotated[
        int, Field(title="Largest image, bytes", description="Bytes of one image, at most", gt=0, le=1024 * MIB)
    ] = 10 * MIB
    max_image_pixels: Annotated[
        int,
        Field(title="Largest image, pixels", description="Width x height of one image, at most", gt=0, le=2**30),
    ] = 4096 * 4096
    infer_bytes: Annotated[
        int,
        Field(
            title="Body of infer, bytes",
            description="Bytes of a request of Open Inference Protocol, all of its images together, at most",
            gt=0,
        ),
    ] = 64 * MIB
    body_timeout_seconds: Annotated[
        float,
        Field(title="Time for a body", description="Seconds within which a whole body must arrive", gt=0, le=3600),
    ] = 30.0
    queue_images: Annotated[
        int,
        Field(
            title="Images in service",
            description="Images in decoding, waiting and inference together, each counted once a view; more are "
            "answered 429",
            gt=0,
            le=1_000_000,
        ),
    ] = 256
    queue_bytes: Annotated[
        int,
        Field(
            title="Bytes in service",
            description="Bytes of images being received or in service together; more are answered 429",
            gt=0,
        ),
    ] = 256 * MIB
    bulk_share: Annotated[
        float,
        Field(
            title="Share of bulk requests",
            description="Part of queue_images up to which requests with priority=bulk are let in; the rest is kept "
            "for others",
            gt=0,
            le=1,
        ),
    ] = 0.75
    request_timeout_seconds: Annotated[
        float,
        Field(
            title="Time for an answer",
            description="Seconds from the last byte of an image to its answer; later it is 503 deadline_exceeded",
            gt=0,
            le=3600,
        ),
    ] = 30.0
    ready_share: Annotated[
        float,
        Field(
            title="High-water mark",
            description="Part of queue_images and of queue_bytes above which /health/ready says 503, so that others "
            "get what comes; requests are taken all the same until the whole is full. With 1 it never says so for "
            "a full queue: where all instances fill at once, a balancer would have nobody left to ask",
            gt=0,
            le=1,
        ),
    ] = 0.9
    retry_after_seconds: Annotated[
        int,
        Field(
            title="Retry-After", description="Seconds that a client is asked to wait with 429 and 503", ge=0, le=3600
        ),
    ] = 1
    max_batch: Annotated[
        int,
        Field(
            title="Largest batch",
            description="Images that the network scores in one run, at most, each counted once a view; 0 for 8 on a "
            "CPU, where larger ones gain nothing, and 64 on a GPU",
            ge=0,
            le=4096,
        ),
    ] = 0
    workers: Annotated[
        int,
        Field(
            title="Workers",
            description="On a CPU, processes that decode images and run the network, each on one core; on a GPU, "
            "threads that decode; 0 for one a core",
            ge=0,
            le=1024,
        ),
    ] = 0
    batches: Annotated[
        int,
        Field(
            title="Batches", description="Batches in service at a time, at most; more are answered 429", gt=0, le=4096
        ),
    ] = 64
    batch_concurrency: Annotated[
        int,
        Field(
            title="Items of a batch",
            description="Items of one batch being fetched or scored at a time, at most",
            gt=0,
            le=4096,
        ),
    ] = 64
    batch_items: Annotated[
        int,
        Field(
            title="Length of a batch",
            description="Items of a batch that comes as JSON or as a form, or is answered as JSON, at most; one of "
            "lines (NDJSON) that is answered in lines may have any number",
            gt=0,
            le=100_000,
        ),
    ] = 1000
    drain_seconds: Annotated[
        float,
        Field(
            title="Time to drain",
            description="Seconds that requests are still served after SIGTERM or SIGINT while /health/ready says 503, "
            "so that a load balancer can notice",
            ge=0,
            le=3600,
        ),
    ] = 5.0
    page: Annotated[
        bool,
        Field(
            title="Page",
            description="Whether the page for people is at `/`; without it `/` is 404, and the API is all there is",
        ),
    ] = True
    api_keys_file: Annotated[
        Path | None,
        Field(
            title="API keys",
            description="TOML file with [[keys]], each a name and the sha256 of a key; not set: open to everyone",
        ),
    ] = None
    require_keys: RequireKeys = False
    address_limits: AddressLimits = None
    public_metrics: PublicMetrics = False
    trusted_proxies: TrustedProxies = None
    hosts: HostNames = "*"
    cors_origins: CorsOrigins = None
    connections: Connections = 4096
    head_timeout_seconds: HeadTimeoutSeconds = 10.0
    max_head_bytes: MaxHeadBytes = 64 * 1024
    keep_alive_seconds: KeepAliveSeconds = 5.0
    send_timeout_seconds: SendTimeoutSeconds = 300.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(title="Log level", description="What is logged on standard error, at least"),
    ] = "info"
    log_format: LogFormat = "text"
    access_log: AccessLogKind = "json"
    traces_endpoint: TracesEndpoint = None
    fetch_hosts: FetchHosts = DEFAULT_HOSTS
    fetch_concurrency: FetchConcurrency = 64
    fetch_per_host: FetchPerHost = 32
    fetch_connect_timeout_seconds: FetchConnectTimeoutSeconds = 5.0
    fetch_first_byte_timeout_seconds: FetchFirstByteTimeoutSeconds = 10.0
    fetch_timeout_seconds: FetchTimeoutSeconds = 30.0
    fetch_tries: FetchTries = 3
    fetch_name_servers: FetchNameServers = None

    @property
    def most_views(self) -> int:
        """How many views of one image there is room for."""
        return min(MOST_VIEWS, self.max_batch or MOST_VIEWS, self.queue_images)

    @model_validator(mode="after")
    def _its_models_are_named(self) -> Self:
        check_models(self.model, self.models)
        return self

    @model_validator(mode="after")
    def _its_views_fit(self) -> Self:
        if self.views > self.most_views:
            msg = f"views={self.views} needs max_batch and queue_images of at least {self.views}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_image_fits(self) -> Self:
        least = self.max_image_bytes + MULTIPART_OVERHEAD_BYTES
        if self.queue_bytes < least:
            msg = f"queue_bytes must be at least {least}, so that one image of max_image_bytes fits"
            raise ValueError(msg)
        return self
