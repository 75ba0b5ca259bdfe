"""``GET /``: the page on which people look at galaxies, and ``/page/…``: the files that it consists of."""

from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from app.page_files import ICON, INDEX, PageFile

PATH = "/page"

PIECE_BYTES = 64 * 1024
"""So many bytes of a file are given to the server at a time, which takes more only as they are sent."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from other hosts, nothing inline, nothing sent elsewhere, and in nobody's frame."""

_HEADERS = {
    # It is asked each time whether a file is still the same, so that nobody sees the old page with a new service.
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def router_of(files: Mapping[str, PageFile]) -> APIRouter:
    """Return the routes of a page.

    A name is looked up among the files that have been read, and nowhere else, so that no name leads out of them.

    Parameters
    ----------
    files
        By their names; see `app.page_files.read_page`.
    """
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return answer(request, files[INDEX])

    @router.api_route(PATH + "/{name:path}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        # The page has one address.
        return answer(request, None if name == INDEX else files.get(name))

    @router.api_route("/favicon.ico", methods=["GET", "HEAD"])
    async def icon(request: Request) -> Response:
        # Browsers ask for it on their own account, wherever they are.
        return answer(request, files.get(ICON))

    return router


def answer(request: Request, file: PageFile | None, policy: str = CONTENT_SECURITY_POLICY) -> Response:
    """Answer with a file, or that the browser has it already.

    Parameters
    ----------
    request
    file
        None: there is none.
    policy
        What it may load, as a page.

    Returns
    -------
    Response
        200 with the file, or 304 without it.

    Raises
    ------
    HTTPException
        404, if there is no file.
    """
    if file is None:
        raise HTTPException(404)
    headers = {**_HEADERS, "Content-Security-Policy": policy, "ETag": file.etag}
    if _is_known(request.headers.get("If-None-Match", ""), file.etag):
        return Response(status_code=304, headers=headers)
    # As a header, since Starlette would add its own words to a media type.
    headers |= {"Content-Type": file.media_type, "Content-Length": str(len(file.data))}
    return StreamingResponse(_pieces(file.data), headers=headers)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """Have no more of a large file wait for a client that doesn't read than a piece: who asks needs no key."""
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def _is_known(known: str, etag: str) -> bool:
    """Whether a browser has these bytes already (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return etag in tags or tags == ["*"]
