"""Scores the images of a survey on a Ray cluster, each of whose nodes runs the network itself.

Ray Data hands chunks to actors, one a GPU, or a core where there are none, and gives those of an actor or a node that
dies to others. What comes back goes into the survey's ledger as the answers of a service do, so that no file system
needs to be shared, and a survey that was stopped goes on in the same way.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from galaxytree.client_errors import EngineError, UnexpectedAnswerError
from galaxytree.in_process import new_scorer, the_scorer
from galaxytree.ray_cluster import OWN, connect, kind_of, name_of, reason, same, settings
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, Detail, ModelFacts, Scored
from galaxytree.views import Views

WINDOW_CHUNKS = 4096
"""Chunks that are read from the catalogue ahead of the scoring, and wait in Ray's memory as URLs or paths."""

NODES_SECONDS = 60.0
"""How long a survey waits for other nodes to say which model they have once one has; they may be at other work."""

CLOSE_SECONDS = 1.0
"""How long a survey that is stopped waits for what is in work to end."""

_FIRST, _PLACE, _IMAGE, _NETWORK = "first", "place", "image", "network"


class RayEngine:
    """Has images scored by the actors of a Ray cluster.

    Parameters
    ----------
    address : str or None
        The cluster's, ``HOST:PORT``, or ``auto`` for the one that runs on this machine; without it that of
        ``RAY_ADDRESS``, or one that is started here, and ended with the engine.

    Raises
    ------
    EngineError
        If there is no cluster at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._begun = not ray.is_initialized()
        if self._begun:
            connect(address or os.environ.get("RAY_ADDRESS") or OWN)
        # Rows are counted where they are kept, and what goes wrong is said there.
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        self._kind = kind_of(ray.cluster_resources())
        self._slot = {"num_gpus": 1} if self._kind == "GPU" else {"num_cpus": 1}
        self._environment = {"env_vars": settings()}

    async def model(self) -> ModelFacts:
        """Return which network the nodes run.

        Raises
        ------
        EngineError
            If a node can't score, or nodes have different models.
        """
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get(self._kind, 0) >= 1]
        if not nodes:
            msg = f"no node of the cluster has a {self._kind} for the network to run on"
            raise EngineError(msg)
        asked = {asyncio.create_task(self._told_by(node["NodeID"])): name_of(node) for node in nodes}
        done, rest = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        if rest:
            done |= (await asyncio.wait(rest, timeout=NODES_SECONDS))[0]
        for task in asked:
            task.cancel()
        told: dict[str, ModelFacts] = {}
        for task, name in asked.items():
            if task in done:
                try:
                    told[name] = task.result()
                except ray.exceptions.RayError as error:
                    msg = f"the node {name} of the cluster can't score: {reason(error)}"
                    raise EngineError(msg) from error
        return same(told)

    async def _told_by(self, node: str) -> ModelFacts:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        ask = ray.remote(_facts).options(scheduling_strategy=there, runtime_env=self._environment, **self._slot)
        reference = ask.remote()
        try:
            return ModelFacts.of(await asyncio.wrap_future(reference.future()))
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise

    async def score(self, chunks: Iterator[Chunk], asking: Asking) -> AsyncGenerator[Scored, None]:
        """Score chunks; see `galaxytree.survey_engine.Engine`.

        Raises
        ------
        EngineError
            If the cluster fails.
        """
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, "ray")
        try:
            while window := await loop.run_in_executor(thread, lambda: list(islice(chunks, WINDOW_CHUNKS))):
                answers = self._answers(window, asking)
                Leaving.asked.clear()
                try:
                    while (scored := await loop.run_in_executor(thread, next, answers, None)) is not None:
                        yield scored
                except (ray.exceptions.RayError, ray.exceptions.UserCodeException) as error:
                    msg = f"the cluster can't go on: {reason(error)}"
                    raise EngineError(msg) from error
                finally:
                    Leaving.asked.set()
                    # In the thread that it runs in, after its step, which may take as long as an image takes to come.
                    await asyncio.wait([loop.run_in_executor(thread, answers.close)], timeout=CLOSE_SECONDS)
        finally:
            thread.shutdown(wait=False)

    def _answers(self, chunks: list[Chunk], asking: Asking) -> Generator[Scored]:
        """Yield the answers for chunks as they come."""
        missing = {chunk.first: len(chunk.images) for chunk in chunks}
        parts: dict[int, list[pa.Table]] = {}
        slots = int(ray.cluster_resources()[self._kind])
        scored = ray.data.from_blocks([_block(chunk) for chunk in chunks]).map_batches(
            Actor,
            fn_constructor_args=(asking.files, asking.detail, asking.views),
            batch_size=None,
            batch_format="pyarrow",
            # At least one, so that one whose node is gone finds room when others have nothing left to do.
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=slots, initial_size=slots),
            runtime_env=self._environment,
            **self._slot,
        )
        # Of this one alone: others of this process are not to end with it.
        scored.context.custom_execution_callback_classes = [Leaving]
        for table in scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            # Ray may cut and join tables as it likes.
            for first in table[_FIRST].unique().to_pylist():
                parts.setdefault(first, []).append(table.filter(pa.compute.equal(table[_FIRST], first)))
                missing[first] -= parts[first][-1].num_rows
                if not missing[first]:
                    whole = pa.concat_tables(parts.pop(first)).sort_by(_PLACE)
                    del missing[first]
                    yield Scored(first, as_asked(whole, asking), whole[_NETWORK][0].as_py())
        if missing:
            msg = f"the cluster gave no answers for {sum(missing.values())} rows"
            raise EngineError(msg)

    async def aclose(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._begun:
            await asyncio.to_thread(ray.shutdown)


class Leaving:
    """Ends what Ray Data executes when nobody waits for it any more; Ray Data calls it at each step that it takes.

    Else whoever waits for an answer waits until there is one, and what is executed outlives the connection to its
    cluster, which it then misses: it joins another, or ends the process.

    Attributes
    ----------
    asked
        Set for it to end.
    """

    asked: ClassVar[threading.Event] = threading.Event()

    def before_execution_starts(self, executor: Any) -> None:  # noqa: ANN401 (Ray Data's)
        """Nothing is to be done."""

    def on_execution_step(self, _executor: Any) -> None:  # noqa: ANN401 (Ray Data's)
        """Raise EngineError if it is to end."""
        if self.asked.is_set():
            msg = "the survey was stopped"
            raise EngineError(msg)

    def after_execution_succeeds(self, executor: Any) -> None:  # noqa: ANN401 (Ray Data's)
        """Nothing is to be done."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:  # noqa: ANN401 (Ray Data's)
        """Nothing is to be done."""


