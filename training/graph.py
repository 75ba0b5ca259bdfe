"""The graph of an ONNX file as it is rewritten: what makes each tensor, what takes it, and the constants."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Constant = NDArray[Any]


class Graph:
    """A graph with its names looked up.

    Parameters
    ----------
    graph : onnx.GraphProto
        Is changed in place by `close`, and not before.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.proto = graph
        self.nodes = list(graph.node)
        self.outputs = {each.name for each in graph.output}
        self._constants = {each.name: each for each in graph.initializer}

    def maker(self, name: str) -> onnx.NodeProto | None:
        """Return the node that makes a tensor; None of a constant or an input."""
        return next((node for node in self.nodes if name in node.output), None)

    def takers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that take a tensor."""
        return [node for node in self.nodes if name in node.input]

    def value(self, name: str) -> Constant | None:
        """Return a constant's value; None of what is none."""
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def constant(self, name: str, value: Constant) -> str:
        """Add a constant, and return its name."""
        self._constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def replace(self, node: onnx.NodeProto, *others: onnx.NodeProto) -> None:
        """Put nodes in the place of one."""
        (place,) = (number for number, each in enumerate(self.nodes) if each is node)
        self.nodes[place : place + 1] = others

    def close(self) -> None:
        """Write nodes and constants back, less those that nobody takes."""
        needed = set(self.outputs)
        kept: list[onnx.NodeProto] = []
        # Backwards: whoever takes a tensor stands after what makes it.
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.insert(0, node)
                needed.update(node.input)
        del self.proto.node[:], self.proto.initializer[:], self.proto.value_info[:]
        self.proto.node.extend(kept)
        self.proto.initializer.extend(each for name, each in self._constants.items() if name in needed)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by their names."""
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def alike(node: onnx.NodeProto, inputs: Iterable[str]) -> onnx.NodeProto:
    """Return a node that does the same to other inputs, under the same names."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    del made.input[:]
    made.input.extend(inputs)
    return made
