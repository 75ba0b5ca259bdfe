"""What goes into a network and what comes out: the inputs and outputs of its graph, and which values are of use."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model_folder import ModelFolder
from app.refusals import ModelRefusedError
from galaxytree.evidence import EVIDENCE
from galaxytree.predictions import Predictions

INPUT = "images"
EXPORT_AGAIN = "export the model again"
_FLOATS = "tensor(float)"
_MAP_AXES = 4
TOLERANCE = 1e-5
"""By how much an answer may miss its bounds or the tree's sums: networks compute in float32."""


class UnusableScoresError(Exception):
    """The network answered something else than one finite row for each image."""


@dataclass(frozen=True)
class _Output:
    """One thing that networks answer.

    Attributes
    ----------
    name
        Of the graph's output, and of the field of `Predictions`.
    of_columns
        Whether there is one value a column of the tree, or one an image.
    least, most
        The bounds of its values.
    otherwise
        What a value out of them is.
    """

    name: str
    of_columns: bool = True
    least: float = -np.inf
    most: float = np.inf
    otherwise: str = ""

    def usable(self, values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Bring values within the bounds that they may miss by a rounding; UnusableScoresError if it is more."""
        said = None
        if values.shape != shape:
            said = f"of the shape {list(values.shape)}, not {list(shape)}"
        else:
            # Both are NaN where a value is.
            lowest, highest = float(values.min()), float(values.max())
            if not math.isfinite(lowest) or not math.isfinite(highest):
                said = "that are not finite"
            elif lowest < self.least - TOLERANCE or highest > self.most + TOLERANCE:
                said = f"that are {self.otherwise}"
        if said is not None:
            msg = f"{self.name if self is _SCORES else f'values of {self.name}'} {said}"
            raise UnusableScoresError(msg)
        return values if self.least <= lowest and highest <= self.most else values.clip(self.least, self.most)


_SCORES = _Output("scores")
_OUTPUTS = (
    _SCORES,
    _Output("uncertainty", least=0, otherwise="negative"),
    _Output("uncertainty_95", least=0, otherwise="negative"),
    _Output("out_of_domain", of_columns=False, least=0, most=1, otherwise="not between 0 and 1"),
)
"""Everything that a network may answer; only the scores must be there."""


@dataclass(frozen=True)
class _Port:
    """An input or output as it is to be; `shape` is that of one image."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {['N', *self.shape]}"

    def is_(self, found: Any) -> bool:  # noqa: ANN401 (onnxruntime ships no types)
        """Whether a graph's port is this one; a size that the graph leaves free (a name or None) fits any but N's."""
        return (
            (found.name, found.type) == (self.name, self.dtype)
            and len(found.shape) == len(self.shape) + 1
            and not isinstance(found.shape[0], int)
            and all(
                not isinstance(size, int) or size == wanted
                for size, wanted in zip(found.shape[1:], self.shape, strict=True)
            )
        )


class Ports:
    """The inputs and outputs of one network, verified.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    folder : ModelFolder
        Where its file and its card lie.

    Attributes
    ----------
    outputs
        Names of the outputs that an answer is made of, in the order in which `read` takes them.
    grid
        How many rows and columns of cells the evidence has, which is an output for those who ask for it; None of a
        network without it.

    Raises
    ------
    ModelRefusedError
        If the graph's inputs and outputs are not what the card says, or there are some that are not known.
    """

    def __init__(self, session: Any, folder: ModelFolder) -> None:  # noqa: ANN401 (onnxruntime ships no types)
        size, self._columns = folder.card.framing.size, len(folder.tree.columns)
        _verify(folder, "input", session.get_inputs(), [_Port(INPUT, "tensor(uint8)", (size, size, 3))])
        known = [_Port(one.name, _FLOATS, self._shape(one)) for one in _OUTPUTS]
        found = session.get_outputs()
        self.grid = _grid(found)
        if self.grid is not None:
            known.append(_Port(EVIDENCE, _FLOATS, (self._columns, *self.grid)))
        _verify(folder, "output", found, known)
        names = {port.name for port in found}
        self._outputs = tuple(one for one in _OUTPUTS if one.name in names)
        self.outputs = tuple(one.name for one in self._outputs)

    def read(self, answers: list[NDArray[np.float32]], images: int) -> Predictions:
        """Hold what the network answered for so many images against what it should.

        Parameters
        ----------
        answers : list of arrays of float32
            One for each of `outputs`, and then the evidence, if it was asked for.
        images : int

        Raises
        ------
        UnusableScoresError
            If one is of another shape, or its values are not finite or out of bounds.
        """
        evidence = None
        if len(answers) > len(self._outputs):
            *answers, said = answers
            evidence = _Output(EVIDENCE).usable(said, (images, self._columns, *(self.grid or ())))
        shapes = [(images, *self._shape(one)) for one in self._outputs]
        if [values.shape for values in answers] == shapes and _all_between_0_and_1(answers):
            # As it nearly always is: no output has narrower bounds.
            return Predictions(**dict(zip(self.outputs, answers, strict=True)), evidence=evidence)
        usable = {
            one.name: one.usable(values, shape)
            for one, values, shape in zip(self._outputs, answers, shapes, strict=True)
        }
        return Predictions(**usable, evidence=evidence)

    def _shape(self, output: _Output) -> tuple[int, ...]:
        return (self._columns,) if output.of_columns else ()


def _grid(found: list[Any]) -> tuple[int, int] | None:
    """Return how many rows and columns of cells the evidence has: none, if the graph says something else of it."""
    for port in found:
        if port.name == EVIDENCE:
            rows, columns = port.shape[2:] if len(port.shape) == _MAP_AXES else (0, 0)
            return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else (0, 0)
    return None


def _all_between_0_and_1(answers: list[NDArray[np.float32]]) -> bool:
    every = np.concatenate(answers, axis=None)
    # Neither is true of NaN.
    return bool(np.minimum.reduce(every) >= 0 and np.maximum.reduce(every) <= 1)


def _verify(folder: ModelFolder, kind: str, found: list[Any], known: list[_Port]) -> None:
    """Refuse a graph with a port that is not known, or without the first one that is."""
    by_name = {port.name: port for port in known}
    for port in found:
        wanted = by_name.get(port.name)
        if wanted is None or not wanted.is_(port):
            shown = f"{port.name} {port.type} {list(port.shape)}"
            msg = f"{folder.file} has the {kind} {shown}, not {wanted or ' or '.join(map(str, known))}: {EXPORT_AGAIN}"
            raise ModelRefusedError(msg)
    if known[0].name not in {port.name for port in found}:
        msg = f"{folder.file} has no {kind} {known[0]}: {EXPORT_AGAIN}"
        raise ModelRefusedError(msg)
