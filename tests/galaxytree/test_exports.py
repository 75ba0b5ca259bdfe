"""What a user may import from ``galaxytree`` itself: a name that goes missing breaks somebody's script."""

import galaxytree

NAMES = {
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
}


def test_the_exported_names_are_these() -> None:
    assert set(galaxytree.__all__) == NAMES
    assert all(hasattr(galaxytree, name) for name in NAMES)
