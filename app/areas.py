"""What each path needs: nothing, where the docs call it public, else a key of a scope."""

from galaxytree.scopes import KeyScope

HEALTH = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""What those ask who look after the service, by whatever name they know it."""

PUBLIC = HEALTH | {
    "/",
    "/favicon.ico",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui-bundle.js",
    "/docs/swagger-ui.css",
    "/openapi.json",
    "/decision-tree",
    "/model",
    "/models",
    "/cutout",
}
PUBLIC_FOLDER = "/page/"
METRICS = "/metrics"
CLASSIFY = "/classify"
BATCH = "/classify/batch"
ADMIN = "/admin"

_READING = frozenset({"GET", "HEAD"})


def scope_for(method: str, path: str, *, public_metrics: bool) -> KeyScope | None:
    """Return what the key must be for that a request shows; None if anyone may make it.

    A path that isn't known here, or not yet, is for nobody without a key: who adds a route need not think of it.

    Parameters
    ----------
    method, path
        The request's.
    public_metrics
        Whether anyone may read what is measured.
    """
    if method in _READING and (path in PUBLIC or path.startswith(PUBLIC_FOLDER)):
        return None
    if path == BATCH:
        return "batch"
    if path == METRICS:
        return None if public_metrics and method in _READING else "metrics"
    if path == ADMIN or path.startswith(f"{ADMIN}/"):
        return "admin"
    return "classify"
