"""A network's graph with its convolutions in 8 bit integers, for CPUs.

It stays standard ONNX: tensors are quantised and dequantised around each convolution, and a runtime that knows how
computes between the two in integers. Activations are unsigned, with one scale a tensor; weights are signed, with one
scale an output channel; both take all the values there are, which asks for CPUs that sum their products in 32 bits
(`galaxytree.instructions`). What comes after the convolutions is left as it is.

References
----------
Jacob et al. 2018, CVPR, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference". Nagel et al. 2019, ICCV, "Data-free quantization through weight equalization and bias correction": the
mean of what rounded weights do to a convolution's output is taken from its bias.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from training.graph import Constant, Graph, alike, attributes

_LEVELS = 255
_LARGEST_WEIGHT = 127
# Biases are integers of 32 bits, in units of both scales; a channel without weights would have none to speak of.
_LARGEST_BIAS = 2**30
_RECTIFIERS = {"Clip", "Relu"}


@dataclass(frozen=True)
class Backbone:
    """What of a graph is to be quantised.

    Attributes
    ----------
    tensors
        Activations that become integers: what convolutions take, what they and their rectifiers give, and sums of such.
    rectifiers
        Convolution's output -> the rectifier's, where nobody else takes it.
    """

    tensors: tuple[str, ...]
    rectifiers: dict[str, str]

    @classmethod
    def of(cls, graph: Graph) -> "Backbone":
        """Find the convolutions, and the sums of what they give; whatever else there is stays out."""
        tensors: list[str] = []
        rectifiers = {}
        for node in graph.nodes:
            output = node.output[0]
            if node.op_type == "Conv":
                source = graph.maker(node.input[0])
                if node.input[0] not in tensors and (source is None or source.op_type != "DequantizeLinear"):
                    tensors.append(node.input[0])
                takers = graph.takers(output)
                if len(takers) == 1 and _rectifies(graph, takers[0]):
                    rectifiers[output] = output = takers[0].output[0]
                tensors.append(output)
            elif node.op_type == "Add" and all(each in tensors for each in node.input):
                tensors.append(output)
        return cls(tuple(tensors), rectifiers)


def _rectifies(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a node cuts off below 0: unsigned integers whose zero is 0 do so by themselves."""
    lowest = graph.value(node.input[1]) if node.op_type == "Clip" else np.zeros(())
    return node.op_type in _RECTIFIERS and lowest is not None and lowest.item() == 0


@dataclass(frozen=True)
class Seen:
    """What calibration saw of a tensor.

    Attributes
    ----------
    lowest, highest
        Of all its values.
    mean
        Over the images: float64, shape [channels, height, width].
    """

    lowest: float
    highest: float
    mean: NDArray[np.float64]

    @property
    def scale(self) -> NDArray[np.float32]:
        """What one step of the integer is worth: float32, shape []. 0 is always one of them."""
        return np.array(max(max(self.highest, 0) - min(self.lowest, 0), 1e-6) / _LEVELS, np.float32)

    @property
    def zero(self) -> NDArray[np.uint8]:
        """The integer that stands for 0: uint8, shape []."""
        return np.array(np.rint(-min(self.lowest, 0) / self.scale).clip(0, _LEVELS), np.uint8)


def quantised(model: onnx.ModelProto, seen: dict[str, Seen]) -> onnx.ModelProto:
    """Return a model whose backbone computes in integers.

    Parameters
    ----------
    model : onnx.ModelProto
        As `training.lean.lean` leaves it.
    seen : dict
        What calibration saw of every tensor of its `Backbone`, and of the first convolution's input.

    Returns
    -------
    onnx.ModelProto
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = Graph(made.graph)
    backbone = Backbone.of(graph)
    # Before the rest, which then finds the tensors under their own names.
    for name in backbone.tensors:
        _average_integers(graph, backbone, name, seen[name].mean.shape)
    for node in list(graph.nodes):
        inputs = [f"{each}.dequantised" if each in backbone.tensors else each for each in node.input]
        output = node.output[0]
        if node.op_type == "Conv":
            graph.replace(node, *_convolution(graph, alike(node, inputs), node.input[0], seen[node.input[0]]))
        elif output in backbone.rectifiers.values():
            (before,) = (one for one, other in backbone.rectifiers.items() if other == output)
            graph.replace(node, *_integers(graph, before, output, seen[output]))
            continue
        else:
            graph.replace(node, alike(node, inputs))
        if output in backbone.tensors:
            (last,) = (each for each in graph.nodes if output in each.output)
            graph.replace(last, last, *_integers(graph, output, output, seen[output]))
    graph.close()
    onnx.checker.check_model(made, full_check=True)
    return made


def _integers(graph: Graph, source: str, name: str, seen: Seen) -> list[onnx.NodeProto]:
    """Return nodes that make integers of a tensor and, for whoever takes it, floats of these."""
    steps = [graph.constant(f"{name}.scale", seen.scale), graph.constant(f"{name}.zero", seen.zero)]
    return [
        helper.make_node("QuantizeLinear", [source, *steps], [f"{name}.quantised"], f"{name}.quantise"),
        helper.make_node("DequantizeLinear", [f"{name}.quantised", *steps], [f"{name}.dequantised"], f"{name}.float"),
    ]


def _convolution(graph: Graph, node: onnx.NodeProto, source: str, seen: Seen) -> list[onnx.NodeProto]:
    """Return a convolution whose weights and bias are integers."""
    weights, bias = graph.value(node.input[1]), graph.value(node.input[2])
    assert weights is not None  # noqa: S101  (convolutions of a trained network have constant weights and a bias)
    assert bias is not None  # noqa: S101
    dequantiser = graph.maker(source)
    pixels = dequantiser is not None and dequantiser.op_type == "DequantizeLinear"
    given = graph.value(dequantiser.input[1]) if pixels and dequantiser is not None else seen.scale
    assert given is not None  # noqa: S101
    scale = _weight_scale(weights, bias, float(given))
    rounded = np.rint(weights / scale.reshape(-1, 1, 1, 1)).clip(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    lost = weights.astype(np.float64) - rounded * scale.reshape(-1, 1, 1, 1)
    corrected = bias + (lost * _taken(node, weights.shape, seen.mean)).sum(axis=(1, 2, 3))
    unit = (scale * np.float32(given)).astype(np.float32)
    nodes = []
    for name, integers, of in (
        (node.input[1], rounded.astype(np.int8), scale),
        (node.input[2], np.rint(corrected / unit).astype(np.int32), unit),
    ):
        parts = [
            graph.constant(f"{name}.quantised", integers),
            graph.constant(f"{name}.scale", of),
            graph.constant(f"{name}.zero", np.zeros(len(of), integers.dtype)),
        ]
        nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}.dequantised"], f"{name}.float", axis=0))
    return [*nodes, alike(node, [node.input[0], *(each.output[0] for each in nodes)])]


def _weight_scale(weights: Constant, bias: Constant, given: float) -> NDArray[np.float32]:
    """Return what one step of each output channel's weights is worth."""
    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1) / _LARGEST_WEIGHT
    scale: NDArray[np.float32] = np.maximum(largest, np.abs(bias) / given / _LARGEST_BIAS).astype(np.float32)
    return scale.clip(np.float32(1e-12))


