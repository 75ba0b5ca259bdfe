"""How a worker is to start, and what then runs there: what the two tell each other first."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from app.providers import CPU, cores
from galaxytree.views import Views

if TYPE_CHECKING:
    # Workers need not know how settings are read.
    from app.settings import Settings

BATCH_ON_CPU = 8
"""Where nothing else is set. More are no faster: what they compute falls out of a core's cache."""

BATCH_ON_DEVICE = 64
"""Where nothing else is set."""


@dataclass(frozen=True)
class Start:
    """How a worker is to start: of the service's settings, what it needs.

    Attributes
    ----------
    model, device, precision, views, max_batch, max_image_pixels
        As in `app.settings.Settings`.
    cores
        Cores that the workers have between them.
    identity
        That of the model, see `app.model_folder.ModelFolder`; None for whichever lies there.
    wide
        Whether a run that is alone is to have all cores; None to try whether that is faster.
    """

    model: str | None
    device: Literal["auto", "cuda", "cpu"]
    precision: Literal["auto", "fp32", "int8"]
    views: Views
    max_batch: int
    max_image_pixels: int
    cores: int
    identity: str | None = None
    wide: bool | None = None

    def like(self, running: "Running") -> "Start":
        """Return how others are to start that run what a first one runs, or nothing.

        One is enough for images that are alone: what it takes to run on all cores takes memory too.
        """
        device: Literal["cpu", "cuda"] = "cpu" if running.provider == CPU else "cuda"
        return replace(self, device=device, precision=running.precision, wide=False)

    def batch_on(self, provider: str) -> int:
        """Return how many views there may be in one run on an execution provider."""
        return self.max_batch or (BATCH_ON_CPU if provider == CPU else BATCH_ON_DEVICE)


def start_of(settings: "Settings", identity: str | None = None) -> Start:
    """Return how workers are to start with these settings, and a model of this identity."""
    return Start(
        model=None if settings.model is None else str(settings.model),
        device=settings.device,
        precision=settings.precision,
        views=settings.views,
        max_batch=settings.max_batch,
        max_image_pixels=settings.max_image_pixels,
        cores=settings.workers or cores(),
        identity=identity,
    )


@dataclass(frozen=True)
class Running:
    """What a worker runs.

    Attributes
    ----------
    provider, why
        ONNX Runtime's execution provider, and why it is this one.
    precision, why_precision
        In which the network computes, and why.
    max_batch
        Views in one run, at most.
    outputs
        Names of what the network answers.
    explainable
        Whether it can also say where it looked.
    wide
        Whether a run that is alone has all cores, on a CPU: where that was faster.
    """

    provider: str
    why: str
    precision: Literal["fp32", "int8"]
    why_precision: str
    max_batch: int
    outputs: tuple[str, ...]
    explainable: bool
    wide: bool
