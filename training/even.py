"""An exported graph whose answers on an image don't depend on which others are in its batch.

Of some functions ONNX Runtime computes several numbers at a time, and those that are left over at the end of an array
one by one, by another routine that rounds otherwise. To it an array [N, 37] is one line of 37 N numbers. So which are
left over depends on N, and the logarithm of an image's score on its place among the others: in the last bit only, which
is enough for a survey that is scored twice to have other bytes. Rows of whole packets leave nothing over.
"""

import numpy as np
import onnx
from onnx import helper

from training.graph import Graph

PACKET = 16
"""No CPU of today computes more numbers of 32 bits at a time, and the others so many that this is a multiple of it."""

PACKED = frozenset({"Acos", "Asin", "Atan", "Cos", "Log", "Mish", "Sin", "Softplus"})
"""The functions that were found to depend on the place in an array, with ONNX Runtime 1.31.1 on x86. Exp, Sqrt, Sigmoid
and Softmax, which networks here have too, do not."""


def even(model: onnx.ModelProto) -> None:
    """Fill rows up to whole packets before the functions that need it, in place, and cut them off again after.

    Nothing else changes, and a graph that has this already stays as it is. What `uneven` still finds then has rows of a
    length that the graph doesn't say, or none.

    Parameters
    ----------
    model : onnx.ModelProto
    """
    graph, shapes = Graph(model.graph), _shapes(model)
    for node in list(graph.nodes):
        shape = shapes.get(node.input[0]) if node.op_type in PACKED else None
        if shape is not None and len(shape) > 1 and shape[-1] % PACKET:
            _fill(graph, node, len(shape), shape[-1])
    graph.close()


def uneven(model: onnx.ModelProto) -> list[str]:
    """Return the tensors whose numbers depend on their place in the batch, by their names."""
    shapes = _shapes(model)
    functions = [node for node in model.graph.node if node.op_type in PACKED]
    return [node.output[0] for node in functions if not _is_even(shapes.get(node.input[0]))]


def _is_even(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and len(shape) > 1 and shape[-1] > 0 and shape[-1] % PACKET == 0


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of which the number of axes is known; 0 is a length that is not."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    kinds = {each.name: each.type.tensor_type for each in (*graph.input, *graph.value_info, *graph.output)}
    return {
        name: tuple(axis.dim_value for axis in kind.shape.dim) for name, kind in kinds.items() if kind.HasField("shape")
    }


def _fill(graph: Graph, node: onnx.NodeProto, axes: int, width: int) -> None:
    """Have a function of so many axes, the last of this width, compute whole packets."""
    output, missing = node.output[0], -width % PACKET
    filled, packets = f"{output}.filled", f"{output}.packets"
    # Of 1 each of these functions is a number like any other.
    beside = [
        graph.constant(f"{output}.missing", np.array([0] * (2 * axes - 1) + [missing], np.int64)),
        graph.constant(f"{output}.filler", np.ones((), np.float32)),
    ]
    within = [
        graph.constant(f"{output}.{name}", np.array([value], np.int64))
        for name, value in (("first", 0), ("width", width), ("axis", axes - 1))
    ]
    inside = onnx.NodeProto()
    inside.CopyFrom(node)
    inside.input[0], inside.output[0] = filled, packets
    graph.replace(
        node,
        helper.make_node("Pad", [node.input[0], *beside], [filled], filled),
        inside,
        helper.make_node("Slice", [packets, *within], [output], f"{output}.cut"),
    )
