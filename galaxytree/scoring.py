"""A table of galaxies -> the same table with scores: what Dask, LSDB or Ray map over the parts of a catalogue.

`score_table` is for pyarrow's tables, `score_frame` for pandas' frames, and `empty_frame` tells Dask beforehand what
comes of one. Each part is scored through a service, or in the process that has it, with a model that stays loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxytree.background import Background
from galaxytree.batch_calls import BatchCaller
from galaxytree.calls import PATIENCE_SECONDS
from galaxytree.image_files import Unread
from galaxytree.in_process import GivenImage, the_scorer
from galaxytree.score_table import score_rows
from galaxytree.servers import addresses_of
from galaxytree.survey_engine import Detail, ModelFacts
from galaxytree.uploads import score_images
from galaxytree.views import Views

Row = dict[str, Any]

NO_IMAGE = Unread("no_image", "The row has no image.")


@dataclass(frozen=True)
class Images:
    """Where the images of a table are: in one column, as URLs, as paths of files, or as the bytes of images.

    Attributes
    ----------
    url_column, path_column, image_column
        Its name; exactly one of them is given.

    Raises
    ------
    ValueError
        If none or several are given.
    """

    url_column: str | None = None
    path_column: str | None = None
    image_column: str | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.url_column, self.path_column, self.image_column)) != 1:
            msg = "name one column of images: url_column, path_column or image_column"
            raise ValueError(msg)

    @property
    def column(self) -> str:
        """Its name."""
        return self.url_column or self.path_column or self.image_column or ""

    def of(self, values: Any) -> list[GivenImage]:  # noqa: ANN401 (an array of pyarrow's)
        """Return the images of a column; ValueError if it holds something else."""
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        fitting = _is_bytes if self.image_column is not None else _is_text
        if not (fitting(kind) or pa.types.is_null(kind)):
            wanted = "bytes" if self.image_column is not None else "text"
            msg = f"the column {self.column} is of {kind}, not of {wanted}"
            raise ValueError(msg)
        make = Path if self.path_column is not None else _itself
        return [make(value) if value else NO_IMAGE for value in values.to_pylist()]


def _is_text(kind: Any) -> bool:  # noqa: ANN401 (pyarrow has no types)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:  # noqa: ANN401 (likewise)
    is_one = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(each(kind) for each in is_one)


def _itself(value: Any) -> Any:  # noqa: ANN401 (text or bytes)
    return value


@dataclass(frozen=True)
class _Way:
    """How images are scored: as the parameters of `score_table` say."""

    server: str | Sequence[str] | None = None
    api_key: str | None = None
    patience_seconds: float = PATIENCE_SECONDS
    detail: Detail = "scores"
    views: Views | None = None

    def scores(self, images: Sequence[GivenImage]) -> pa.Table:
        """Return the scores of images, as `galaxytree.score_table.score_rows` has them."""
        if self.server is None:
            scorer = the_scorer()
            model = scorer.facts()
            rows = scorer.rows(images, full=self.detail == "full", views=self.views)
        else:
            servers = addresses_of(self.server)
            # In a thread of its own, since this one may have a loop that runs already, as in notebooks.
            background = Background("galaxytree calls")
            try:
                model, rows = background.run(self._through(servers, images))
            finally:
                background.close()
        return score_rows(rows, ModelFacts.of(model).schema(full=self.detail == "full"))

    async def _through(self, servers: Sequence[str], images: Sequence[GivenImage]) -> tuple[dict[str, Any], list[Row]]:
        caller = BatchCaller(servers, api_key=self.api_key, patience_seconds=self.patience_seconds)
        try:
            model = await caller.model()
            rows, _ = await score_images(caller, images, detail=self.detail, views=self.views)
        finally:
            await caller.aclose()
        return model, rows


def score_table(  # noqa: PLR0913 (each is given by name)
    table: pa.Table,
    *,
    url_column: str | None = None,
    path_column: str | None = None,
    image_column: str | None = None,
    server: str | Sequence[str] | None = None,
    api_key: str | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
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
        Address of a service, or of several that share the work; without any, the network runs in this process
        (``galaxytree[serve]``), by the settings ``GALAXYTREE_MODEL``, ``GALAXYTREE_FETCH_HOSTS`` and so on.
    api_key
        To show to the services.
    patience_seconds
        How long to wait for a service when none answers.
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
        If there is no such column or it holds something else, an address is none, or the table has a column already
        that is to be added.
    GalaxytreeError
        If nothing can be scored.
    """
    images = Images(url_column, path_column, image_column)
    way = _Way(server, api_key, patience_seconds, detail, views)
    scores = _added(way.scores(images.of(table[images.column])), table.column_names)
    for field, column in zip(scores.schema, scores.columns, strict=True):
        table = table.append_column(field, column)
    return table


def score_frame(
    frame: Any,  # noqa: ANN401 (pandas may not be installed)
    *,
    url_column: str | None = None,
    path_column: str | None = None,
    image_column: str | None = None,
    **way: Any,  # noqa: ANN401 (as `score_table` has them)
) -> Any:  # noqa: ANN401 (likewise)
    """Score the images of a pandas frame, or of one derived from it, which keeps its index and its kind.

    The parameters are those of `score_table`.
    """
    import pandas as pd  # noqa: PLC0415 (nothing else here needs it)

    images = Images(url_column, path_column, image_column)
    # Just this column: others may be of types that pyarrow doesn't know.
    values = pa.Array.from_pandas(frame[images.column])
    scores = _added(_Way(**way).scores(images.of(values)), list(frame.columns))
    return pd.concat([frame, scores.to_pandas().set_axis(frame.index)], axis=1)


def empty_frame(frame: Any, **asked: Any) -> Any:  # noqa: ANN401 (as above)
    """Return what `score_frame` would of no rows: what Dask and LSDB are told beforehand as ``meta``.

    The frame may be Dask's or LSDB's own: it is its kind that counts.
    """
    return score_frame(getattr(frame, "_meta", frame).iloc[:0], **asked)


def _added(scores: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return scores that can stand beside columns of these names."""
    clash = sorted({*names} & {*scores.column_names})
    if clash:
        msg = f"the table has columns already that are to be added: {', '.join(clash)}"
        raise ValueError(msg)
    return scores
