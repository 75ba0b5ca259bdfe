"""Models are brought up: workers for each, warmed up before anyone is sent to them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.live import Live
from app.model_folder import ModelFolder
from app.pool import Pool
from app.providers import CPU
from app.settings import Settings
from app.starting import start_of
from app.telemetry.numbers import Numbers
from app.worker_link import Starter

_log = logging.getLogger(__name__)


@dataclass
class Loader:
    """Starts the workers of models.

    Attributes
    ----------
    settings, starter
        The service's.
    failed
        Is told of a pool that has no worker left, and in a sentence why none can be started.
    numbers
        What is counted of what workers do.
    """

    settings: Settings
    starter: Starter
    failed: Callable[[Pool, str], object]
    numbers: Numbers

    async def load_all(
        self, folders: Mapping[str, ModelFolder], instead_of: Callable[[str], Live | None]
    ) -> list[Live]:
        """Start workers for some models, one model after the other, and wait until they are ready.

        Parameters
        ----------
        folders
            By the models' names.
        instead_of : callable
            Returns what runs by a name now: a model is to run on the same kind of device as the one whose place it
            takes, and not on the CPU because that still has the GPU's memory.

        Raises
        ------
        StartRefusedError
            If a model is no good, or its workers can't start as they are told to; then none of them is there.
        """
        lives: list[Live] = []
        try:
            for name, folder in folders.items():
                _log.info("%s: loading %s %s from %s", name, folder.card.name, folder.card.version, folder.path)
                lives.append(await self._load(name, folder, instead_of(name)))
        except BaseException:
            await asyncio.gather(*(live.pool.close() for live in lives))
            raise
        return lives

    async def _load(self, name: str, folder: ModelFolder, instead_of: Live | None) -> Live:
        start = replace(start_of(self.settings, folder.identity), model=str(folder.path))
        if instead_of is not None:
            start = replace(start, device="cpu" if instead_of.running.provider == CPU else "cuda")

        def failed(sentence: str) -> None:
            self.failed(pool, sentence)

        pool = Pool(
            start,
            self.starter,
            failed,
            self.settings.request_timeout_seconds,
            self.settings.retry_after_seconds,
            self.numbers,
        )
        try:
            running = await pool.open()
        except BaseException:
            await pool.close()
            raise
        if instead_of is not None:
            # The worker was told where to run; why it is there was found when the first one started.
            running = replace(running, why=instead_of.running.why)
        live = Live(name, folder, pool, running)
        _log.info("%s: %s runs: %s", name, running.provider, running.why)
        _log.info("%s: %s: %s", name, running.precision, running.why_precision)
        return live