def as_asked(table: pa.Table, asking: Asking) -> pa.Table:
    """Return a node's answers under the schema of the survey, whose metadata Ray loses on the way."""
    table = table.drop_columns([_FIRST, _PLACE, _NETWORK])
    if table.schema != asking.schema:
        # Another network's, then.
        msg = "a node of the cluster has other scores than the survey was begun with: it has another model"
        raise UnexpectedAnswerError(msg)
    return table.cast(asking.schema)


def _block(chunk: Chunk) -> pa.Table:
    count = len(chunk.images)
    return pa.table({_FIRST: [chunk.first] * count, _PLACE: range(count), _IMAGE: list(chunk.images)})


def _facts() -> dict[str, Any]:
    scorer = new_scorer()
    try:
        return scorer.facts()
    finally:
        scorer.close()


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
        """Score a table of images: the first row of each one's chunk, its place in it, and its URL or path."""
        names: list[str] = table[_IMAGE].to_pylist()
        images = [Path(name) for name in names] if self._files else names
        scores = score_rows(self._scorer.rows(images, full=self._full, views=self._views), self._schema)
        for name in (_FIRST, _PLACE):
            scores = scores.append_column(name, table[name])
        return scores.append_column(_NETWORK, pa.array([self._network] * len(names), pa.string()))
