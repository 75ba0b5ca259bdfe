"""Where a network looked: a further output of its graph, of which the scores are made, cell by cell of the picture.

A network that ends in the mean over space, a linear layer and a softmax for each question may take the mean last: the
linear layer then says of each cell what it adds to an answer (Zhou et al. 2016, CVPR, "Learning deep features for
discriminative localization"). A softmax leaves a constant of each question free; it is fixed here by taking off the
mean over the question's answers. So the mean over the cells is ln(fraction) of an answer, less the mean of that over
the question's answers: exactly, but for rounding.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from galaxytree.decision_tree import DecisionTree
from galaxytree.evidence import EVIDENCE, Seen
from galaxytree.instructions import EXACT_SUMS, dot_product
from training.graph import Graph, attributes
from training.predict import Pixels

MOST_APART = 1e-3
"""By how much the mean of the evidence over the cells may differ from what the scores say."""

_LEAST = 1e-4
# float32 has no digits left for parts of a smaller one.

_BETWEEN = frozenset({"Gather", "Pad", "Reshape"})
_MADE_INTO_ROWS = frozenset({"DequantizeLinear", "Flatten", "Reshape"})
_CHANNELS_LAST = [0, 2, 3, 1]


class ExplanationError(RuntimeError):
    """The evidence does not come to what the scores say."""


@dataclass(frozen=True)
class _Ending:
    """How a network ends: the map that is pooled, and the linear layer after it.

    Attributes
    ----------
    taken
        Name of what is pooled: the map, or its rows [N, h w, channels].
    features
        Name of the map [N, channels, h, w], which may be one of integers.
    weights, bias
        float32, shape [columns, channels] and [columns].
    """

    taken: str
    features: str
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def explain(model: onnx.ModelProto, tree: DecisionTree) -> bool:
    """Add the output `EVIDENCE` to a graph in place, and to its metadata what the cells cover; nothing else changes.

    Parameters
    ----------
    model : onnx.ModelProto
        As `training.lean.lean` or `training.int8.quantised` leaves it.
    tree : DecisionTree
        Whose scores the graph gives.

    Returns
    -------
    bool
        Whether the graph has the output now. A network that doesn't end in pooling, a linear layer and softmaxes is
        left as it is.
    """
    graph = Graph(model.graph)
    if EVIDENCE in graph.outputs:
        return True
    ending = _ending(graph, tree)
    if ending is None:
        return False
    height, width = _shape_of(model, ending.features)[2:]
    graph.nodes += _by_cell(graph, ending, tree, (height, width))
    graph.outputs.add(EVIDENCE)
    count = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    shape = [count, len(tree.columns), height, width]
    model.graph.output.append(helper.make_tensor_value_info(EVIDENCE, onnx.TensorProto.FLOAT, shape))
    graph.close()
    named = {each.key: each.value for each in model.metadata_props}
    seen = _seen(model.graph.input[0], graph)
    helper.set_model_props(model, named | {EVIDENCE: seen.model_dump_json()})
    return True


def unexplained(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without the output, and all else as it is."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    kept = [each for each in model.graph.output if each.name != EVIDENCE]
    del plain.graph.output[:]
    plain.graph.output.extend(kept)
    Graph(plain.graph).close()
    helper.set_model_props(plain, {each.key: each.value for each in model.metadata_props if each.key != EVIDENCE})
    return plain


def apart_from_scores(path: Path, images: Pixels, tree: DecisionTree) -> float | None:
    """Return by how much the mean evidence over the cells differs from what the scores of a file say, at most.

    Fractions that a softmax has rounded away are left out, and those of questions that hardly anyone is asked.

    Returns
    -------
    float or None
        None of a file without the output.

    Raises
    ------
    ExplanationError
        If it is more than `MOST_APART`.
    """
    options = onnxruntime.SessionOptions()
    if dot_product() is None:
        options.add_session_config_entry(*EXACT_SUMS)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    if EVIDENCE not in {each.name for each in session.get_outputs()}:
        return None
    most = 0.0
    for place in range(len(images)):
        scores, evidence = session.run(["scores", EVIDENCE], {"images": images[place : place + 1]})
        said, weights = scores[0].astype(np.float64), tree.weights(scores[0])
        means = evidence[0].mean(axis=(1, 2), dtype=np.float64)
        for question, weight in zip(tree.questions, weights, strict=True):
            own = tree.slices[question.id]
            if said[own].min() > _LEAST * _LEAST and weight > _LEAST:
                logarithms = np.log(said[own])
                most = max(most, float(np.abs(means[own] - (logarithms - logarithms.mean())).max()))
    if not most <= MOST_APART:
        msg = f"the evidence of {path.name} is {most:.2g} apart from what its scores say: more than {MOST_APART}"
        raise ExplanationError(msg)
    return most


def _shape_of(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    """Return the shape that a tensor has when one image comes in: not each follows from the graph alone."""
    looked = onnx.ModelProto()
    looked.CopyFrom(model)
    del looked.graph.output[:]
    looked.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(looked.SerializeToString(), providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()
    (found,) = session.run([name], {images.name: np.zeros((1, *images.shape[1:]), np.uint8)})
    shape: tuple[int, ...] = found.shape
    return shape


def _seen(images: onnx.ValueInfoProto, graph: Graph) -> Seen:
    """Return which part of the input a network cuts out: all of it, if it does not begin with that."""
    _, *sides, _ = (axis.dim_value for axis in images.type.tensor_type.shape.dim)
    ranges = {axis: range(side) for axis, side in enumerate(sides, 1)}
    takers = graph.takers(images.name)
    if [each.op_type for each in takers] == ["Slice"]:
        starts, ends, axes = (graph.value(each) for each in takers[0].input[1:4])
        if starts is not None and ends is not None and axes is not None:
            for axis, start, end in zip(axes.tolist(), starts.tolist(), ends.tolist(), strict=True):
                ranges[axis] = ranges[axis][start:end]
    down, across = ranges[1], ranges[2]
    return Seen(left=across.start, top=down.start, width=len(across), height=len(down))


def _by_cell(graph: Graph, ending: _Ending, tree: DecisionTree, size: tuple[int, int]) -> list[onnx.NodeProto]:
    """Return nodes that apply the linear layer to each cell."""
    weights, bias = (_centred(each, tree) for each in (ending.weights, ending.bias))
    added = graph.constant(f"{EVIDENCE}.bias", bias)
    if ending.taken == ending.features:
        kernels = graph.constant(f"{EVIDENCE}.weights", weights[:, :, None, None])
        return [helper.make_node("Conv", [ending.taken, kernels, added], [EVIDENCE], EVIDENCE, kernel_shape=[1, 1])]
    products, rows, turned = (f"{EVIDENCE}.{part}" for part in ("products", "rows", "turned"))
    factors = graph.constant(f"{EVIDENCE}.weights", np.ascontiguousarray(weights.T))
    layout = graph.constant(f"{EVIDENCE}.layout", np.array([0, len(bias), *size], np.int64))
    return [
        helper.make_node("MatMul", [ending.taken, factors], [products], products),
        helper.make_node("Add", [products, added], [rows], rows),
        helper.make_node("Transpose", [rows], [turned], turned, perm=[0, 2, 1]),
        helper.make_node("Reshape", [turned, layout], [EVIDENCE], EVIDENCE),
    ]


def _centred(values: NDArray[np.float32], tree: DecisionTree) -> NDArray[np.float32]:
    """Take the mean over each question's answers off, along the first axis."""
    exact = values.astype(np.float64)
    for own in tree.slices.values():
        exact[own] -= exact[own].mean(axis=0)
    return exact.astype(np.float32)


