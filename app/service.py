"""What the routes work with: the verified model, who is let in, how much is in service, and the state of it all."""

import asyncio
import gc
import logging
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from starlette.types import Scope

from app.access import Access
from app.access_settings import origins_of
from app.admission import Admission
from app.bodies import BodyLimits
from app.errors import InvalidRequestError, NotReadyError
from app.fetching.fetcher import Fetcher
from app.hosts import Hosts
from app.keys_file import KeysFile
from app.lifecycle import Lifecycle, State
from app.live import Live
from app.loader import Loader
from app.pool import Pool
from app.processes import STARTER
from app.refusals import StartRefusedError
from app.reloading import Reloader
from app.roster import Roster
from app.settings import Settings
from app.starting import Running
from app.telemetry.telemetry import Telemetry
from app.worker_link import Starter
from galaxytree.views import Views

_log = logging.getLogger(__name__)

FULL = "full"


@dataclass
class Service:
    """One service, from its start to its end.

    Attributes
    ----------
    settings
        What the service was started with.
    roster
        Its models, all of them verified.
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
    keys_file
        The file of keys, once it is watched.
    """

    settings: Settings
    roster: Roster
    access: Access
    admission: Admission
    starter: Starter = STARTER
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    telemetry: Telemetry = field(default_factory=Telemetry)
    keys_file: KeysFile | None = None
    _fetcher: Fetcher | None = None
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
        roster = Roster.open(settings)
        access = Access.of(settings)
        admission = Admission(
            settings.queue_images,
            settings.queue_bytes,
            settings.retry_after_seconds,
            settings.bulk_share,
            settings.batches,
        )
        return cls(settings, roster, access, admission, starter, telemetry=Telemetry.of(settings))

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

    @cached_property
    def loader(self) -> Loader:
        """What brings models up."""
        return Loader(self.settings, self.starter, self._pool_failed, self.telemetry.numbers)

    @cached_property
    def reloader(self) -> Reloader:
        """What has new models take the places of old ones."""
        return Reloader(self.roster, self.loader, self.lifecycle, self.not_ready)

    def live(self, name: str | None = None) -> Live:
        """Return a model in service.

        Parameters
        ----------
        name
            As it was asked for; None for the default.

        Raises
        ------
        UnknownModelError
            If there is none of this name.
        NotReadyError
            While its workers aren't ready, or none is left.
        """
        found = self.roster.find(name)
        if found is None:
            _ = self.roster.folder(name)
            raise self.not_ready(State.STARTING)
        self.check_workers(found)
        return found

    def check_workers(self, live: Live) -> None:
        """NotReadyError if a model has no worker left."""
        if not live.pool.ready:
            raise self.not_ready(State.STARTING)

    def running(self, name: str | None = None) -> Running:
        """Return what the workers of a model run; UnknownModelError, or NotReadyError before they have ever run it."""
        found = self.roster.find(name)
        if found is None:
            _ = self.roster.folder(name)
            raise self.not_ready(State.STARTING)
        return found.running

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

    def views(self, asked: Views | None) -> Views:
        """Return how many views an image gets of which so many are asked; InvalidRequestError if they don't fit."""
        views = asked or self.settings.views
        if views > self._most_views:
            msg = f"This service has no room for {views} views of an image (max_batch, queue_images); ask for views=1."
            raise InvalidRequestError(msg)
        return views

    def not_ready(self, state: str) -> NotReadyError:
        """Return the error that says in which state the service is, instead of ready."""
        seconds = self.settings.retry_after_seconds
        return NotReadyError(f"The service is {state}; try again in {seconds} s.", seconds)

    def check_ready(self) -> None:
        """NotReadyError unless images are welcome: models loaded, workers there, not draining, and not nearly full."""
        if self.lifecycle.state is not State.READY:
            raise self.not_ready(self.lifecycle.state)
        for live in self.roster.live:
            self.check_workers(live)
        if self._nearly_full():
            raise self.not_ready(FULL)

    def _nearly_full(self) -> bool:
        # With 1 never: where all are full at once, who is sent away by each of them is told nothing, instead of 429.
        share = self.settings.ready_share
        return share < 1 and (self.admission.full(self.settings.views) or self.admission.high(share))

    async def start(self) -> None:
        """Start the workers in the background."""
        if self.settings.api_keys_file is None:
            _log.warning("open to everyone: no API keys are set (api_keys_file)")
        else:
            if self.settings.address_limits is not None:
                _log.warning("address_limits are for services without API keys, and not used here")
            count = len(self.access.keys.keys) if self.access.keys else 0
            _log.info("API keys read, %d valid (%s)", count, self.settings.api_keys_file)
            self.keys_file = KeysFile(self.settings.api_keys_file, self.access)
            self._watching = asyncio.create_task(self.keys_file.watch())
        self.telemetry.start()
        self._fetcher = Fetcher.of(self.settings, self.telemetry.numbers)
        self._loading = asyncio.create_task(self._load())

    def _pool_failed(self, pool: Pool, sentence: str) -> None:
        """Hear that a model has no worker left: it is the end of the service, unless it isn't in service."""
        lives = self.roster.live
        if not lives or any(live.pool is pool for live in lives):
            self.lifecycle.fail(sentence)
        else:
            _log.error("of a model that is not in service: %s", sentence)

    async def _load(self) -> None:
        try:
            lives = await self.loader.load_all(self.roster.folders, self.roster.find)
        except StartRefusedError as error:
            self.lifecycle.fail(str(error))
            return
        except Exception as error:  # noqa: BLE001 (without workers there is no service, whatever failed)
            _log.exception("the workers could not be started")
            self.lifecycle.fail(f"the workers could not be started ({error})")
            return
        self.roster.enter(lives)
        # What is here now stays: the collector need not look at it again, which would hold up requests.
        gc.collect()
        gc.freeze()
        self.lifecycle.ready()
        models = "; ".join(f"{live.name}: {live.words}" for live in lives)
        # The process's id is the one to send signals to, whatever started it.
        where = ", ".join(self.lifecycle.addresses) or "no address"
        _log.info("ready: process %d at %s with %s", os.getpid(), where, models)

    async def stop(self) -> None:
        """Let everything go, without waiting for workers that are still starting."""
        for task in (self._loading, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._fetcher is not None:
            await self._fetcher.close()
        await self.reloader.stop()
        await asyncio.gather(*(live.pool.close() for live in self.roster.live))
        await self.telemetry.stop()
