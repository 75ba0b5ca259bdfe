"""Scores the images of a survey on a Ray cluster, each of whose nodes runs the network itself.

Ray Data hands chunks to actors, one a GPU, or a core where there are none, and gives those of an actor or a node that
dies to others. What comes back goes into the survey's ledger as the answers of a service do, so that no file system
needs to be shared, and a survey that was stopped goes on in the same way.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from galaxytree.client import EngineError, UnexpectedAnswerError
from galaxytree.image_files import Unread, read_image
from galaxytree.in_process import new_scorer, the_scorer
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, Detail, ModelFacts, Scored
from galaxytree.views import Views

WINDOW_CHUNKS = 4096
"""Chunks that are read from the catalogue ahead of the scoring, and wait in Ray's memory as URLs or paths."""

_OWN = ("GALAXYTREE_SCORE_", "GALAXYTREE_SERVER", "GALAXYTREE_API_KEY")
"""Variables that are none of the nodes' business."""

_FIRST, _IMAGE, _NETWORK = "first", "image", "network"


class RayEngine:
    """Has images scored by the actors of a Ray cluster.

    Parameters
    ----------
    address : str or None
        The cluster's; without one, a cluster of this machine is started, and ended with the engine.

    Raises
    ------
    EngineError
        If there is no cluster at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._begun = not ray.is_initialized()
        if self._begun:
            try:
                ray.init(
                    address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": _settings()}
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                msg = f"there is no Ray cluster at {address or 'this machine'}: {str(error).splitlines()[0]}"
                raise EngineError(msg) from error
        context = ray.data.DataContext.get_current()
        # Rows are counted where they are kept.
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._gpus = int(ray.cluster_resources().get("GPU", 0))
        self._cores = int(ray.cluster_resources().get("CPU", 1))

    async def model(self) -> ModelFacts:
        """Return which network the nodes run; EngineError if they can't."""
        facts = ray.remote(num_cpus=0 if self._gpus else 1, num_gpus=1 if self._gpus else 0)(_facts)
        try:
            return ModelFacts.of(await asyncio.to_thread(ray.get, facts.remote()))
        except ray.exceptions.RayTaskError as error:
            msg = f"the nodes of the cluster can't score: {error.cause}"
            raise EngineError(msg) from error

    async def score(self, chunks: Iterator[Chunk], asking: Asking) -> AsyncGenerator[Scored, None]:
        """Score chunks; see `galaxytree.survey_engine.Engine`."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "ray") as thread:
            while window := await loop.run_in_executor(thread, lambda: list(islice(chunks, WINDOW_CHUNKS))):
                answers = self._answers(window, asking)
                try:
                    while (scored := await loop.run_in_executor(thread, next, answers, None)) is not None:
                        yield scored
                finally:
                    # In the thread that it runs in: it is not to be closed in the middle of a step.
                    await loop.run_in_executor(thread, answers.close)

    def _answers(self, chunks: list[Chunk], asking: Asking) -> Generator[Scored]:
        """Yield the answers for chunks as they come."""
        rows = {chunk.first: len(chunk.images) for chunk in chunks}
        parts: dict[int, list[pa.Table]] = {}
        blocks = [pa.table({_FIRST: [chunk.first] * len(chunk.images), _IMAGE: list(chunk.images)}) for chunk in chunks]
        device = {"num_gpus": 1} if self._gpus else {"num_cpus": 1}
        actors = self._gpus or self._cores
        scored = ray.data.from_arrow(blocks).map_batches(
            Actor,
            fn_constructor_args=(asking.files, asking.detail, asking.views),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
            **device,
        )
        for table in scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for first in table[_FIRST].unique().to_pylist():
                # Ray may cut and join tables as it likes.
                part = table.filter(pa.compute.equal(table[_FIRST], first))
                parts.setdefault(first, []).append(part)
                whole = pa.concat_tables(parts[first])
                if whole.num_rows == rows[first]:
                    del parts[first]
                    network = whole[_NETWORK][0].as_py()
                    yield Scored(first, _as_asked(whole, asking), network)

    async def aclose(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._begun:
            await asyncio.to_thread(ray.shutdown)


def _as_asked(table: pa.Table, asking: Asking) -> pa.Table:
    """Return a node's answers under the schema of the survey, whose metadata Ray loses on the way."""
    table = table.drop_columns([_FIRST, _NETWORK])
    if table.schema != asking.schema:
        # Another network's, then.
        msg = "a node of the cluster has other scores than the survey was begun with: it has another model"
        raise UnexpectedAnswerError(msg)
    return table.cast(asking.schema)


def _facts() -> dict[str, Any]:
    scorer = new_scorer()
    try:
        return scorer.facts()
    finally:
        scorer.close()


def _settings() -> dict[str, str]:
    """Return the settings of this process that decide what is fetched and scored: they are the nodes' too."""
    names = {name for name in os.environ if name.startswith("GALAXYTREE_")}
    return {name: os.environ[name] for name in sorted(names) if not name.startswith(_OWN)}


class Actor:
    """Scores tables of images on a node, with a model that stays loaded.

    Parameters
    ----------
    files, detail, views
        As in `galaxytree.survey_engine.Asking`.
    """

    def __init__(self, files: bool, detail: Detail, views: Views) -> None:  # noqa: FBT001 (Ray gives them by place)
        self._files, self._full, self._views = files, detail == "full", views
        self._scorer = the_scorer()
        facts = ModelFacts.of(self._scorer.facts())
        self._network, self._schema = facts.network, facts.schema(full=self._full)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score a table of images: the first row of each one's chunk, and its URL or path."""
        names: list[str] = table[_IMAGE].to_pylist()
        images = [read_image(Path(name)) for name in names] if self._files else names
        there = [image for image in images if not isinstance(image, Unread)]
        answered = iter(self._scorer.rows(there, full=self._full, views=self._views) if there else [])
        rows = [image.row if isinstance(image, Unread) else next(answered) for image in images]
        scores = score_rows(rows, self._schema)
        scores = scores.append_column(_FIRST, table[_FIRST])
        return scores.append_column(_NETWORK, pa.array([self._network] * len(rows), pa.string()))
