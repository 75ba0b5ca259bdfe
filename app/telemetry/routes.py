"""Which route a request was for: one of those that there are, or ``other``, so that nobody can make up new ones."""

import re
from collections.abc import Iterable, Iterator

from starlette.routing import BaseRoute
from starlette.types import Scope

OTHER = "other"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Routes:
    """The paths of an application's routes, with names for their parameters.

    Parameters
    ----------
    routes
        All that there are.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        found = dict(_paths(routes))
        self._plain = frozenset(path for path in found if "{" not in path)
        self._templates = {path: regex for path, regex in found.items() if "{" in path}

    def of(self, scope: Scope) -> str:
        """Return the path of a request's route; ``other`` if it has none.

        Also where nobody looked for the route, as with who has no key.

        Parameters
        ----------
        scope
            Of a request that is over.
        """
        path: str = scope["path"]
        if path in self._plain:
            return path
        template = getattr(scope.get("route"), "path", None)
        if isinstance(template, str):
            return template
        return next((each for each, regex in self._templates.items() if regex.match(path)), OTHER)


def _paths(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, re.Pattern[str]]]:
    for route in routes:
        # What FastAPI includes is a route that has a router.
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            yield from _paths(inner)
        elif isinstance(path := getattr(route, "path", None), str):
            yield path, route.path_regex  # type: ignore[attr-defined]  # whatever has a path has it compiled


def method_of(scope: Scope) -> str:
    """Return a request's method; ``other`` if it is none of the usual ones."""
    method: str = scope["method"]
    return method if method in METHODS else OTHER
