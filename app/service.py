"""What the routes work with: the verified model, who is let in, how much is in service, and the state of it all."""

import asyncio
import gc
import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from starlette.types import Scope

from app.access import Access
from app.access_settings import origins_of
from app.admission import Admission
from app.bodies import BodyLimits
from app.errors import InvalidRequestError, NotExplainableError, NotReadyError
from app.fetching.fetcher import Fetcher
from app.hosts import Hosts
from app.keys_file import KeysFile
from app.lifecycle import Lifecycle, State
from app.model_folder import ModelFolder
from app.pool import Pool
from app.processes import STARTER
from app.refusals import StartRefusedError
from app.settings import Settings
from app.starting import Running, start_of
from app.telemetry.telemetry import Telemetry
from app.worker_link import Starter
from galaxytree.views import Views

_log = logging.getLogger(__name__)

_SHOWN = 40
"""Of a name that there isn't, so many characters are said again."""

FULL = "full"


@dataclass
class Service:
    """One service, from its start to its end.

    Attributes
    ----------
    settings, folder
        What the service was started with, all of it verified.
    access
        Who may do what.
    admission
        How much is in service.
    starter
        Starts the workers.
    lifecycle
        Whether the service is starting, ready or draining.
    telemetry
        What it tells of itself.
    """

    settings: Settings
    folder: ModelFolder
    access: Access
    admission: Admission
    starter: Starter = STARTER
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    telemetry: Telemetry = field(default_factory=Telemetry)
    _fetcher: Fetcher | None = None
    _running: Running | None = None
    _pool: Pool | None = None
    _loading: asyncio.Task[None] | None = None
    _watching: asyncio.Task[None] | None = None

    @classmethod
    def prepare(cls, settings: Settings, starter: Starter = STARTER) -> Self:
        """Check what is cheap to check, before anyone can connect.

        Raises
        ------
        StartRefusedError
            If the service can't start as it is set; the message says what to do.
        """
        folder = ModelFolder.open(settings.model)
        folder.verify()
        access = Access.of(settings)
        admission = Admission(
            settings.queue_images,
            settings.queue_bytes,
            settings.retry_after_seconds,
            settings.bulk_share,
            settings.batches,
        )
        return cls(settings, folder, access, admission, starter, telemetry=Telemetry.of(settings))

    @cached_property
    def _most_views(self) -> int:
        return self.settings.most_views

    @cached_property
    def hosts(self) -> Hosts | None:
        """By which names the service goes; None for any."""
        return Hosts.parse(self.settings.hosts)

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Whose pages may call the service, beside its own."""
        return origins_of(self.settings.cors_origins)

    def is_plain(self, scope: Scope) -> bool:
        """Whether a request is one that all that is around the routes (`app.around`) lets pass, but for its key."""
        if self.hosts is None and not self.origins:
            return True
        of_a_page = any(name == b"origin" for name, _ in scope["headers"])
        return not (self.origins and of_a_page) and (self.hosts is None or self.hosts.allow(scope))

    @cached_property
    def body_limits(self) -> BodyLimits:
        """What the body of one image may take."""
        return BodyLimits(self.settings.max_image_bytes, self.settings.body_timeout_seconds)

    @property
    def pool(self) -> Pool:
        """The workers; NotReadyError while they aren't ready, or none is left."""
        if self._pool is None or self._running is None or not self._pool.ready:
            raise self.not_ready(State.STARTING)
        return self._pool

    @property
    def running(self) -> Running:
        """What the workers run; NotReadyError while they aren't ready."""
        if self._running is None:
            raise self.not_ready(State.STARTING)
        return self._running

    @property
    def workers(self) -> Pool | None:
        """The workers, ready or not; None before the start."""
        return self._pool

    @property
    def what_runs(self) -> Running | None:
        """What the workers run; None while none has ever been ready."""
        return self._running

    @property
    def is_ready(self) -> bool:
        """Whether images are welcome."""
        try:
            self.check_ready()
        except NotReadyError:
            return False
        return True

    @property
    def fetcher(self) -> Fetcher:
        """What fetches images; NotReadyError before the start."""
        if self._fetcher is None:
            raise self.not_ready(State.STARTING)
        return self._fetcher

    @property
    def network_sha256(self) -> str:
        """SHA-256 of the ONNX file that the workers run; NotReadyError while they aren't ready."""
        return self.folder.sha256(self.running.precision)

    def views(self, asked: Views | None) -> Views:
        """Return how many views an image gets of which so many are asked; InvalidRequestError if they don't fit."""
        views = asked or self.settings.views
        if views > self._most_views:
            msg = f"This service has no room for {views} views of an image (max_batch, queue_images); ask for views=1."
            raise InvalidRequestError(msg)
        return views

    def explained(self, asked: str | None) -> int | None:
        """Return the place in the tree of the answer that is to be explained.

        Raises
        ------
        InvalidRequestError
            If the tree has no such answer.
        NotExplainableError
            If the model doesn't say where it looked.
        NotReadyError
            While the workers aren't ready.
        """
        if asked is None:
            return None
        tree = self.folder.tree
        if asked not in tree.index:
            named = f"{tree.columns[0]} to {tree.columns[-1]}, as GET /decision-tree lists them"
            msg = f"query.explain: the tree has no answer {asked[:_SHOWN]!r}; its answers are {named}."
            raise InvalidRequestError(msg)
        if not self.running.explainable:
            msg = "This model doesn't say where it looked (`explainable` of GET /model); ask without explain."
            raise NotExplainableError(msg)
        return tree.index[asked]

    def not_ready(self, state: str) -> NotReadyError:
        """Return the error that says in which state the service is, instead of ready."""
        seconds = self.settings.retry_after_seconds
        return NotReadyError(f"The service is {state}; try again in {seconds} s.", seconds)

    def check_ready(self) -> None:
        """NotReadyError unless images are welcome: model loaded, workers there, not draining, and room for one more."""
        if self.lifecycle.state is not State.READY:
            raise self.not_ready(self.lifecycle.state)
        if self._pool is None or not self._pool.ready:
            raise self.not_ready(State.STARTING)
        if self.admission.full(self.settings.views):
            raise self.not_ready(FULL)

    async def start(self) -> None:
        """Start the workers in the background."""
        if self.settings.api_keys_file is None:
            _log.warning("open to everyone: no API keys are set (api_keys_file)")
        else:
            if self.settings.address_limits is not None:
                _log.warning("address_limits are for services without API keys, and not used here")
            self._watching = asyncio.create_task(KeysFile(self.settings.api_keys_file, self.access).watch())
        self.telemetry.start()
        self._fetcher = Fetcher.of(self.settings, self.telemetry.numbers)
        self._pool = Pool(
            start_of(self.settings, self.folder.identity),
            self.starter,
            self.lifecycle.fail,
            self.settings.request_timeout_seconds,
            self.settings.retry_after_seconds,
            self.telemetry.numbers,
        )
        self._loading = asyncio.create_task(self._load(self._pool))

    async def _load(self, pool: Pool) -> None:
        card = self.folder.card
        try:
            running = await pool.open()
        except StartRefusedError as error:
            self.lifecycle.fail(str(error))
            return
        except Exception as error:  # noqa: BLE001 (without workers there is no service, whatever failed)
            _log.exception("the workers could not be started")
            self.lifecycle.fail(f"the workers could not be started ({error})")
            return
        self._running = running
        # What is here now stays: the collector need not look at it again, which would hold up requests.
        gc.collect()
        gc.freeze()
        self.lifecycle.ready()
        _log.info("%s runs: %s", running.provider, running.why)
        _log.info("%s: %s", running.precision, running.why_precision)
        _log.info("ready: %s %s on %s, %s", card.name, card.version, running.provider, running.precision)

    async def stop(self) -> None:
        """Let everything go, without waiting for workers that are still starting."""
        for task in (self._loading, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._fetcher is not None:
            await self._fetcher.close()
        if self._pool is not None:
            await self._pool.close()
        await self.telemetry.stop()