def _taken(node: onnx.NodeProto, shape: tuple[int, ...], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what each weight is multiplied by, zeros of the padding included: in the weights' shape."""
    said = attributes(node)
    if set(said.get("dilations", [1])) != {1}:
        msg = f"the convolution {node.name or node.output[0]} is dilated, and what its weights take is not known then"
        raise ValueError(msg)
    (top, left, bottom, right), (down, across), group = said["pads"], said["strides"], said["group"]
    padded = np.pad(mean, ((0, 0), (top, bottom), (left, right)))
    views = np.lib.stride_tricks.sliding_window_view(padded, shape[2:], axis=(1, 2))
    means = views[:, ::down, ::across].mean(axis=(1, 2))
    # Output channels take those of their own group.
    by_group = means.reshape(group, 1, *shape[1:])
    return np.broadcast_to(by_group, (group, shape[0] // group, *shape[1:])).reshape(shape)


def _average_integers(graph: Graph, backbone: Backbone, name: str, shape: tuple[int, ...]) -> None:
    """Take means of a tensor, and of its squares, from floats that are made once, and by a product with a matrix.

    ONNX Runtime's convolutions of integers have the channels last, where it has no fast means over space. It also makes
    floats anew for everyone who takes them from integers, unless something lies between that it does not look through.
    """
    squares = [node.output[0] for node in graph.takers(name) if node.op_type == "Mul"]
    pools = [
        node
        for each in (name, *squares)
        for node in graph.takers(each)
        if _pools_integers(graph, backbone, node) and _is_flattened(graph, backbone, node)
    ]
    if not pools:
        return
    channels, area = shape[0], shape[1] * shape[2]
    last, floats, flat, rows = (f"{name}.{part}" for part in ("last", "floats", "flat", "rows"))
    mean = graph.constant(f"mean.{area}", np.full((1, area), 1 / area, np.float32))
    layout = graph.constant(f"{name}.layout", np.array([-1, area, channels], np.int64))
    graph.replace(
        pools[0],
        helper.make_node("Transpose", [f"{name}.quantised"], [last], last, perm=[0, 2, 3, 1]),
        helper.make_node("DequantizeLinear", [last, f"{name}.scale", f"{name}.zero"], [floats], floats),
        helper.make_node("Flatten", [floats], [flat], flat),
        helper.make_node("Reshape", [flat, layout], [rows], rows),
        pools[0],
    )
    for pool in pools:
        square = pool.input[0] in squares
        taken = f"{name}.squares" if square else rows
        nodes = [helper.make_node("Mul", [rows, rows], [taken], taken)] if square else []
        graph.replace(pool, *nodes, helper.make_node("MatMul", [mean, taken], pool.output, pool.name))
        for joined in graph.takers(pool.output[0]):
            if joined.op_type == "Concat":
                del joined.attribute[:]
                joined.attribute.append(helper.make_attribute("axis", 2))


def _pools_integers(graph: Graph, backbone: Backbone, node: onnx.NodeProto | None) -> bool:
    """Whether a node takes the mean of a tensor that becomes integers, or of its square."""
    if node is None or node.op_type != "GlobalAveragePool":
        return False
    product = graph.maker(node.input[0])
    squared = product is not None and product.op_type == "Mul" and len(set(product.input)) == 1
    return (product.input[0] if product is not None and squared else node.input[0]) in backbone.tensors


def _is_flattened(graph: Graph, backbone: Backbone, pool: onnx.NodeProto) -> bool:
    """Whether of means [N, channels, 1, 1] only [N, channels] is made, so that [N, 1, channels] is as good."""
    for taker in graph.takers(pool.output[0]):
        if taker.op_type == "Flatten":
            continue
        makers = [graph.maker(name) for name in taker.input]
        done = [maker is not None and maker.op_type == "MatMul" for maker in makers]
        same = [one or _pools_integers(graph, backbone, maker) for one, maker in zip(done, makers, strict=True)]
        then = {each.op_type for each in graph.takers(taker.output[0])}
        if taker.op_type != "Concat" or not all(same) or then != {"Reshape"} or taker.output[0] in graph.outputs:
            return False
    return pool.output[0] not in graph.outputs
