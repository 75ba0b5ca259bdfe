"""Keys that change while the service runs: their file is looked at now and then, beside what is served."""

import asyncio
import logging
from pathlib import Path
from time import monotonic, time

from app.access import Access
from app.keys import ApiKeys
from app.refusals import KeysRefusedError

LOOK_SECONDS = 1.0
"""How often."""

SETTLED_SECONDS = 3.0
"""A file that was written this short a time ago is read again: what is written within one tick of a file system's clock
looks as if nothing had been."""

HANGS_SECONDS = 10.0
"""A look that takes longer is taken for one at a file system that hangs."""

_log = logging.getLogger(__name__)

_Print = tuple[int, int, int, int, int]


class KeysFile:
    """Has a service go by what its file of keys says now; by what it said before, while that makes no sense.

    Parameters
    ----------
    path
        The file's.
    access
        Who may do what.
    seconds
        How often the file is looked at.
    """

    def __init__(self, path: Path, access: Access, seconds: float = LOOK_SECONDS) -> None:
        self._path = path
        self._access = access
        self._seconds = seconds
        self._print: _Print | None = None
        self._said = ""
        self._is_valid = True
        self._looked_at = monotonic()

    @property
    def is_valid(self) -> bool:
        """Whether what the file says now is what the service goes by."""
        return self._is_valid and monotonic() - self._looked_at < self._seconds + HANGS_SECONDS

    async def watch(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                # A file system that hangs holds up a thread, and nobody who is served.
                keys = await asyncio.to_thread(self._look)
            except Exception:  # noqa: BLE001 (the keys that are known stay, whatever is wrong with the file)
                _log.exception("the API keys can't be looked at")
                self._is_valid, self._looked_at = False, monotonic()
                continue
            if keys is not None and keys != self._access.keys:
                self._say_what_changed(keys)
                self._access.renew(keys)
            self._is_valid, self._looked_at = not self._said, monotonic()

    def _look(self) -> ApiKeys | None:
        """Return the keys of a file that has changed, if they make sense."""
        try:
            found = self._path.stat()
            changed = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
            if changed == self._print:
                return None
            keys = ApiKeys.read(self._path)
        except KeysRefusedError as error:
            self._complain(f"{error}; the keys from before stay")
            self._print = None
            return None
        except OSError as error:
            self._complain(f"the API keys in {self._path} are not there any more ({error.strerror}); those known stay")
            self._print = None
            return None
        self._print = changed if found.st_mtime + SETTLED_SECONDS < time() else None
        self._said = ""
        return keys

    def _complain(self, what: str) -> None:
        if what != self._said:
            _log.error("%s", what)
            self._said = what

    def _say_what_changed(self, keys: ApiKeys) -> None:
        before = {key.name: key for key in self._access.keys.keys} if self._access.keys else {}
        now = {key.name: key for key in keys.keys}
        changes = {
            "new": sorted(now.keys() - before.keys()),
            "gone": sorted(before.keys() - now.keys()),
            "changed": sorted(name for name in now.keys() & before.keys() if now[name] != before[name]),
        }
        said = "; ".join(f"{what}: {', '.join(names)}" for what, names in changes.items() if names)
        _log.info("API keys read again, %d valid (%s)", len(now), said or "in another order")
