"""The application, put together: a table of contents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from app.errors import CatchUnexpected, handle_errors
from app.lingering import LingeringClose
from app.loading import load_model
from app.request_id import RequestId
from app.routes import classify, decision_tree, health, model
from app.service import Load, Service
from app.settings import Settings

DESCRIPTION = "What Galaxy Zoo's volunteers would say of a galaxy: the scores of the decision tree, for one image."


def create_app(settings: Settings | None = None, *, load: Load = load_model) -> FastAPI:
    """Put the service together. The model is verified here, and loaded once the application starts.

    Parameters
    ----------
    settings
        What is set; from the environment if not given.
    load
        How a verified model is loaded and warmed up.

    Raises
    ------
    StartRefusedError
        If the service can't start as it is set; the message says what to do.
    """
    service = Service.prepare(settings or Settings(), load)

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
    app.include_router(decision_tree.router)
    app.include_router(model.router)
    app.include_router(health.router)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app
