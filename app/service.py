"""What the routes work with: the verified model, who is let in, how much is in service, and the state of it all."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from app.admission import Admission
from app.bodies import BodyLimits
from app.classify import Classifier
from app.devices import Device, choose
from app.errors import InvalidRequestError, NotReadyError
from app.keys import ApiKeys
from app.lifecycle import Lifecycle, State
from app.loading import load_model
from app.model import Model
from app.model_folder import ModelFolder
from app.refusals import StartRefusedError
from app.settings import Settings
from galaxytree.views import Views

_log = logging.getLogger(__name__)

FULL = "full"

Load = Callable[[ModelFolder, Device, Settings], Model]


@dataclass
class Service:
    """One service, from its start to its end.

    Attributes
    ----------
    settings, folder, keys
        What the service was started with, all of it verified; no keys: it is open to everyone.
    device
        Where the network is to run; where it does run, the model says.
    admission
        How much is in service.
    load
        How the verified model is loaded and warmed up.
    lifecycle
        Whether the service is starting, ready or draining.
    """

    settings: Settings
    folder: ModelFolder
    device: Device
    keys: ApiKeys | None
    admission: Admission
    load: Load = load_model
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    _classifier: Classifier | None = None
    _loading: asyncio.Task[None] | None = None

    @classmethod
    def prepare(cls, settings: Settings, load: Load = load_model) -> Self:
        """Check what is cheap to check, before anyone can connect.

        Raises
        ------
        StartRefusedError
            If the service can't start as it is set; the message says what to do.
        """
        folder = ModelFolder.open(settings.model)
        device = choose(settings.device)
        keys = ApiKeys.of(settings)
        admission = Admission(settings.queue_images, settings.queue_bytes, settings.retry_after_seconds)
        return cls(settings, folder, device, keys, admission, load)

    @property
    def body_limits(self) -> BodyLimits:
        """What the body of one image may take."""
        return BodyLimits(self.settings.max_image_bytes, self.settings.body_timeout_seconds)

    @property
    def classifier(self) -> Classifier:
        """What classifies images; NotReadyError while the model isn't loaded."""
        if self._classifier is None:
            raise self.not_ready(State.STARTING)
        return self._classifier

    def views(self, asked: Views | None) -> Views:
        """Return how many views an image gets of which so many are asked; InvalidRequestError if they don't fit."""
        views = asked or self.settings.views
        if views > self.settings.most_views:
            msg = f"This service has no room for {views} views of an image (max_batch, queue_images); ask for views=1."
            raise InvalidRequestError(msg)
        return views

    def not_ready(self, state: str) -> NotReadyError:
        """Return the error that says in which state the service is, instead of ready."""
        seconds = self.settings.retry_after_seconds
        return NotReadyError(f"The service is {state}; try again in {seconds} s.", seconds)

    def check_ready(self) -> None:
        """NotReadyError unless images are welcome: model loaded, not draining, and room for one more."""
        if self.lifecycle.state is not State.READY:
            raise self.not_ready(self.lifecycle.state)
        if self.admission.full(self.settings.views):
            raise self.not_ready(FULL)

    async def start(self) -> None:
        """Load the model in the background."""
        _log.info("%s runs: %s", self.device.provider, self.device.why)
        if self.keys is None:
            _log.warning("open to everyone: no API keys are set (api_keys_file)")
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        card = self.folder.card
        try:
            model = await asyncio.to_thread(self.load, self.folder, self.device, self.settings)
        except StartRefusedError as error:
            self.lifecycle.fail(str(error))
            return
        except Exception as error:  # noqa: BLE001 (without a model there is no service, whatever failed)
            _log.exception("the model could not be loaded")
            self.lifecycle.fail(f"the model could not be loaded ({error})")
            return
        self._classifier = Classifier(model, self.settings)
        self.lifecycle.ready()
        _log.info("ready: %s %s on %s", card.name, card.version, model.device.provider)

    async def stop(self) -> None:
        """Let everything go."""
        if self._loading is not None:
            await self._loading
        if self._classifier is not None:
            self._classifier.close()
