"""A table of galaxies -> the same table with scores: what Dask, LSDB or Ray map over the parts of a catalogue.

`score_table` is for pyarrow's tables, `score_frame` for pandas' frames, and `empty_frame` tells Dask beforehand what
comes of one. Each part is scored through a service, or in the process that has it, with a model that stays loaded.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pyarrow as pa

from galaxytree.batch_calls import BatchCaller, ImageItem, UrlItem
from galaxytree.image_files import Unread, read_image
from galaxytree.in_process import Scores, the_scorer
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Detail, ModelFacts
from galaxytree.views import Views

Row = dict[str, Any]

NO_IMAGE = Unread("no_image", "The row has no image.")

CALL_ITEMS = 256
"""Images that are asked for in one call of a service."""

CALL_BYTES = 4 << 20
"""About how many bytes of images are sent in one call of a service."""


@dataclass(frozen=True)
class Images:
    """Where the images of a table are: one column of URLs, of paths of files, or of the bytes of images.

    Attributes
    ----------
    url_column, path_column, image_column
        Its name; exactly one of them is given.
    """

    url_column: str | None = None
    path_column: str | None = None
    image_column: str | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.url_column, self.path_column, self.image_column)) != 1:
            msg = "name one column of images: url_column, path_column or image_column"
            raise ValueError(msg)

    def of(self, table: pa.Table) -> list[str | bytes | Unread]:
        """Return the image of each row: a URL, bytes, or why there are none.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        name = self.url_column or self.path_column or self.image_column
        values = table[name].to_pylist()
        if self.path_column is not None:
            return [NO_IMAGE if not value else read_image(Path(value)) for value in values]
        return [value or NO_IMAGE for value in values]


def score_table(  # noqa: PLR0913 (each is given by name)
    table: pa.Table,
    *,
    url_column: str | None = None,
    path_column: str | None = None,
    image_column: str | None = None,
    server: str | Sequence[str] | None = None,
    api_key: str | None = None,
    detail: Detail = "scores",
    views: Views | None = None,
) -> pa.Table:
    """Score the images of a table.

    Parameters
    ----------
    table : pyarrow.Table
    url_column, path_column, image_column
        Name of the column that the images are in: as URLs, as paths of files, or as the bytes of JPEGs or PNGs. One of
        the three.
    server
        Addresses of services; without any, the network runs in this process (``galaxytree[serve]``), by the settings
        ``GALAXYTREE_MODEL``, ``GALAXYTREE_FETCH_HOSTS`` and so on.
    api_key
        To show to the services.
    detail
        ``full`` adds the columns ``path`` and ``summary``.
    views : 1, 8 or None
        How many orientations of an image to average over; None for what is set.

    Returns
    -------
    pyarrow.Table
        The table, and beside it the columns of `galaxytree.score_table.score_schema`. An image that can't be scored is
        a row that says why in ``status``, ``error_code`` and ``error_detail``.

    Raises
    ------
    KeyError, ValueError
        If there is no such column, or the table has a column already that is to be added.
    GalaxytreeError
        If nothing can be scored.
    """
    images = Images(url_column, path_column, image_column).of(table)
    facts, rows = _scored(images, server, api_key, detail, views)
    scores = score_rows(rows, facts.schema(full=detail == "full"))
    clash = sorted({*table.column_names} & {*scores.column_names})
    if clash:
        msg = f"the table has columns already that are to be added: {', '.join(clash)}"
        raise ValueError(msg)
    for field, column in zip(scores.schema, scores.columns, strict=True):
        table = table.append_column(field, column)
    return table


def score_frame(frame: Any, **asked: Any) -> Any:  # noqa: ANN401 (pandas may not be installed)
    """Score the images of a pandas frame, which keeps its index; the parameters are those of `score_table`."""
    import pandas as pd  # noqa: PLC0415 (nothing else here needs it)

    table = pa.Table.from_pandas(frame, preserve_index=False)
    scores = score_table(table, **asked).drop_columns(table.column_names)
    return pd.concat([frame, scores.to_pandas().set_axis(frame.index)], axis=1)


def empty_frame(frame: Any, **asked: Any) -> Any:  # noqa: ANN401 (as above)
    """Return what `score_frame` would of no rows: what Dask is told beforehand as ``meta``."""
    return score_frame(frame.iloc[:0], **asked)


def _scored(
    images: list[str | bytes | Unread],
    server: str | Sequence[str] | None,
    api_key: str | None,
    detail: Detail,
    views: Views | None,
) -> tuple[ModelFacts, list[Row]]:
    there = [image for image in images if not isinstance(image, Unread)]
    if server is None:
        scorer: Scores = the_scorer()
        facts = ModelFacts.of(scorer.facts())
        answered = scorer.rows(there, full=detail == "full", views=views) if there else []
    else:
        servers = [server] if isinstance(server, str) else list(server)
        facts, answered = _by_service(there, BatchCaller(servers, api_key=api_key), detail, views)
    rows = iter(answered)
    return facts, [image.row if isinstance(image, Unread) else next(rows) for image in images]


def _by_service(
    images: list[str | bytes], caller: BatchCaller, detail: Detail, views: Views | None
) -> tuple[ModelFacts, list[Row]]:
    async def ask() -> tuple[ModelFacts, list[Row]]:
        try:
            facts = ModelFacts.of(await caller.model())
            rows: list[Row] = []
            for group in _groups(images):
                answer = await caller.score(group, detail=detail, views=views)
                rows += answer.rows
        finally:
            await caller.aclose()
        return facts, rows

    return _in_thread(ask)


def _groups(images: Sequence[str | bytes]) -> list[list[Any]]:
    groups: list[list[Any]] = []
    size = 0
    for image in images:
        if not groups or len(groups[-1]) >= CALL_ITEMS or size >= CALL_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(UrlItem(image) if isinstance(image, str) else ImageItem(image))
        size += len(image) if isinstance(image, bytes) else 0
    return groups


Result = TypeVar("Result")


def _in_thread(doing: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine function in a thread with a loop of its own: this one may have one that runs, as in notebooks."""
    found: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(doing()))
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            failed.append(error)

    thread = Thread(target=run, name="galaxytree calls", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
