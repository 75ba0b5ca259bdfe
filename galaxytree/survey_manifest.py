"""Of which survey a ledger is: all that decides its result."""

from functools import cached_property
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from galaxytree.survey_engine import Asking, Detail, ModelFacts
from galaxytree.views import Views

Option = str | int | list[str] | None
"""A value that decides a survey's result."""


class Manifest(BaseModel):
    """Of which survey a ledger is.

    Attributes
    ----------
    format
        Of the ledger: one of another format is refused.
    galaxytree, created
        Which release began it, and when: for those who read it.
    survey
        All that was asked for and decides the result, under names that a user understands.
    model
        What scores the images.
    detail, views
        With what images are asked for.
    rows
        How many rows the table will have.
    chunk_rows
        How many rows a part has; the last one may have fewer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    galaxytree: str
    created: str
    survey: dict[str, Option]
    model: ModelFacts
    detail: Detail
    views: Views
    rows: int
    chunk_rows: int

    @cached_property
    def schema(self) -> pa.Schema:
        """What the table's columns of scores look like."""
        return self.model.schema(full=self.detail == "full")

    @cached_property
    def part_schema(self) -> pa.Schema:
        """The same without what describes it, which would be half of a part."""
        return pa.schema([pa.field(one.name, one.type) for one in self.schema])

    def asking(self, *, files: bool) -> Asking:
        """Return how images are to be scored."""
        return Asking(self.schema, files, self.detail, self.views)

    def rows_of(self, first: int) -> int:
        """Return how many rows the part has that begins with a row."""
        return min(self.chunk_rows, self.rows - first)

    @property
    def firsts(self) -> range:
        """The first rows of all parts."""
        return range(0, self.rows, self.chunk_rows)
