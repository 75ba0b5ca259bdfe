"""What a batch comes as, and as what it is to be answered."""

from enum import Enum

from python_multipart.multipart import parse_options_header
from starlette.types import Scope

from app.bodies import MOST_TYPE_BYTES
from app.errors import UnsupportedMediaTypeError

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data"


class Kind(Enum):
    """The kinds of bodies."""

    JSON = JSON
    NDJSON = NDJSON
    FORM = FORM


def header(scope: Scope, name: bytes) -> bytes:
    """Return a header of a request; those that came several times as one list."""
    return b", ".join(value for each, value in scope["headers"] if each == name)


def kind_of(scope: Scope) -> Kind:
    """Return what the body of a request is said to be.

    Raises
    ------
    UnsupportedMediaTypeError
        If it is none of the three.
    """
    if header(scope, b"content-encoding").strip().lower() not in {b"", b"identity"}:
        msg = "Send the body as it is, without Content-Encoding."
        raise UnsupportedMediaTypeError(msg)
    content_type = header(scope, b"content-type")
    short = content_type if len(content_type) <= MOST_TYPE_BYTES else b""
    said = parse_options_header(short)[0].decode("latin-1").lower()
    try:
        return Kind(said)
    except ValueError:
        msg = f"Send a batch as {JSON}, {NDJSON} or {FORM}, and say so in Content-Type."
        raise UnsupportedMediaTypeError(msg) from None


def answers_in_lines(scope: Scope, kind: Kind) -> bool:
    """Whether a batch is to be answered in lines, as NDJSON, and not with one document.

    The one that ``Accept`` would rather have; if it doesn't care, or would have neither, lines for lines.
    """
    asked = header(scope, b"accept").decode("latin-1").lower()
    lines, document = (_weight(asked, each) for each in (NDJSON, JSON))
    return kind is Kind.NDJSON if lines == document else lines > document


def _weight(accept: str, media_type: str) -> float:
    """Return how much a media type is wanted, from 0 to 1 (RFC 9110, 12.5.1): by the range that is the most special."""
    ranges = [media_type, "application/*", "*/*"]
    weights: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = _quality(parameters)
    return next((weights[each] for each in ranges if each in weights), 0.0)


def _quality(parameters: list[str]) -> float:
    for each in parameters:
        if each.startswith("q="):
            try:
                return float(each[2:])
            except ValueError:
                return 0.0
    return 1.0
