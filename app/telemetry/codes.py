"""What was answered, in a word: ``ok``, or the code of the problem that the client got."""

from functools import lru_cache
from http import HTTPStatus

import orjson

from app.telemetry.numbers import OK

FIRST_ERROR = 400


def code_of(status: int, body: bytes) -> str:
    """Return the code of an answer, as it was sent: so what is counted is what clients are told, whoever answers."""
    return OK if status < FIRST_ERROR else _code(status, body)


@lru_cache(maxsize=256)
def _code(status: int, body: bytes) -> str:
    # Those who are refused in a crowd are all told the same.
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) else plain_code(status)


def plain_code(status: int) -> str:
    """Return what a status says by itself, as a code."""
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    except ValueError:
        return str(status)
