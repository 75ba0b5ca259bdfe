"""Images -> answers, with one model: what a worker does, by itself or a batch at a time."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import numpy as np
import orjson

from app.images import FramedImage, ImageReader
from app.jobs import Job
from app.model import Model
from app.splitting import Splitting
from galaxytree.schemas import ModelName
from galaxytree.wording import Wording


class Engine:
    """Turns images into answers with one model. Any thread may call any method.

    Parameters
    ----------
    model : Model
        Loaded and warmed up.
    max_pixels : int
        Width x height of one image, at most.
    """

    def __init__(self, model: Model, max_pixels: int) -> None:
        self.model = model
        self._splitting = Splitting()
        self._reader = ImageReader(model.card.framing, max_pixels)
        name = ModelName(name=model.card.name, version=model.card.version, tree=model.card.tree)
        self._wording = Wording(model.tree, name)
        self._explainer = model.explainer

    @property
    def without_memory(self) -> int:
        """How many runs there was no memory for until now."""
        return self._splitting.without_memory

    def read(self, job: Job) -> FramedImage:
        """Decode one image and frame its views, unless its pixels came framed.

        Raises
        ------
        UndecodableImageError, UnsupportedMediaTypeError, TooManyPixelsError
            See `ImageReader.read`.
        """
        reader = self._reader
        return reader.take(job.data, job.views) if job.framed else reader.read(job.data, job.views)

    def answer(self, jobs: Sequence[Job], images: Sequence[FramedImage], *, alone: bool = False) -> list[bytes]:
        """Score images in one run, and write their answers as JSON; see `galaxytree.schemas.Classification`.

        Where there is no memory for one run there are several: see `app.splitting`.

        Parameters
        ----------
        jobs, images
            One each for each image.
        alone
            Whether the run may have all cores.

        Raises
        ------
        UnusableScoresError
            If the network answers something else than finite scores.
        """
        pixels = images[0].pixels if len(images) == 1 else np.concatenate([image.pixels for image in images])
        explain = any(job.explain is not None for job in jobs)
        predictions = self._splitting.predict(partial(self.model.predict, alone=alone, explain=explain), pixels)
        views = [len(image.pixels) for image in images]
        answers = self._wording.answers(
            predictions.over_views(views), [image.facts for image in images], [job.full for job in jobs]
        )
        if predictions.evidence is not None and self._explainer is not None:
            ends = accumulate(views)
            for job, image, answer, end, count in zip(jobs, images, answers, ends, views, strict=True):
                if job.explain is not None:
                    own = predictions.evidence[end - count : end]
                    answer["explanation"] = self._explainer.explanation(job.explain, own, image.facts)
        return [orjson.dumps(answer) for answer in answers]
