"""Many images in this process, without a service: what a node of a cluster runs.

Images are fetched, decoded and scored as the service does it, within the same limits and rules, by the same settings.
While some are scored, others are being fetched and decoded.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from app.batching import Entry, decode, score
from app.devices import choose
from app.engine import Engine
from app.errors import InternalError, ServiceError, image_too_large, request_errors
from app.fetching.fetcher import Fetcher
from app.frames import Frame, Kind
from app.jobs import Job
from app.loading import load_model
from app.local import told_as_engine_errors
from app.model_folder import ModelFolder
from app.model_places import default_place
from app.providers import CPU
from app.settings import Settings
from app.starting import start_of
from galaxytree.background import Background
from galaxytree.client_errors import EngineError
from galaxytree.image_files import Unread, read_image
from galaxytree.in_process import GivenImage
from galaxytree.views import Views

Row = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Waiting:
    """An image that is decoded, and waits to be scored."""

    entry: Entry
    frame: asyncio.Future[Frame]


class Scorer:
    """Scores images with the model that the settings name (``GALAXYTREE_MODEL`` and so on). Threads may share one.

    On a CPU the network runs on one core; as many threads, or actors, as there are cores use them all.

    Raises
    ------
    EngineError
        If the settings are wrong or the model is refused; the message says what to do.
    """

    def __init__(self) -> None:
        with told_as_engine_errors():
            self._settings = Settings()
            self._folder = ModelFolder.open(default_place(self._settings))
            start = replace(start_of(self._settings), wide=False)
            model = load_model(self._folder, choose(self._settings.device), start)
        self._most = start.batch_on(model.device.provider)
        self._engine = Engine(model, self._settings.max_image_pixels)
        # A GPU is faster than one core decodes.
        self._decoders = ThreadPoolExecutor(1 if model.device.provider == CPU else start.cores, "galaxytree decoder")
        # One loop for all calls, so that connections are kept from one to the next.
        self._background = Background("galaxytree scorer")
        self._fetcher = self._background.run(self._new_fetcher())

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

    def rows(self, images: Sequence[GivenImage], *, full: bool = False, views: Views | None = None) -> list[Row]:
        """Score images.

        Parameters
        ----------
        images
            URLs, paths of files, or the bytes of JPEGs or PNGs; or why there is none.
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
            msg = f"{asked} views of an image don't fit into a run of {self._most} (GALAXYTREE_MAX_BATCH)"
            raise EngineError(msg)
        return self._background.run(self._rows(images, Job(b"", views=asked, full=full)))

    def close(self) -> None:
        """Let everything go; once more changes nothing."""
        self._background.close(self._fetcher.close())
        self._decoders.shutdown()

    async def _rows(self, images: Sequence[GivenImage], job: Job) -> list[Row]:
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

    async def _row(self, image: GivenImage, job: Job, waiting: asyncio.Queue[_Waiting]) -> Row:
        try:
            data = await self._bytes_of(image)
            if isinstance(data, Unread):
                return data.row
            return _row_of(await self._frame(Entry(0, replace(job, data=data)), waiting))
        except ServiceError as error:
            return _failed(error)
        except Exception:  # noqa: BLE001 (whatever it is, it is one image's and costs no other)
            _log.exception("unexpected error at an image of a batch")
            return _failed(InternalError())

    async def _bytes_of(self, image: GivenImage) -> bytes | Unread:
        if isinstance(image, str):
            return await self._fetcher.fetch(image)
        data = await asyncio.to_thread(read_image, image) if isinstance(image, Path) else image
        if isinstance(data, bytes) and len(data) > self._settings.max_image_bytes:
            raise image_too_large(self._settings.max_image_bytes)
        return data

    async def _frame(self, entry: Entry, waiting: asyncio.Queue[_Waiting]) -> Frame:
        loop = asyncio.get_running_loop()
        told = await loop.run_in_executor(self._decoders, decode, self._engine, [entry])
        if told:
            return told[0]
        one = _Waiting(entry, loop.create_future())
        waiting.put_nowait(one)
        return await one.frame

    async def _score(self, waiting: asyncio.Queue[_Waiting]) -> None:
        """Score what is decoded, as many at a time as there may be in a run."""
        while True:
            together = [await waiting.get()]
            most = self._most // together[0].entry.job.views
            while len(together) < most and not waiting.empty():
                together.append(waiting.get_nowait())
            for number, one in enumerate(together):
                one.entry.number = number
            try:
                frames = await asyncio.to_thread(score, self._engine, [one.entry for one in together])
            except Exception as error:  # noqa: BLE001 (whatever it is, those who wait are to hear of it)
                for one in together:
                    one.frame.set_exception(error)
                continue
            for frame in frames:
                together[frame.number].frame.set_result(frame)


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
