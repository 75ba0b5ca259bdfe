"""Classifying in this process, without a service: ``galaxytree classify --local``."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from app.devices import choose
from app.engine import Engine
from app.errors import ServiceError, image_too_large
from app.jobs import Job
from app.loading import load_model
from app.model_folder import ModelFolder
from app.model_places import default_place
from app.ports import UnusableScoresError
from app.refusals import StartRefusedError
from app.settings import Settings
from app.starting import start_of
from galaxytree.client import EngineError, problem_error
from galaxytree.schemas import Classification
from galaxytree.views import MOST_VIEWS, Views


@contextmanager
def told_as_engine_errors() -> Iterator[None]:
    """Raise EngineError, with a sentence that says what to do, if the settings are wrong or the model is refused."""
    try:
        yield
    except StartRefusedError as error:
        raise EngineError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        msg = f"{name}: {first['msg']}"
        raise EngineError(msg) from error


class LocalEngine:
    """Classifies images the way the service does, with the service's settings (``GALAXYTREE_MODEL`` and so on).

    Raises
    ------
    EngineError
        If the settings are wrong or the model is refused; the message says what to do.
    """

    def __init__(self) -> None:
        with told_as_engine_errors():
            # Nobody else is about: one image at a time, with all of its views.
            self._settings = Settings(max_batch=MOST_VIEWS, queue_images=MOST_VIEWS)
            folder, device = ModelFolder.open(default_place(self._settings)), choose(self._settings.device)
            model = load_model(folder, device, start_of(self._settings))
            self._engine = Engine(model, self._settings.max_image_pixels)

    def classify(self, data: bytes, *, full: bool = True, views: Views | None = None) -> Classification:
        """Classify one image.

        Parameters
        ----------
        data
            The bytes of a JPEG or PNG.
        full
            Whether to give questions, path and summary beside the scores.
        views
            How many orientations to average over; None for what is set (``GALAXYTREE_VIEWS``).

        Raises
        ------
        galaxytree.client.ProblemError
            With the code that the service would have answered.
        EngineError
            If the model has no usable scores for the image.
        """
        try:
            if len(data) > self._settings.max_image_bytes:
                raise image_too_large(self._settings.max_image_bytes)
            job = Job(data, views=views or self._settings.views, full=full)
            (answer,) = self._engine.answer([job], [self._engine.read(job)], alone=True)
            return Classification.model_validate_json(answer)
        except ServiceError as error:
            raise problem_error(error.problem) from error
        except UnusableScoresError as error:
            msg = f"the model answers {error}"
            raise EngineError(msg) from error

    def close(self) -> None:
        """There is nothing to let go; a client of a service has connections."""
