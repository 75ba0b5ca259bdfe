"""galaxytree: the Galaxy Zoo decision trees, what travels on the wire, the client and the command line.

This package is what everyone shares and what a user installs on a laptop. It imports neither the service (``app``) nor
the training package (``training``), and neither FastAPI, ONNX Runtime nor PyTorch.
"""

from galaxytree.client import (
    Client,
    EngineError,
    GalaxytreeError,
    ImageRefusedError,
    ProblemError,
    RequestRefusedError,
    ServiceFailedError,
    TryLaterError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
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

__all__ = [
    "Answer",
    "Classification",
    "Client",
    "DecisionTree",
    "EngineError",
    "GalaxytreeError",
    "ImageRefusedError",
    "InconsistentScoresError",
    "Problem",
    "ProblemError",
    "Question",
    "RequestRefusedError",
    "ServiceFailedError",
    "TryLaterError",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnknownTreeError",
    "UnreachableError",
    "load_tree",
    "summarise",
    "tree_names",
]
