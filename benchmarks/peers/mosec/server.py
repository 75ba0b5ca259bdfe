"""mosec: HTTP in Rust, one Python process a core, batches as they come together within a few milliseconds."""

import os
from typing import Any

from mosec import Server, Worker

from benchmarks.scoring import (
    BATCH_VARIABLE,
    DEVICE_VARIABLE,
    MODEL_VARIABLE,
    THREADS_VARIABLE,
    WORKERS_VARIABLE,
    Scorer,
    number,
)

_PASSED_ON = (MODEL_VARIABLE, DEVICE_VARIABLE, THREADS_VARIABLE, BATCH_VARIABLE)


class Classifier(Worker):
    """Raw bytes in, JSON out: neither needs mosec's own JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.scorer = Scorer.of_environment()

    def deserialize(self, data: bytes) -> bytes:
        """Take the body as it is."""
        return data

    def serialize(self, data: bytes) -> bytes:
        """Send the answer as it is."""
        return data

    def forward(self, data: Any) -> Any:  # noqa: ANN401  (one body, or a list of them where batching is on)
        """Answer one image, or a batch."""
        return self.scorer.classify(data) if isinstance(data, list) else self.scorer.classify([data])[0]


def main() -> None:
    """Serve; mosec reads address and port from variables of its own."""
    workers, batch = number(WORKERS_VARIABLE, 1), number(BATCH_VARIABLE, 1)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    server = Server()
    server.append_worker(
        Classifier,
        num=workers,
        max_batch_size=batch,
        max_wait_time=2 if batch > 1 else 0,
        env=[environment] * workers,
        route="/classify",
    )
    server.run()


if __name__ == "__main__":
    main()
