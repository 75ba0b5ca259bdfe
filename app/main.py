"""The application, put together: a table of contents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from app.around import around, wrapped
from app.classify import serve, serve_whole, served_whole
from app.errors import WrongHostError
from app.page_files import read_page
from app.problems import documented, handle_errors
from app.processes import STARTER
from app.routes import admin, batch, classify, cutout, decision_tree, docs, health, keyed, metrics, model, oip, page
from app.service import Service
from app.settings import Settings
from app.shortcut import Shortcut
from app.telemetry.collector import registry_of
from app.telemetry.routes import Routes
from app.telemetry.watching import Watcher
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
        docs_url=None,
        redoc_url=None,
        # A redirect would name the host that the client claimed, and would have the body sent twice.
        redirect_slashes=False,
        middleware=around(service),
        responses=documented(WrongHostError),
    )
    app.state.service = service
    app.state.metrics = registry_of(service)
    handle_errors(app)

    app.include_router(classify.router)
    classify.name_choices(app, service.roster)
    app.include_router(batch.router)
    app.include_router(cutout.router)
    app.include_router(decision_tree.router)
    app.include_router(model.router)
    app.include_router(health.router)
    app.include_router(admin.router)
    app.include_router(metrics.router)
    app.include_router(oip.router)
    app.include_router(oip.inferring)
    oip.name_versions(app, service.roster)
    keyed.name_keyed(app, service.access)
    app.include_router(docs.router_of(docs.read_docs()))
    if service.settings.page:
        app.include_router(page.router_of(read_page()))

    return app


def front_of(app: FastAPI) -> Shortcut:
    """Return what a server is to run: an application that `create_app` made, with the shortcut in front of it."""
    service: Service = app.state.service
    watcher = Watcher(service, Routes(app.routes))
    endpoint = watcher.watch(wrapped(partial(serve, service), service))
    whole, takes_whole = watcher.whole(partial(serve_whole, service)), partial(served_whole, service)
    return Shortcut(watcher.watch(app), "POST", classify.PATH, endpoint, whole, takes_whole, watcher.malformed)
