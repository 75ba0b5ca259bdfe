"""What needs a key is described so, for who has a key to send it: by what lets requests in, not route by route."""

from typing import Any

from fastapi import FastAPI

from app.access import Access

_NAME = "API key"
_SCHEME = {"type": "http", "scheme": "bearer", "description": "Needed where the service was started with API keys"}


def name_keyed(app: FastAPI, access: Access) -> None:
    """Have an application describe which of its operations need a key; `app.guard` is what looks at it."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        said = plain()
        said["components"]["securitySchemes"] = {_NAME: _SCHEME}
        for path, operations in said["paths"].items():
            for method, operation in operations.items():
                if access.scope_for({"method": method.upper(), "path": path}) is not None:
                    operation["security"] = [{_NAME: []}]
        return said

    app.openapi = openapi  # type: ignore[method-assign]
