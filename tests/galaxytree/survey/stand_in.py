"""A service that answers for any URL or file at once, with scores that follow from it, and remembers what it was asked."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.listening import listen, listening, url_of
from galaxytree.decision_tree import load_tree
from tests.servers import PATIENCE_SECONDS, wait_for

COLUMNS = load_tree("galaxy-zoo-2").columns
PROBLEM = {"type": "about:blank", "title": "Bad Gateway", "status": 502}


def scores_of(seed: str | bytes) -> dict[str, Any]:
    """Return what the stand-in answers for a URL, or the bytes of a file."""
    data = seed.encode() if isinstance(seed, str) else seed
    random = np.random.default_rng(list(hashlib.sha256(data).digest()))

    def table() -> dict[str, float]:
        return dict(zip(COLUMNS, random.uniform(size=len(COLUMNS)).round(8).tolist(), strict=True))

    return {"scores": table(), "uncertainty": table(), "uncertainty_95": table(), "out_of_domain": 0.125}


@dataclass
class StandIn:
    """What a test sees of it, and sets.

    Attributes
    ----------
    url
        Its address.
    asked
        How often each URL, or file's name, was asked for.
    calls
        How many items each call had, and its query.
    failing
        URLs with a word in this set fail with the code that the word is.
    network
        What it says it runs.
    holds
        The call with this number, from 0, and all after it, wait for `gate`.
    """

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    calls: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    network: str = "a" * 64
    name: str = "stand-in"
    outputs: tuple[str, ...] = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
    holds: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    api_key: str | None = None

    def model(self) -> dict[str, Any]:
        """Return what ``GET /model`` answers."""
        return {
            "name": self.name,
            "version": "2026.11.1",
            "sha256": "b" * 64,
            "tree": "galaxy-zoo-2",
            "columns": COLUMNS,
            "outputs": self.outputs,
            "default_views": 1,
            "network_sha256": self.network,
        }

    def result(self, index: int, name: str, seed: str | bytes, *, full: bool) -> dict[str, Any]:
        """Return the answer for an item."""
        self.asked[name] += 1
        for word in self.failing:
            if word in name:
                problem = {**PROBLEM, "code": word, "detail": f"{word}, it seems."}
                return {"index": index, "id": None, "status": "error", "error": problem}
        said = {part: value for part, value in scores_of(seed).items() if part in self.outputs}
        if full:
            said |= {"path": ["Class1.1", "Class7.1"], "summary": f"A galaxy, {len(name)} letters long."}
        said |= {"views": 1, "image": {"sha256": "c" * 64, "format": "JPEG", "width": 424, "height": 424}}
        return {"index": index, "id": None, "status": "ok", "classification": said}


def _app(state: StandIn) -> Starlette:
    async def model(_: Request) -> Response:
        return JSONResponse(state.model())

    async def batch(request: Request) -> Response:
        number, query = len(state.calls), dict(request.query_params)
        if state.api_key and request.headers.get("Authorization") != f"Bearer {state.api_key}":
            problem = {**PROBLEM, "status": 401, "code": "unauthorized", "detail": "A key is needed."}
            return JSONResponse(problem, 401, media_type="application/problem+json")
        items: list[tuple[str, str | bytes]] = []
        if request.headers["Content-Type"].startswith("multipart/"):
            async with request.form(max_files=10_000) as form:
                for part in form.getlist("files"):
                    assert isinstance(part, UploadFile)
                    items.append((str(part.filename), await part.read()))
        else:
            lines = (await request.body()).splitlines()
            items = [(one, one) for one in (json.loads(line)["url"] for line in lines if line)]
        state.calls.append((len(items), query))
        full = query.get("detail") == "full"

        async def answers() -> AsyncIterator[bytes]:
            if state.holds is not None and number >= state.holds:
                import anyio.to_thread  # noqa: PLC0415

                await anyio.to_thread.run_sync(state.gate.wait, PATIENCE_SECONDS)
            # The last ones first: answers come in the order of completion.
            for index, (name, seed) in reversed(list(enumerate(items))):
                yield json.dumps(state.result(index, name, seed, full=full)).encode() + b"\n"

        headers = {"X-Galaxytree-Network": state.network}
        return StreamingResponse(answers(), media_type="application/x-ndjson", headers=headers)

    return Starlette(routes=[Route("/model", model), Route("/classify/batch", batch, methods=["POST"])])


@contextmanager
def standing_in(**state: Any) -> Iterator[StandIn]:  # noqa: ANN401
    """Serve in a thread, over a real socket."""
    one = StandIn(**state)
    server = uvicorn.Server(uvicorn.Config(_app(one), log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    with listening("127.0.0.1", 0) as sockets:
        one.url = url_of(sockets[0])
        listen(sockets)
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive(), "the stand-in to listen")
            yield one
        finally:
            one.gate.set()
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
