"""What becomes of each of many images, one by one or as a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from galaxytree.client_errors import GalaxytreeError
from galaxytree.decision_tree import load_tree
from galaxytree.given import Given, name_of
from galaxytree.schemas import Classification

_TREE = "galaxy-zoo-2"


@dataclass(frozen=True)
class Result:
    """What became of one image.

    Attributes
    ----------
    index
        Its place among those that were given, from 0.
    item
        What was given.
    classification
        The answer; None if there is none.
    error
        Why there is none: its `code` is a word for programs.
    """

    index: int
    item: Given
    classification: Classification | None = None
    error: GalaxytreeError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.classification is not None

    def unwrap(self) -> Classification:
        """Return the answer, or raise the error."""
        if self.classification is None:
            assert self.error is not None  # noqa: S101 (one of both is there)
            raise self.error
        return self.classification


def to_table(results: Iterable[Result]) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return results as a table, which needs ``pip install 'galaxytree[survey]'``.

    Parameters
    ----------
    results
        Of `Client.classify_many`, all of one model.

    Returns
    -------
    pyarrow.Table
        ``index`` and ``image`` (the path or URL, null for others), then the scores under the names of the tree and the
        other columns of `galaxytree.score_table.score_schema`; ``to_pandas()`` makes a frame of it.

    Raises
    ------
    ImportError
        If the extra is not installed.
    UnexpectedAnswerError
        If the answers are those of different models.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
    except ImportError as error:
        msg = f"to_table needs packages that are not installed ({error.name}): pip install 'galaxytree[survey]'"
        raise ImportError(msg, name=error.name) from error
    from galaxytree.score_table import score_rows, score_schema  # noqa: PLC0415 (needs it)

    gathered = list(results)
    first = next((one.classification for one in gathered if one.classification is not None), None)
    schema = score_schema(
        list(first.scores) if first else load_tree(_TREE).columns,
        uncertainty=first is not None and first.uncertainty is not None,
        uncertainty_95=first is not None and first.uncertainty_95 is not None,
        out_of_domain=first is not None and first.out_of_domain is not None,
        full=first is not None and first.summary is not None,
        tree=first.model.tree if first else _TREE,
    )
    scores = score_rows([_row(one) for one in gathered], schema)
    names = pa.array([name_of(one.item) for one in gathered], pa.string())
    places = pa.array([one.index for one in gathered], pa.int64())
    return scores.add_column(0, "index", places).add_column(1, "image", names)


def _row(one: Result) -> dict[str, Any]:
    if one.classification is not None:
        return {"status": "ok", "classification": one.classification.model_dump(exclude_none=True)}
    return {"status": "error", "error": {"code": one.error.code if one.error else "", "detail": str(one.error)}}
