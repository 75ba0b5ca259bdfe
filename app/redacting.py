"""What is asked for is logged without what may be a secret: of a query, only what this service knows."""

import logging
import re

HIDDEN = "***"

KNOWN = frozenset(
    {"detail", "views", "priority", "explain", "picture", "model", "ra", "dec", "survey", "radius", "hips"}
)
"""Parameters whose values are shown, where they are short and plain."""

_PLAIN = re.compile(r"[A-Za-z0-9._+-]{0,32}")
_ACCESS = "uvicorn.access"
_PLACE = 2


def without_secrets(target: str) -> str:
    """Return a path with its query, without what the query may have that is nobody else's business."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(_shown(part) for part in query.split("&"))


def _shown(part: str) -> str:
    name, _, value = part.partition("=")
    return part if not part or (name in KNOWN and _PLAIN.fullmatch(value)) else HIDDEN


class RedactingFilter(logging.Filter):
    """Has the server's lines on requests say nothing that may be a secret; lets every record through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take what may be a secret out of a record."""
        if record.name == _ACCESS and isinstance(record.args, tuple) and len(record.args) > _PLACE:
            target = record.args[_PLACE]
            if isinstance(target, str) and "?" in target:
                record.args = (*record.args[:_PLACE], without_secrets(target), *record.args[_PLACE + 1 :])
        return True
