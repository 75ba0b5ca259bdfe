"""A new model without a hole: it is brought up beside the one that runs, and takes its place once it is warm.

What is no good changes nothing. Whoever has asked one of the old model keeps it: images in service are answered by it,
and a batch has all its answers from the model that it began with.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from app.errors import InternalError, NotReadyError, ReloadRefusedError, ServiceError
from app.lifecycle import Lifecycle, State
from app.live import Live
from app.loader import Loader
from app.model_folder import ModelFolder
from app.refusals import ModelRefusedError, StartRefusedError
from app.roster import Roster, read_folder
from app.telemetry.numbers import REPLACED, UNCHANGED

MOST_OLD = 4
"""So many models that were replaced may still be finishing what they had begun; each has its workers in memory."""

_log = logging.getLogger(__name__)


class Reloader:
    """Has new models take the places of old ones; one reload at a time.

    Parameters
    ----------
    roster, loader, lifecycle
        The service's.
    not_ready : callable
        Returns the error that says in which state the service is.
    """

    def __init__(
        self, roster: Roster, loader: Loader, lifecycle: Lifecycle, not_ready: Callable[[str], NotReadyError]
    ) -> None:
        self._roster = roster
        self._loader = loader
        self._lifecycle = lifecycle
        self._not_ready = not_ready
        self._now: asyncio.Task[frozenset[str]] | None = None
        self._next: asyncio.Task[frozenset[str]] | None = None
        self._old: set[asyncio.Task[None]] = set()

    async def reload(self) -> frozenset[str]:
        """Have what lies in the models' folders now take the place of what runs.

        Who asks while a reload is going on gets the next one, together with all who ask until then: the one that is
        going on may have read what was there before.

        Returns
        -------
        frozenset of str
            Names of the models that were replaced; the others are the same as before.

        Raises
        ------
        NotReadyError
            If the service is starting or ending.
        ReloadRefusedError
            If one of the models is no good, or too many old ones are still busy: nothing has changed.
        """
        if self._lifecycle.state is not State.READY:
            raise self._not_ready(self._lifecycle.state)
        if self._next is None and (self._now is None or self._now.done()):
            task = self._now = self._begin(self._reload())
        elif self._next is None:
            assert self._now is not None  # noqa: S101 (it is going on)
            task = self._next = self._begin(self._reload_after(self._now))
        else:
            task = self._next
        # Who has asked may go; what has begun goes on.
        return await asyncio.shield(task)

    async def reload_and_log(self) -> None:
        """Reload for somebody who reads the log only."""
        try:
            await self.reload()
        except NotReadyError:
            _log.warning("no reload: the service is %s", self._lifecycle.state)
        except Exception:  # noqa: BLE001 (the log has it)
            return

    async def stop(self) -> None:
        """Give up what has begun, and let old models go."""
        tasks = [task for task in (self._now, self._next, *self._old) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _begin(work: Coroutine[None, None, frozenset[str]]) -> asyncio.Task[frozenset[str]]:
        task = asyncio.create_task(work)
        # Perhaps nobody is there any more to hear of it.
        task.add_done_callback(_note_end)
        return task

    async def _reload_after(self, other: asyncio.Task[frozenset[str]]) -> frozenset[str]:
        await asyncio.wait([other])
        self._now, self._next = self._next, None
        return await self._reload()

    async def _reload(self) -> frozenset[str]:
        outcome = InternalError.code
        try:
            replaced = await self._replace()
            outcome = REPLACED if replaced else UNCHANGED
        except ReloadRefusedError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            # The service ends meanwhile.
            outcome = NotReadyError.code
            raise
        finally:
            self._loader.numbers.reloads[outcome] += 1
        return replaced

    async def _replace(self) -> frozenset[str]:
        # The files are large, and may lie far away.
        folders = await asyncio.to_thread(self._read)
        if folders and len(self._old) >= MOST_OLD:
            msg = f"{MOST_OLD} models that were replaced are still finishing what they had begun: try again later."
            _log.error("%s", msg)
            raise ReloadRefusedError(msg)
        try:
            lives = await self._loader.load_all(folders, self._roster.find)
        except StartRefusedError as error:
            raise self._refused(", ".join(folders), error) from error
        self._swap(lives)
        return frozenset(folders)

    def _read(self) -> dict[str, ModelFolder]:
        """Return the models that are others than those that run."""
        found = {}
        for name, path in self._roster.places.items():
            try:
                folder = read_folder(path)
            except ModelRefusedError as error:
                raise self._refused(name, error) from error
            live = self._roster.find(name)
            if live is None or (live.folder.identity, live.folder.path) != (folder.identity, folder.path):
                found[name] = folder
        return found

    def _swap(self, lives: list[Live]) -> None:
        if not lives:
            words = "; ".join(f"{live.name}: {live.words}" for live in self._roster.live)
            _log.info("reloaded: the models are those that run already: %s", words)
        for old in self._roster.enter(lives):
            task = asyncio.create_task(old.retire())
            self._old.add(task)
            task.add_done_callback(self._old.discard)
        for live in lives:
            _log.info("reloaded: %s is now %s", live.name, live.words)

    def _refused(self, name: str, error: StartRefusedError) -> ReloadRefusedError:
        _log.error("%s: refused, and what runs stays: %s", name, error)
        said = str(error)
        # Who asks from afar has no use for paths of this machine.
        for known, path in self._roster.places.items():
            shown = {self._roster.folder(known).path, *(() if path is None else (path, path.resolve()))}
            for each in sorted(map(str, shown), key=len, reverse=True):
                said = said.replace(each, known)
        return ReloadRefusedError(f"Refused ({name}), and what runs stays: {said}.")


def _note_end(task: asyncio.Task[frozenset[str]]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ServiceError):
        _log.error("the reload failed, and what runs stays", exc_info=error)
