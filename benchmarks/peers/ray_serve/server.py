"""Ray Serve: one replica a core, with its settings for throughput, on a Ray of its own that ends with it."""

import signal
import tempfile
import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.scoring import BATCH_VARIABLE, PORT_VARIABLE, WORKERS_VARIABLE, Scorer, number

_BATCH = number(BATCH_VARIABLE, 1)
_MOST_WAITING = 1024


@serve.deployment(
    num_replicas=number(WORKERS_VARIABLE, 1), max_ongoing_requests=_MOST_WAITING, ray_actor_options={"num_cpus": 1}
)
class Classifier:
    """The body's bytes in, JSON out."""

    def __init__(self) -> None:
        self.scorer = Scorer.of_environment()

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=0.002)
    async def batch(self, images: list[bytes]) -> list[bytes]:
        """Answer a batch in one run of the network."""
        return self.scorer.classify(images)

    async def __call__(self, request: Request) -> Response:
        """Answer one image."""
        body = await request.body()
        content: Any = await self.batch(body) if _BATCH > 1 else self.scorer.classify([body])[0]
        return Response(content, media_type="application/json")


def main() -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    over = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: over.set())
    ray.init(
        num_cpus=number(WORKERS_VARIABLE, 1) + 1,
        include_dashboard=False,
        object_store_memory=128 * 1024 * 1024,
        _temp_dir=tempfile.gettempdir(),
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level="error",
    )
    serve.start(http_options={"host": "127.0.0.1", "port": number(PORT_VARIABLE, 8000)})
    deployment: Any = Classifier
    serve.run(deployment.bind(), route_prefix="/classify")
    over.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
