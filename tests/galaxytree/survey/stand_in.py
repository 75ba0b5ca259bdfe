"""A service that answers for any URL or file, with scores that follow from it, and remembers what it was asked."""

import asyncio
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
    stalling
        URLs with a word in this set are not answered before `gate` is open, nor what comes after them in their calls.
    holds
        The call with this number, from 0, and all after it, wait for `gate`.
    old
        Whether it is of a release that knows of no networks.
    changes_after
        The call with this number, and all after it, are answered by another network.
    """

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    calls: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    network: str = "a" * 64
    name: str = "stand-in"
    outputs: tuple[str, ...] = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
    holds: int | None = None
    stalling: set[str] = field(default_factory=set)
    changes_after: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    server: uvicorn.Server | None = None
    stopped: bool = False
    old: bool = False
    api_key: str | None = None

    def stop(self) -> None:
        """Go, and break off the answers to those who wait."""
        assert self.server is not None
        self.stopped = self.server.should_exit = True

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
            **({} if self.old else {"network_sha256": self.network}),
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


def _app(state: StandIn) -> Starlette:  # noqa: C901 (one service, all of its manners)
    async def model(_: Request) -> Response:
        return JSONResponse(state.model())

    async def batch(request: Request) -> Response:
        query = dict(request.query_params)
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
        # Now, when it is counted: others may have come while its body did.
        number = len(state.calls)
        state.calls.append((len(items), query))
        full = query.get("detail") == "full"

        async def answers() -> AsyncIterator[bytes]:
            while (state.holds is not None and number >= state.holds and not state.gate.is_set()) or state.stopped:
                if state.stopped:
                    raise ConnectionAbortedError
                await asyncio.sleep(0.005)
            # The last ones first: answers come in the order of completion.
            for index, (name, seed) in reversed(list(enumerate(items))):
                if any(word in name for word in state.stalling):
                    await asyncio.to_thread(state.gate.wait, PATIENCE_SECONDS)
                yield json.dumps(state.result(index, name, seed, full=full)).encode() + b"\n"

        changed = state.changes_after is not None and number >= state.changes_after
        headers = {"X-Galaxytree-Network": "e" * 64 if changed else state.network}
        return StreamingResponse(answers(), media_type="application/x-ndjson", headers=headers)

    return Starlette(routes=[Route("/model", model), Route("/classify/batch", batch, methods=["POST"])])


@contextmanager
def standing_in(**state: Any) -> Iterator[StandIn]:  # noqa: ANN401
    """Serve in a thread, over a real socket."""
    one = StandIn(**state)
    server = uvicorn.Server(uvicorn.Config(_app(one), log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    one.server = server
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
