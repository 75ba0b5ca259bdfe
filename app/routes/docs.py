"""``GET /docs``: the description of all routes, to read and to try, shown by Swagger UI.

What FastAPI itself has for it loads scripts of a public host into a page of this service, and shows nothing where that
host can't be reached, as from many a GPU host. Here all of it comes from the service.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Request, Response

from app.page_files import PageFile, as_file
from app.routes.page import answer

PATH = "/docs"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from other hosts; Swagger UI writes styles into its elements."""

_OWN = Path(__file__).parents[1] / "docs_page"
_SWAGGER_UI = Path(fastapi_offline.__file__).parent / "static"
_FILES = {
    PATH: _OWN / "index.html",
    f"{PATH}/start.js": _OWN / "start.js",
    f"{PATH}/swagger-ui-bundle.js": _SWAGGER_UI / "swagger-ui-bundle.js",
    f"{PATH}/swagger-ui.css": _SWAGGER_UI / "swagger-ui.css",
}


def read_docs() -> Mapping[str, PageFile]:
    """Read the page and what shows it.

    Returns
    -------
    Mapping
        By their paths.

    Raises
    ------
    OSError
        If a file can't be read.
    """
    return {path: as_file(file.name, file.read_bytes()) for path, file in _FILES.items()}


def router_of(files: Mapping[str, PageFile]) -> APIRouter:
    """Return the routes of the description.

    Parameters
    ----------
    files
        By their paths; see `read_docs`.
    """
    router = APIRouter(include_in_schema=False)
    for path, file in files.items():
        router.add_api_route(path, _serving(file), methods=["GET", "HEAD"])
    return router


def _serving(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return answer(request, file, CONTENT_SECURITY_POLICY)

    return serve
