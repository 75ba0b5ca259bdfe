"""A model in service: its folder, what runs it and where, and who still needs it once another has taken its place."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import InvalidRequestError, NotExplainableError
from app.model_folder import ModelFolder
from app.pool import Pool
from app.starting import Running

LOOK_SECONDS = 0.1
"""How often it is looked whether one that was replaced is needed no more."""

_SHOWN = 40
"""Of a name that there isn't, so many characters are said again."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Live:
    """A model that is in service, or was and finishes what it has begun.

    Attributes
    ----------
    name
        By which it is asked for.
    folder
        Its card and tree.
    pool
        Its workers.
    running
        What they run.
    users
        How many requests will still bring images: batches, and those whose bodies are on their way.
    """

    name: str
    folder: ModelFolder
    pool: Pool
    running: Running
    users: int = 0

    @property
    def network_sha256(self) -> str:
        """SHA-256 of the ONNX file that runs."""
        return self.folder.sha256(self.running.precision)

    @property
    def words(self) -> str:
        """Which one it is, and from which folder, for the log: two folders may hold models of the same version."""
        card, running = self.folder.card, self.running
        return f"{card.name} {card.version} on {running.provider}, {running.precision}, from {self.folder.path}"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep its workers until the end of the ``with`` block, whatever takes its place meanwhile."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    def explained(self, asked: str | None) -> int | None:
        """Return the place in the tree of the answer that is to be explained.

        Raises
        ------
        InvalidRequestError
            If the tree has no such answer.
        NotExplainableError
            If the model doesn't say where it looked.
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

    async def retire(self) -> None:
        """Let the workers go once nobody needs them; who is told to stop waiting lets them go at once."""
        try:
            while self.users or not self.pool.idle:  # noqa: ASYNC110 (who asks for an image tells nobody when it has gone)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self.pool.close()
        _log.info("%s: %s has finished what it had begun, and is gone", self.name, self.words)
