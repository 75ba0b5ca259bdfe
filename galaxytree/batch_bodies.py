"""What is sent of the items of a batch, and what is read of its answer, line by line."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import from_json

from galaxytree.schemas import Problem

NDJSON = "application/x-ndjson"

MOST_LINES_BYTES = 240 * 1024
"""A longer body of lines is sent in several calls: so much is taken in by a service before its answer is read."""

MOST_FORM_ITEMS = 250
MOST_FORM_BYTES = 32 * 1024 * 1024
"""A longer form is sent in several calls, since a service takes forms of a limited length only."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class UrlItem:
    """An image that the service fetches.

    Attributes
    ----------
    url
        Where from.
    id
        What it is called; 256 letters at most.
    """

    url: str
    id: str | None = None


@dataclass(frozen=True)
class ImageItem:
    """An image that is sent.

    Attributes
    ----------
    data
        A JPEG or PNG.
    name
        What it is called.
    """

    data: bytes
    name: str | None = None


def body_of(items: Sequence[UrlItem | ImageItem]) -> tuple[int, dict[str, Any]]:
    """Return how many of some items go into one call, and what is sent of them, as httpx takes it.

    Parameters
    ----------
    items
        All of one kind; at least one.
    """
    urls = [item for item in items if isinstance(item, UrlItem)]
    if urls:
        lines = list(_lines(urls))
        return len(lines), {"content": b"".join(lines), "headers": {"Content-Type": NDJSON, "Accept": NDJSON}}
    # The service sees from the bytes what they are.
    parts = [("files", (item.name, item.data, "application/octet-stream")) for item in _some(items)]
    return len(parts), {"files": parts, "headers": {"Accept": NDJSON}}


def _lines(items: Sequence[UrlItem]) -> Iterator[bytes]:
    size = 0
    for item in items:
        asked = {"url": item.url} if item.id is None else {"url": item.url, "id": item.id}
        line = json.dumps(asked).encode() + b"\n"
        if size and size + len(line) > MOST_LINES_BYTES:
            return
        size += len(line)
        yield line


def _some(items: Sequence[UrlItem | ImageItem]) -> Iterator[ImageItem]:
    size = 0
    for item in items[:MOST_FORM_ITEMS]:
        assert isinstance(item, ImageItem)  # noqa: S101 (all are of one kind)
        if size and size + len(item.data) > MOST_FORM_BYTES:
            return
        size += len(item.data)
        yield item


def row_of(line: bytes, count: int) -> Row | None:
    """Read a line; None if it is no result of one of so many items."""
    try:
        row: Row = from_json(line, cache_strings="keys")
    except ValueError:
        return None
    match row:
        case {"index": int(index), "status": "ok", "classification": {}} if 0 <= index < count:
            return row
        case {"index": int(index), "status": "error", "error": {} as problem} if 0 <= index < count:
            return row if _is_problem(problem) else None
    return None


def _is_problem(found: Row) -> bool:
    try:
        Problem.model_validate(found)
    except ValidationError:
        return False
    return True
