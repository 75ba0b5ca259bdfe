"""Images of any number and kind to services: files are read and sent some at a time, and what can't be read is told."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from galaxytree.batch_calls import BatchCaller, ImageItem, UrlItem
from galaxytree.groups import CALL_BYTES
from galaxytree.image_files import Unread, read_image
from galaxytree.in_process import GivenImage
from galaxytree.survey_engine import Detail
from galaxytree.views import Views

CALL_ITEMS = 256
"""Images that are asked for in one call of a service."""


async def score_images(
    caller: BatchCaller,
    images: Iterable[GivenImage],
    *,
    detail: Detail,
    views: Views | None,
    heard: Callable[[int], object] = lambda _: None,
) -> tuple[list[dict[str, Any]], set[str]]:
    """Have images scored, all URLs or none.

    Parameters
    ----------
    caller, detail, views, heard
        See `BatchCaller.score`.
    images
        URLs, or paths of files and bytes of images; or why there is none.

    Returns
    -------
    rows
        One an image, in order, as `galaxytree.batch_calls.BatchAnswer` has them.
    networks
        SHA-256 of the ONNX files that answered.
    """
    rows: list[dict[str, Any]] = []
    networks: set[str] = set()
    groups = _groups(images)
    while group := await asyncio.to_thread(next, groups, None):
        items: list[Any] = [item for item in group if not isinstance(item, Unread)]
        answered: Iterator[dict[str, Any]] = iter(())
        if items:
            answer = await caller.score(items, detail=detail, views=views, heard=heard)
            answered = iter(answer.rows)
            networks.add(answer.network)
        rows += [item.row if isinstance(item, Unread) else next(answered) for item in group]
    return rows, networks


def _groups(images: Iterable[GivenImage]) -> Iterator[list[UrlItem | ImageItem | Unread]]:
    """Read files, and yield what is sent together."""
    group: list[UrlItem | ImageItem | Unread] = []
    size = 0
    for image in images:
        one = read_image(image) if isinstance(image, Path) else image
        if isinstance(one, bytes):
            size += len(one)
            group.append(ImageItem(one, image.name if isinstance(image, Path) else None))
        else:
            group.append(UrlItem(one) if isinstance(one, str) else one)
        if len(group) >= CALL_ITEMS or size >= CALL_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
