"""galaxytree: the Galaxy Zoo decision trees, what travels on the wire, the client and the command line.

This package is what everyone shares and what a user installs on a laptop. It imports neither the service (``app``) nor
the training package (``training``), and neither FastAPI, ONNX Runtime nor PyTorch.
"""

from typing import TYPE_CHECKING, Any

from galaxytree.decision_tree import (
    Answer,
    DecisionTree,
    InconsistentScoresError,
    Question,
    UnknownTreeError,
    load_tree,
    tree_names,
)
from galaxytree.schemas import Classification, Problem
from galaxytree.summary import summarise

if TYPE_CHECKING:
    from galaxytree.client import (
        AsyncClient,
        Client,
        EngineError,
        GalaxytreeError,
        ImageRefusedError,
        NotFetchedError,
        ProblemError,
        RequestRefusedError,
        Result,
        ServiceFailedError,
        TryLaterError,
        UnauthorizedError,
        UnexpectedAnswerError,
        UnreachableError,
        UnreadableFileError,
        to_table,
    )

__all__ = [
    "Answer",
    "AsyncClient",
    "Classification",
    "Client",
    "DecisionTree",
    "EngineError",
    "GalaxytreeError",
    "ImageRefusedError",
    "InconsistentScoresError",
    "NotFetchedError",
    "Problem",
    "ProblemError",
    "Question",
    "RequestRefusedError",
    "Result",
    "ServiceFailedError",
    "TryLaterError",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnknownTreeError",
    "UnreachableError",
    "UnreadableFileError",
    "load_tree",
    "summarise",
    "to_table",
    "tree_names",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever the client has of that name)
    """Load the client when it is first asked for: the service, each of whose processes would hold it, never does."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from galaxytree import client  # noqa: PLC0415 (see above)

    return getattr(client, name)
