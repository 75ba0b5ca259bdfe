"""BentoML, with one worker a core: a mounted ASGI route that takes the body as it is, or its own adaptive batching."""

from pathlib import Path
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.scoring import BATCH_VARIABLE, WORKERS_VARIABLE, Scorer, number

_BATCH = number(BATCH_VARIABLE, 1)
_SETTINGS: dict[str, Any] = {
    "workers": number(WORKERS_VARIABLE, 1),
    "traffic": {"timeout": 60},
    "logging": {"access": {"enabled": False}},
    "metrics": {"enabled": False},
}
_scorers: list[Scorer] = []


async def _classify(request: Request) -> Response:
    return Response(_scorers[0].classify([await request.body()])[0], media_type="application/json")


@bentoml.service(**_SETTINGS)
@bentoml.asgi_app(Starlette(routes=[Route("/classify", _classify, methods=["POST"])]))
class Raw:
    """One image at a time, its bytes taken from the body."""

    def __init__(self) -> None:
        _scorers.append(Scorer.of_environment())


@bentoml.service(**_SETTINGS)
class Batched:
    """BentoML gathers what comes in; files are what it can gather, and it takes them from forms."""

    def __init__(self) -> None:
        self.scorer = Scorer.of_environment()

    @bentoml.api(route="/classify", batchable=True, max_batch_size=max(_BATCH, 2), max_latency_ms=10_000)
    def classify(self, files: list[Path]) -> list[dict[str, float]]:
        """Answer a batch in one run of the network."""
        return [
            self.scorer.table(scores) for scores in self.scorer.run([self.scorer.read(f.read_bytes()) for f in files])
        ]
