"""The application, put together: a table of contents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from app.classify import serve, serve_whole, served_whole
from app.lingering import LingeringClose
from app.problems import CatchUnexpected, handle_errors
from app.processes import STARTER
from app.request_id import RequestId
from app.routes import batch, classify, decision_tree, health, model
from app.service import Service
from app.settings import Settings
from app.shortcut import Shortcut
from app.worker_link import Starter

DESCRIPTION = "What Galaxy Zoo's volunteers would say of a galaxy: the scores of the decision tree, for one image."


def create_app(settings: Settings | None = None, *, starter: Starter = STARTER) -> FastAPI:
    """Put the service together. The model is verified here, and workers load it once the application starts.

    Parameters
    ----------
    settings
        What is set; from the environment if not given.
    starter
        Starts the workers.

    Raises
    ------
    StartRefusedError
        If the service can't start as it is set; the message says what to do.
    """
    service = Service.prepare(settings or Settings(), starter)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="galaxytree",
        version=version("galaxytree"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # A redirect would name the host that the client claimed, and would have the body sent twice.
        redirect_slashes=False,
    )
    app.state.service = service

    # From the innermost to the outermost.
    app.add_middleware(CatchUnexpected)
    app.add_middleware(LingeringClose)
    app.add_middleware(RequestId)
    handle_errors(app)

    app.include_router(classify.router)
    classify.name_answers(app, service.folder.tree)
    app.include_router(batch.router)
    app.include_router(decision_tree.router)
    app.include_router(model.router)
    app.include_router(health.router)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def front_of(app: FastAPI) -> Shortcut:
    """Return what a server is to run: an application that `create_app` made, with the shortcut in front of it."""
    service: Service = app.state.service
    endpoint = RequestId(LingeringClose(CatchUnexpected(partial(serve, service))))
    return Shortcut(app, "POST", classify.PATH, endpoint, partial(serve_whole, service), partial(served_whole, service))
