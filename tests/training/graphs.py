"""Small ONNX graphs, made by hand and run."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 12
AROUND = np.array([1, 1, 1, 1])


def model_of(
    nodes: Sequence[onnx.NodeProto], constants: dict[str, NDArray[np.generic]], outputs: dict[str, list[int | str]]
) -> onnx.ModelProto:
    """Return a model of uint8 images [N, SIDE, SIDE, 3]; outputs are float, with their shapes."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Run a model, and return its outputs by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def operators(model: onnx.ModelProto) -> list[str]:
    """Return what a model's nodes do, in alphabetical order."""
    return sorted(node.op_type for node in model.graph.node)


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return dark pictures with something bright in their middle."""
    random = np.random.default_rng(seed)
    light = np.exp(
        -np.hypot(*np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]) / random.uniform(0.1, 0.5, (count, 1, 1))
    )
    return (20 + 200 * light[..., None] * random.uniform(0.5, 1, (count, 1, 1, 3))).astype(np.uint8)
