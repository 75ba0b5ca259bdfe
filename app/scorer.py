"""Many images in this process, without a service: what a node of a cluster runs.

Images are fetched, decoded and scored as the service does it, within the same limits and rules, by the same settings.
While some are scored, others are being fetched.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.batching import Entry, decode, score
from app.devices import choose
from app.engine import Engine
from app.errors import InternalError, PayloadTooLargeError, ServiceError, request_errors
from app.fetching.fetcher import Fetcher
from app.frames import Frame, Kind
from app.jobs import Job
from app.loading import load_model
from app.local import told_as_engine_errors
from app.model_folder import ModelFolder
from app.settings import Settings
from app.starting import start_of
from galaxytree.client import EngineError
from galaxytree.views import Views

Row = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Waiting:
    """An image that is there, and waits to be scored."""

    entry: Entry
    row: asyncio.Future[Row]


class Scorer:
    """Scores images with the model that the settings name (``GALAXYTREE_MODEL`` and so on). Threads may share one.

    The network runs on one core; as many threads, or actors, as there are cores use them all.

    Raises
    ------
    EngineError
        If the settings are wrong or the model is refused; the message says what to do.
    """

    def __init__(self) -> None:
        with told_as_engine_errors():
            self._settings = Settings()
            self._folder = ModelFolder.open(self._settings.model)
            start = replace(start_of(self._settings), wide=False)
            model = load_model(self._folder, choose(self._settings.device), start)
        self._most = start.batch_on(model.device.provider)
        self._engine = Engine(model, self._settings.max_image_pixels)
        # One loop for all calls, so that connections are kept from one to the next.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="galaxytree scorer", daemon=True)
        self._thread.start()
        self._fetcher: Fetcher = self._run(self._new_fetcher())

    async def _new_fetcher(self) -> Fetcher:
        return Fetcher.of(self._settings)

    @property
    def network_sha256(self) -> str:
        """SHA-256 of the ONNX file that runs, in hexadecimal."""
        return self._folder.sha256(self._engine.model.precision)

    def facts(self) -> dict[str, Any]:
        """Return what ``GET /model`` says of the network: card, outputs, default views, and which file runs."""
        return {
            **self._folder.card.model_dump(mode="json"),
            "outputs": list(self._engine.model.outputs),
            "default_views": self._settings.views,
            "precision": self._engine.model.precision,
            "network_sha256": self.network_sha256,
        }

    def rows(self, images: Sequence[str | bytes], *, full: bool = False, views: Views | None = None) -> list[Row]:
        """Score images.

        Parameters
        ----------
        images
            URLs, or the bytes of JPEGs or PNGs.
        full
            Whether to give questions, path and summary beside the scores.
        views
            How many orientations to average over; None for what is set (``GALAXYTREE_VIEWS``).

        Returns
        -------
        list of dict
            One an image, in order, as ``POST /classify/batch`` has its results but for `index` and `id`: one that
            can't be scored is a row that says why.

        Raises
        ------
        EngineError
            If there is no room for so many views in a run (``GALAXYTREE_MAX_BATCH``).
        """
        asked: Views = views or self._settings.views
        if asked > self._most:
            msg = f"{asked} views of an image don't fit into a run of {self._most} (max_batch)"
            raise EngineError(msg)
        rows: list[Row] = self._run(self._rows(images, Job(b"", views=asked, full=full)))
        return rows

    def close(self) -> None:
        """Let everything go."""
        if self._loop.is_closed():
            return
        self._run(self._fetcher.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 (whatever it returns)
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result()
        except BaseException:
            # As by Ctrl-C: nobody waits any more.
            future.cancel()
            raise

    async def _rows(self, images: Sequence[str | bytes], job: Job) -> list[Row]:
        rows: list[Row] = [{}] * len(images)
        places = iter(range(len(images)))
        waiting: asyncio.Queue[_Waiting] = asyncio.Queue()

        async def work() -> None:
            for place in places:
                rows[place] = await self._row(images[place], job, waiting)

        scoring = asyncio.create_task(self._score(waiting))
        try:
            # So many images are here at a time, whether they are fetched or scored.
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._settings.batch_concurrency, len(images))):
                    workers.create_task(work())
        finally:
            scoring.cancel()
        return rows

    async def _row(self, image: str | bytes, job: Job, waiting: asyncio.Queue[_Waiting]) -> Row:
        try:
            data = await self._fetcher.fetch(image) if isinstance(image, str) else image
            if len(data) > self._settings.max_image_bytes:
                msg = f"The image has more than {self._settings.max_image_bytes} bytes; send a smaller one."
                raise PayloadTooLargeError(msg)
        except ServiceError as error:
            return _failed(error)
        one = _Waiting(Entry(0, replace(job, data=data)), asyncio.get_running_loop().create_future())
        waiting.put_nowait(one)
        return await one.row

    async def _score(self, waiting: asyncio.Queue[_Waiting]) -> None:
        """Score what has come, as many at a time as there may be in a run."""
        while True:
            together = [await waiting.get()]
            most = self._most // together[0].entry.job.views
            while len(together) < most and not waiting.empty():
                together.append(waiting.get_nowait())
            for number, one in enumerate(together):
                one.entry.number = number
            try:
                frames = await asyncio.to_thread(self._frames, [one.entry for one in together])
            except Exception as error:  # noqa: BLE001 (whatever it is, those who wait are to hear of it)
                for one in together:
                    one.row.set_exception(error)
                continue
            for frame in frames:
                row = together[frame.number].row
                if not row.done():
                    row.set_result(_row_of(frame))

    def _frames(self, entries: Sequence[Entry]) -> list[Frame]:
        return decode(self._engine, entries) + score(self._engine, entries)


def _failed(error: ServiceError) -> Row:
    return {"status": "error", "error": error.problem.model_dump()}


def _row_of(frame: Frame) -> Row:
    if frame.kind is Kind.ANSWER:
        return {"status": "ok", "classification": orjson.loads(frame.body)}
    if frame.kind is Kind.PROBLEM:
        said = orjson.loads(frame.body)
        return _failed(request_errors()[said["code"]](said["detail"]))
    _log.error("%s", frame.body.decode())
    return _failed(InternalError())
