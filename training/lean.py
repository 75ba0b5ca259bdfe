"""An exported graph with fewer nodes to run: the same numbers, by what runtimes are fast at.

The exporter writes down what PyTorch did, step by step. A runtime takes each node as it stands: it reads the whole of a
tensor for it, and of a small one the call costs more than the arithmetic.
"""

import numpy as np
import onnx
from onnx import helper

from training.graph import Graph, attributes

# Of pictures [N, channels, height, width].
_RANK = 4
_SPACE = {(2, 3), (-2, -1)}
_SLICED = ("starts", "ends", "axes", "steps")


def lean(model: onnx.ModelProto) -> None:
    """Rewrite an exported graph in place; what it computes stays the same, to rounding."""
    graph, ranks = Graph(model.graph), _ranks(model)
    for node in list(graph.nodes):
        if node.op_type == "Slice":
            _cut_at_once(graph, node)
        elif node.op_type == "Div":
            _scale_at_once(graph, node)
        elif node.op_type == "ReduceMean":
            _pool(graph, node, ranks.get(node.input[0]))
    graph.close()


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of axes of each tensor of which it is known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    kinds = {each.name: each.type.tensor_type for each in (*graph.input, *graph.value_info, *graph.output)}
    return {name: len(kind.shape.dim) for name, kind in kinds.items() if kind.HasField("shape")}


def _cut_at_once(graph: Graph, node: onnx.NodeProto) -> None:
    """Make one slice of two that follow each other along different axes."""
    before = graph.maker(node.input[0])
    if before is None or before.op_type != "Slice" or len(graph.takers(node.input[0])) > 1:
        return
    constants = [[graph.value(name) for name in each.input[1:]] for each in (before, node)]
    one, other = ([value for value in values if value is not None] for values in constants)
    if not len(one) == len(other) == len(_SLICED):
        return
    starts, ends, axes, steps = (np.concatenate(both) for both in zip(one, other, strict=True))
    # Axes may be counted from either end. Without the number of them, which says where both meet, they are not alike.
    if len(set(axes.tolist())) < len(axes) or axes.min() < 0 <= axes.max():
        return
    parts = zip(_SLICED, (starts, ends, axes, steps), strict=True)
    names = [graph.constant(f"{node.output[0]}.{name}", value) for name, value in parts]
    graph.replace(node, helper.make_node("Slice", [before.input[0], *names], node.output, node.name))


def _scale_at_once(graph: Graph, node: onnx.NodeProto) -> None:
    """Make one node of ``(bytes - offset) / scale``: what DequantizeLinear does, exactly if 1 / scale is exact."""
    less = graph.maker(node.input[0])
    cast = graph.maker(less.input[0]) if less is not None and less.op_type == "Sub" else None
    if less is None or cast is None or cast.op_type != "Cast":
        return
    offset, scale = graph.value(less.input[1]), graph.value(node.input[1])
    if offset is None or scale is None or offset.item() not in range(256) or np.frexp(scale.item())[0] != 0.5:
        return
    name = node.output[0]
    names = [
        graph.constant(f"{name}.scale", np.asarray(1 / scale.item(), np.float32)),
        graph.constant(f"{name}.zero", np.asarray(offset.item(), np.uint8)),
    ]
    graph.replace(node, helper.make_node("DequantizeLinear", [cast.input[0], *names], [name], node.name))


def _pool(graph: Graph, node: onnx.NodeProto, rank: int | None) -> None:
    """Take means over space by the operator for it, which ONNX Runtime has for the layout of its convolutions too."""
    axes = graph.value(node.input[1])
    if rank != _RANK or axes is None or tuple(axes.tolist()) not in _SPACE:
        return
    output = node.output[0]
    if attributes(node)["keepdims"]:
        graph.replace(node, helper.make_node("GlobalAveragePool", node.input[:1], [output], node.name))
        return
    pooled = f"{output}.pooled"
    graph.replace(
        node,
        helper.make_node("GlobalAveragePool", node.input[:1], [pooled], node.name),
        helper.make_node("Flatten", [pooled], [output], f"{node.name}.flat"),
    )
