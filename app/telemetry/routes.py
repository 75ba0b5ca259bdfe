"""Which route a request was for: one of those that there are, or ``other``, so that nobody can make up new ones."""

from collections.abc import Iterable, Iterator

from starlette.routing import BaseRoute
from starlette.types import Scope

OTHER = "other"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def plain_paths(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the paths of all routes that have no parameters."""
    return frozenset(path for path in _paths(routes) if "{" not in path)


def _paths(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        # What FastAPI includes is a route that has a router.
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            yield from _paths(inner)
        elif isinstance(path := getattr(route, "path", None), str):
            yield path


def route_of(scope: Scope, plain: frozenset[str]) -> str:
    """Return the path of a request's route, with names for its parameters; ``other`` if it has none.

    Parameters
    ----------
    scope
        Of a request that was served.
    plain
        The paths of routes without parameters.
    """
    path: str = scope["path"]
    if path in plain:
        # Also where nobody looked at the route, as with who has no key.
        return path
    template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else OTHER


def method_of(scope: Scope) -> str:
    """Return a request's method; ``other`` if it is none of the usual ones."""
    method: str = scope["method"]
    return method if method in METHODS else OTHER
