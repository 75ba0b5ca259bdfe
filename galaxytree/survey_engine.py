"""What scores the images of a survey: the interface between the survey and a service, or a cluster."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import pyarrow as pa

from galaxytree.client import UnexpectedAnswerError
from galaxytree.score_table import score_schema
from galaxytree.views import Views

Detail = Literal["full", "scores"]


@dataclass(frozen=True)
class ModelFacts:
    """Which network scores: what a survey holds on to from its first row to its last.

    Attributes
    ----------
    name, version, sha256, tree
        Of the model's card.
    network
        SHA-256 of the ONNX file that runs, in hexadecimal: a model's fp32 and int8 files answer differently.
    columns
        Names of the scores.
    outputs
        Names of what the network says: ``scores``, and perhaps ``uncertainty``, ``uncertainty_95``, ``out_of_domain``.
    default_views
        How many views an answer is averaged over where nobody says.
    """

    name: str
    version: str
    sha256: str
    tree: str
    network: str
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    default_views: int

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> Self:
        """Read what ``GET /model`` answers; UnexpectedAnswerError if something of it is missing."""
        try:
            return cls(
                name=str(model["name"]),
                version=str(model["version"]),
                sha256=str(model["sha256"]),
                tree=str(model["tree"]),
                network=str(model["network_sha256"]),
                columns=tuple(map(str, model["columns"])),
                outputs=tuple(map(str, model["outputs"])),
                default_views=int(model["default_views"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"GET /model doesn't say {error}: the service is none of galaxytree, or too old for surveys"
            raise UnexpectedAnswerError(msg) from error

    def schema(self, *, full: bool) -> pa.Schema:
        """Return what a table of this network's answers looks like."""
        return score_schema(
            self.columns,
            uncertainty="uncertainty" in self.outputs,
            uncertainty_95="uncertainty_95" in self.outputs,
            out_of_domain="out_of_domain" in self.outputs,
            full=full,
            tree=self.tree,
        )


@dataclass(frozen=True)
class Asking:
    """How the images of a survey are to be scored.

    Attributes
    ----------
    schema
        Of the tables that are answered, see `galaxytree.score_table.score_schema`.
    files
        Whether images are paths of files on this machine; else they are URLs.
    detail, views
        As in ``POST /classify/batch``.
    """

    schema: pa.Schema
    files: bool
    detail: Detail
    views: Views


@dataclass(frozen=True)
class Chunk:
    """Images that are asked for together.

    Attributes
    ----------
    first
        What tells this chunk from the others: the survey's row, counted from 0, at which it begins.
    images
        URLs, or paths of files.
    """

    first: int
    images: Sequence[str]


@dataclass(frozen=True)
class Scored:
    """The answers for one chunk.

    Attributes
    ----------
    first
        The chunk's.
    table
        One row an image, in the chunk's order, of `Asking.schema`. An image that can't be scored is a row that says
        why.
    network
        SHA-256 of the network that answered, as in `ModelFacts`.
    """

    first: int
    table: pa.Table
    network: str


class Engine(Protocol):
    """Scores images, many at a time.

    It tries again what may yet succeed; an exception is the end of the survey's run, and what it has yielded is kept.
    """

    async def model(self) -> ModelFacts:
        """Return which network will answer; GalaxytreeError if that can't be known."""
        ...

    def score(self, chunks: Iterator[Chunk], asking: Asking) -> AsyncGenerator[Scored, None]:
        """Score chunks, several at a time; yield each when it is done, in whatever order.

        `chunks` is read as there is room for more, from one thread at a time: it reads a file, and is not to be
        exhausted ahead of the scoring. Closing the iterator (``aclose``) abandons what is in flight.
        """
        ...

    async def aclose(self) -> None:
        """Let everything go."""
        ...
