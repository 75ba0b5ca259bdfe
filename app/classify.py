"""The way of one image: bytes -> pixels -> scores -> Classification."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from app.batching import Batcher
from app.devices import cores
from app.errors import DeadlineExceededError
from app.images import FramedImage, ImageReader
from app.model import Model
from app.settings import Settings
from galaxytree.schemas import Classification, ModelName
from galaxytree.views import Views


@dataclass(frozen=True)
class Timings:
    """What an answer took, in seconds: from bytes to pixels, waiting for a run, the run."""

    decode: float
    queue: float
    infer: float

    @property
    def header(self) -> str:
        """The value of ``Server-Timing``, in milliseconds."""
        named = (("decode", self.decode), ("queue", self.queue), ("infer", self.infer))
        return ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in named)


class Classifier:
    """Classifies images with one model.

    Parameters
    ----------
    model : Model
        Loaded and warmed up.
    settings : Settings
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model = model
        self._name = ModelName(name=model.card.name, version=model.card.version, tree=model.card.tree)
        self._reader = ImageReader(model.card.framing, settings.max_image_pixels)
        # Decoding is done before an image joins the queue, so that one that can't be decoded fails alone.
        self._decoding = ThreadPoolExecutor(settings.threads or cores(), "decoding")
        self._batcher = Batcher(model.predict, settings.max_batch)
        self._seconds = settings.request_timeout_seconds
        self._retry_after_seconds = settings.retry_after_seconds

    async def classify(self, data: bytes, *, full: bool, views: Views) -> tuple[Classification, Timings]:
        """Classify one image among others that come in at the same time.

        Parameters
        ----------
        data : bytes
            A JPEG or PNG.
        full : bool
            Whether to give questions, path and summary beside the scores.
        views : 1 or 8
            How many orientations to average over.

        Raises
        ------
        UndecodableImageError, UnsupportedMediaTypeError, TooManyPixelsError
            See `ImageReader.read`.
        DeadlineExceededError
            If it takes longer than the settings allow; the image is dropped.
        InternalError
            If the network fails.
        """
        started = perf_counter()
        try:
            async with asyncio.timeout(self._seconds):
                image = await asyncio.get_running_loop().run_in_executor(self._decoding, self._reader.read, data, views)
                decoded = perf_counter()
                scored = await self._batcher.score(image.pixels)
        except TimeoutError as error:
            msg = f"No answer within {self._seconds:g} s; the image was dropped."
            raise DeadlineExceededError(msg, self._retry_after_seconds) from error
        answer = Classification.of(self.model.tree, scored.prediction, self._name, image.facts, full=full)
        return answer, Timings(decoded - started, scored.queue_seconds, scored.infer_seconds)

    def classify_now(self, data: bytes, *, full: bool, views: Views) -> Classification:
        """Classify one image in this thread, with nobody else about.

        Raises
        ------
        UndecodableImageError, UnsupportedMediaTypeError, TooManyPixelsError
            See `ImageReader.read`.
        """
        image: FramedImage = self._reader.read(data, views)
        prediction = self.model.predict(image.pixels).over_views()
        return Classification.of(self.model.tree, prediction, self._name, image.facts, full=full)

    def close(self) -> None:
        """Let the threads go; what waits is not scored."""
        self._decoding.shutdown(wait=False, cancel_futures=True)
        self._batcher.close()
