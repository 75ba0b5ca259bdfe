"""Answers as a table: one row an image, one column a score."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxytree.client import UnexpectedAnswerError
from galaxytree.decision_tree import load_tree, tree_names
from galaxytree.predictions import FLAGGED_ABOVE, UNCERTAINTY, UNCERTAINTY_95

OK = "ok"
ERROR = "error"
STATUS = "status"
ERROR_CODE = "error_code"
ERROR_DETAIL = "error_detail"
OUT_OF_DOMAIN = "out_of_domain"
PATH = "path"
SUMMARY = "summary"

_SUFFIXES = {"scores": "", "uncertainty": "_uncertainty", "uncertainty_95": "_uncertainty_95"}
"""Field of a classification -> what the names of its columns end with."""

_COLUMNS = b"galaxytree.columns"
"""Key in a schema's metadata under which the names of the scores stand, which nothing else tells from other columns."""


_MORPHOLOGY = "src.morph"
_UCDS = {"scores": "stat.probability", "uncertainty": "stat.error", "uncertainty_95": "stat.error"}
"""Field of a classification -> the first word of its columns' UCD (UCD1+)."""


def score_schema(
    columns: Sequence[str],
    *,
    uncertainty: bool,
    uncertainty_95: bool,
    out_of_domain: bool,
    full: bool,
    tree: str | None = None,
) -> pa.Schema:
    """Return what a table of answers looks like.

    Parameters
    ----------
    columns
        Names of the scores, in the order of the model.
    uncertainty, uncertainty_95, out_of_domain
        Whether the model says so.
    full
        Whether there are the likeliest path through the tree (ids of answers, spaces between them) and the sentence.
    tree
        Name of the decision tree, whose questions and answers the descriptions of the columns have; of one that isn't
        known here they have the names alone.

    Returns
    -------
    pyarrow.Schema
        The scores (float32) under their names, ``<name>_uncertainty`` and ``<name>_uncertainty_95`` (float32),
        ``out_of_domain`` (float32), ``path`` and ``summary`` (string), ``status``, which is ``ok`` or ``error``,
        ``error_code`` and ``error_detail`` (string). All but ``status`` are null where there is nothing to say.
    """
    words = _words_of(tree)
    said = {"scores": "weighted score", "uncertainty": UNCERTAINTY, "uncertainty_95": UNCERTAINTY_95}
    asked = {"scores": True, "uncertainty": uncertainty, "uncertainty_95": uncertainty_95}
    fields = [
        _field(
            f"{name}{suffix}", pa.float32(), f"{words.get(name, name)}: {said[part]}", f"{_UCDS[part]};{_MORPHOLOGY}"
        )
        for part, suffix in _SUFFIXES.items()
        if asked[part]
        for name in columns
    ]
    if out_of_domain:
        told = f"how unlike what the model was trained on the picture is, 0 to 1; flagged above {FLAGGED_ABOVE}"
        fields.append(_field(OUT_OF_DOMAIN, pa.float32(), told, "meta.code.qual"))
    if full:
        fields.append(_field(PATH, pa.string(), "likeliest answers, from the first question to the end", _MORPHOLOGY))
        fields.append(_field(SUMMARY, pa.string(), "the answer in a sentence", "meta.note"))
    fields.append(_field(STATUS, pa.string(), f"{OK}, or {ERROR}: then there are no scores", "meta.code.status"))
    fields.append(_field(ERROR_CODE, pa.string(), "what went wrong, as a word for programs", "meta.code"))
    fields.append(_field(ERROR_DETAIL, pa.string(), "what went wrong, as a sentence", "meta.note"))
    return pa.schema(fields, {_COLUMNS: "\n".join(columns)})


def _field(name: str, kind: Any, description: str, ucd: str) -> Any:  # noqa: ANN401 (pyarrow has no types)
    return pa.field(name, kind, metadata={"description": description, "ucd": ucd})


def _words_of(tree: str | None) -> dict[str, str]:
    """Return each answer of a tree in words, such as ``Class3.1, "bar" (Is there a sign of a bar feature ...?)``."""
    if tree not in tree_names():
        return {}
    questions = load_tree(str(tree)).questions
    return {one.id: f'{one.id}, "{one.label}" ({question.text})' for question in questions for one in question.answers}


def score_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return answers as a table.

    Parameters
    ----------
    rows
        One an image: ``{"status": "ok", "classification": {...}}`` or ``{"status": "error", "error": {...}}``, as
        ``POST /classify/batch`` gives them.
    schema
        Of `score_schema`.

    Raises
    ------
    UnexpectedAnswerError
        If an answer has other scores than the schema, or lacks what the schema has.
    """
    layout = _Layout.of(schema)
    try:
        oks = [row["status"] == OK for row in rows]
        answers = [row["classification"] for row, ok in zip(rows, oks, strict=True) if ok]
        problems = [_NOTHING if ok else row["error"] for row, ok in zip(rows, oks, strict=True)]
        numbers = _numbers(answers, layout)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"an answer is not what the model of the survey says of an image ({type(error).__name__}: {error})"
        raise UnexpectedAnswerError(msg) from error
    well = np.array(oks, bool)
    values = np.zeros((layout.width, len(rows)), np.float32)
    values[:, well] = numbers.T
    failed = None if well.all() else ~well
    arrays = [pa.array(column, mask=failed) for column in values]
    if layout.full:
        every = [row["classification"] if ok else _NOTHING for row, ok in zip(rows, oks, strict=True)]
        arrays.append(pa.array([" ".join(one["path"]) if "path" in one else None for one in every], pa.string()))
        arrays.append(pa.array([one.get("summary") for one in every], pa.string()))
    arrays.append(pa.array([OK if ok else ERROR for ok in oks], pa.string()))
    arrays.append(pa.array([one.get("code") for one in problems], pa.string()))
    arrays.append(pa.array([one.get("detail") for one in problems], pa.string()))
    return pa.Table.from_arrays(arrays, schema=schema)


_NOTHING: dict[str, str] = {}


class _Layout(NamedTuple):
    """What a schema says of the numbers of a row."""

    columns: list[str]
    parts: tuple[str, ...]
    out_of_domain: bool
    full: bool

    @classmethod
    def of(cls, schema: pa.Schema) -> "_Layout":
        columns = schema.metadata[_COLUMNS].decode().split("\n")
        names = set(schema.names)
        parts = tuple(part for part, suffix in _SUFFIXES.items() if f"{columns[0]}{suffix}" in names)
        return cls(columns, parts, OUT_OF_DOMAIN in names, SUMMARY in names)

    @property
    def width(self) -> int:
        return len(self.parts) * len(self.columns) + self.out_of_domain


def _numbers(answers: Sequence[Mapping[str, Any]], layout: _Layout) -> NDArray[np.float32]:
    """Return the numbers of answers: float32 [N, width]."""
    columns = layout.columns
    tables = [answer[part] for answer in answers for part in layout.parts]
    # As lists, since order counts: what is read of them are their values alone.
    if any(list(table) != columns for table in tables):
        msg = "an answer has other scores than the model that the survey was begun with"
        raise UnexpectedAnswerError(msg)
    values = chain.from_iterable(table.values() for table in tables)
    flat = np.fromiter(values, np.float32, len(tables) * len(columns))
    flat = flat.reshape(len(answers), len(layout.parts) * len(columns))
    if not layout.out_of_domain:
        return flat
    unlike = np.array([answer[OUT_OF_DOMAIN] for answer in answers], np.float32)
    return np.concatenate([flat, unlike[:, None]], axis=1)
