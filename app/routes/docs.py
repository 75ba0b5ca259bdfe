"""``GET /docs``: the description of all routes, to read and to try, shown by Swagger UI.

What FastAPI itself has for it loads scripts of a public host into a page of this service, and shows nothing where that
host can't be reached, as from many a GPU host. Here all of it comes from the service.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.page_files import PageFile, as_file
from app.routes.page import answer

PATH = "/docs"
FILES = ("swagger-ui-bundle.js", "swagger-ui.css")

_SCRIPT = re.compile(r"<script>(.*)</script>", re.DOTALL)


def route_docs(app: FastAPI) -> None:
    """Add the routes of the description to an application that has none of FastAPI's own for it."""
    router = APIRouter(include_in_schema=False)
    html = str(_html(app.title).body, "utf-8")
    (script,) = _SCRIPT.findall(html)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    folder = files("fastapi_offline") / "static"
    found = {f"{PATH}/{name}": as_file(name, (folder / name).read_bytes()) for name in FILES}
    for path, file in {PATH: as_file("docs.html", html.encode()), **found}.items():
        router.add_api_route(path, _serving(file, policy), methods=["GET", "HEAD"])
    app.include_router(router)


def _html(title: str) -> Response:
    # Addresses are relative, so that they are right below whatever path a proxy has the service.
    js, css = (f"{PATH[1:]}/{name}" for name in FILES)
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url=js,
        swagger_css_url=css,
        swagger_favicon_url="favicon.ico",
        # Otherwise a public host would be asked whether the description is valid.
        swagger_ui_parameters={"validatorUrl": None},
    )


def _serving(file: PageFile, policy: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return answer(request, file, policy)

    return serve
