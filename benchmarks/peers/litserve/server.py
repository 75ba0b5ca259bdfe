"""LitServe, with one worker a core, ZeroMQ for its queues, and as many HTTP servers as it thinks right.

Its documentation: "Use when serving hundreds of requests per second" of ``fast_queue``; `workers_per_device` as many as
there are cores. The body is taken as it comes: as JSON or a form it would cost more.
"""

from typing import Annotated, Any

import litserve
from fastapi import Depends, Request, Response

from benchmarks.scoring import BATCH_VARIABLE, PORT_VARIABLE, WORKERS_VARIABLE, Scorer, number


async def _body(request: Request) -> bytes:
    return await request.body()


class Classifier(litserve.LitAPI):
    """One image in, its scores out."""

    def setup(self, device: Any) -> None:  # noqa: ANN401, ARG002  (LitServe's signature)
        """Load the network: once a worker."""
        self.scorer = Scorer.of_environment()

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> Any:  # noqa: ANN401
        """Decode and frame the image."""
        return self.scorer.read(request)

    def predict(self, x: Any) -> Any:  # noqa: ANN401
        """Score one framed image, or a stack of them where batching is on."""
        return self.scorer.run(x) if x.ndim == 4 else self.scorer.run([x])[0]

    def encode_response(self, output: Any) -> Response:  # noqa: ANN401
        """Write the answer, so that FastAPI has nothing to convert."""
        return Response(self.scorer.answer(output), media_type="application/json")


def main() -> None:
    """Serve on 127.0.0.1."""
    batch = number(BATCH_VARIABLE, 1)
    api = Classifier(max_batch_size=batch, batch_timeout=0.005 if batch > 1 else 0.0, api_path="/classify")
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=number(WORKERS_VARIABLE, 1), fast_queue=True, timeout=60
    )
    server.run(
        host="127.0.0.1",
        port=number(PORT_VARIABLE, 8000),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