def _ending(graph: Graph, tree: DecisionTree) -> _Ending | None:
    """Find the linear layer with one number a column, which only softmaxes take; None if there is none after a mean."""
    if any(question.independent for question in tree.questions):
        return None
    for node in graph.nodes:
        if node.op_type != "Gemm" or attributes(node).get("transB") != 1 or not _for_softmax(graph, node.output[0]):
            continue
        weights, bias = graph.value(node.input[1]), graph.value(node.input[2])
        pooled = _pooled(graph, node.input[0])
        if weights is not None and bias is not None and pooled is not None and len(weights) == len(tree.columns):
            return _Ending(*pooled, weights, bias)
    return None


def _for_softmax(graph: Graph, name: str) -> bool:
    """Whether nobody but softmaxes takes a tensor, however its numbers are put in order before."""
    takers = graph.takers(name)
    return bool(takers) and all(
        each.op_type == "Softmax"
        or (each.op_type in _BETWEEN and each.input[0] == name and _for_softmax(graph, each.output[0]))
        for each in takers
    )


def _pooled(graph: Graph, name: str) -> tuple[str, str] | None:
    """Return what a tensor is the mean over space of, as it is taken and as the map; None if it is no such mean."""
    node = graph.maker(name)
    while node is not None and node.op_type == "Flatten":
        node = graph.maker(node.input[0])
    if node is None or node.op_type not in {"GlobalAveragePool", "MatMul"}:
        return None
    if node.op_type == "GlobalAveragePool":
        return node.input[0], node.input[0]
    # As `training.int8` takes means of integers.
    mean, rows = graph.value(node.input[0]), node.input[1]
    made = graph.maker(rows)
    while made is not None and made.op_type in _MADE_INTO_ROWS:
        made = graph.maker(made.input[0])
    if mean is None or not np.allclose(mean, 1 / mean.size) or made is None or made.op_type != "Transpose":
        return None
    return (rows, made.input[0]) if attributes(made)["perm"] == _CHANNELS_LAST else None
