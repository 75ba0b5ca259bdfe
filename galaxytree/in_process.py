"""Scoring in this process, as installed packages offer it: the entry point ``many`` of ``galaxytree.engines``."""

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from galaxytree.client_errors import EngineError
from galaxytree.image_files import Unread
from galaxytree.views import Views

GivenImage = str | bytes | Path | Unread
"""An image: a URL, its bytes, a file; or why there is none."""

_NAME = "many"
_EXTRA = "pip install 'galaxytree[serve]'"


class Scores(Protocol):
    """What scores many images in this process; see `app.scorer.Scorer`."""

    def facts(self) -> dict[str, Any]:
        """Return what ``GET /model`` says of the network."""
        ...

    def rows(self, images: Sequence[GivenImage], *, full: bool = False, views: Views | None = None) -> list[Any]:
        """Score images; one row each, as ``POST /classify/batch`` has its results."""
        ...

    def close(self) -> None:
        """Let everything go."""
        ...


def new_scorer() -> Scores:
    """Load a model in this process.

    Raises
    ------
    EngineError
        If the packages for that are not installed, or the model is refused.
    """
    found: tuple[EntryPoint, ...] = tuple(entry_points(group="galaxytree.engines", name=_NAME))
    if not found:
        msg = f"nothing that scores in this process is installed: {_EXTRA}"
        raise EngineError(msg)
    try:
        scorer: Scores = found[0].load()()
    except ImportError as error:
        msg = f"scoring in this process needs packages that are not installed ({error.name or error}): {_EXTRA}"
        raise EngineError(msg) from error
    return scorer


def the_scorer() -> Scores:
    """Return the one of this process; the first call loads the model, see `new_scorer`."""
    with _loading:
        return _scorer_of(os.getpid())


_loading = Lock()


@lru_cache(maxsize=1)
def _scorer_of(_process: int) -> Scores:
    # A process that was forked has none of the threads of the one that it comes from.
    return new_scorer()
