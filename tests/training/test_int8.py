"""Convolutions in integers: near to what they were, and nothing else is touched."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.training.graphs import AROUND, model_of, operators, pictures, run
from training.graph import Graph
from training.int8 import Backbone, quantised
from training.quantise import seen_in

MEANS: dict[str, list[int | str]] = {"means": ["N", 8], "features": ["N", 4], "sum": ["N", 4]}


def network(
    *, pixels: bool = True, kept: bool = False, side: int = 3, outputs: dict[str, list[int | str]] | None = None
) -> Any:  # noqa: ANN401
    """Return a network with all that a backbone has: a stem, a depthwise convolution, a sum, statistics, and a tail.

    `pixels` is whether its input goes from bytes to floats in one node; `kept` whether the statistics are given as they
    are too; `side` is that of the first kernel.
    """
    random = np.random.default_rng(3)

    def convolution(name: str, *shape: int) -> dict[str, Any]:
        weights = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        return {f"{name}.w": weights, f"{name}.b": random.normal(0.2, 0.2, shape[0]).astype(np.float32)}

    constants = {
        **convolution("stem", 4, 3, side, side), **convolution("deep", 4, 1, 3, 3), **convolution("point", 4, 4, 1, 1),
        "part": np.array(1 / 128, np.float32), "middle": np.array(127, np.uint8), "offset": np.array(127, np.float32),
        "none": np.array(0, np.float32), "six": np.array(6, np.float32), "row": np.array([-1, 8]),
        "bias": random.normal(size=4).astype(np.float32),
    }  # fmt: skip
    # A channel that weighs nothing has a bias all the same.
    constants["deep.w"][2] = 0
    scaled = (
        [helper.make_node("DequantizeLinear", ["first", "part", "middle"], ["scaled"])]
        if pixels
        else [
            helper.make_node("Cast", ["first"], ["floats"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Sub", ["floats", "offset"], ["less"]),
            helper.make_node("Mul", ["less", "part"], ["scaled"]),
        ]
    )
    nodes = [
        helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2]),
        *scaled,
        helper.make_node("Conv", ["scaled", "stem.w", "stem.b"], ["a"], pads=[side // 2] * 4, strides=[2, 2], group=1),
        helper.make_node("Clip", ["a", "none", "six"], ["a6"]),
        helper.make_node("Conv", ["a6", "deep.w", "deep.b"], ["b"], pads=AROUND, strides=[1, 1], group=4),
        helper.make_node("Relu", ["b"], ["b6"]),
        helper.make_node("Conv", ["b6", "point.w", "point.b"], ["c"], pads=[0] * 4, strides=[1, 1], group=1),
        helper.make_node("Add", ["a6", "c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["a6"], ["mean_a"]),
        helper.make_node("Mul", ["a6", "a6"], ["square_a"]),
        helper.make_node("GlobalAveragePool", ["square_a"], ["mean_square_a"]),
        helper.make_node("Concat", ["mean_a", "mean_square_a"], ["statistics"], axis=1),
        helper.make_node("Reshape", ["statistics", "row"], ["means"]),
        helper.make_node("GlobalAveragePool", ["d"], ["mean_d"]),
        helper.make_node("Flatten", ["mean_d"], ["features"]),
        helper.make_node("Add", ["features", "bias"], ["tail"]),
        helper.make_node("Add", ["tail", "features"], ["twice"]),
        helper.make_node("Clip", ["twice", "none"], ["sum"]),
    ]
    wanted = outputs or MEANS
    if kept:
        wanted = wanted | {"statistics": ["N", 8, 1, 1]}
    return model_of(nodes, constants, wanted)


@pytest.mark.parametrize(("pixels", "side"), [(True, 3), (False, 3), (True, 5)])
def test_integers_come_near_to_floats(*, pixels: bool, side: int) -> None:
    model = network(pixels=pixels, side=side)
    made = quantised(model, seen_in(model, [pictures(8, 1), pictures(8, 2)]))
    before, after = run(model, pictures(5, 9)), run(made, pictures(5, 9))
    for name, shape in MEANS.items():
        assert after[name].shape == (5, *shape[1:])
        np.testing.assert_allclose(after[name], before[name], rtol=0.02, atol=0.02)
        assert np.abs(after[name] - before[name]).max() > 0, "it was quantised at all"
    # The channel without weights: its bias would not fit into 32 bits in units of nothing.
    assert before["means"][:, 2].max() > 0


def test_only_convolutions_and_what_belongs_to_them_become_integers() -> None:
    model = network()
    backbone = Backbone.of(Graph(model.graph))
    assert backbone.tensors == ("a6", "b6", "c", "d")
    assert backbone.rectifiers == {"a": "a6", "b": "b6"}
    made = quantised(model, seen_in(model, [pictures(8)]))
    quantisers = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert {node.output[0] for node in quantisers} == {f"{name}.quantised" for name in backbone.tensors}
    # Saturation cuts off what the rectifiers did; that of the tail is there.
    assert operators(made).count("Clip") == 1
    assert "Relu" not in operators(made)
    tail = {node.output[0]: list(node.input) for node in made.graph.node}
    assert (tail["tail"], tail["twice"]) == (["features", "bias"], ["tail", "features"])


def test_pixels_go_into_the_first_convolution_as_they_are() -> None:
    model = network()
    made = quantised(model, seen_in(model, [pictures(8)]))
    makers = {node.output[0]: node for node in made.graph.node}
    first = next(node for node in made.graph.node if node.op_type == "Conv")
    taken = makers[first.input[0]]
    assert (taken.op_type, makers[taken.input[0]].op_type) == ("DequantizeLinear", "Transpose")


def test_statistics_are_taken_from_floats_that_are_made_once() -> None:
    model = network()
    made = quantised(model, seen_in(model, [pictures(8)]))
    assert "GlobalAveragePool" not in operators(made)
    # One for each tensor that convolutions and the sum take, three weights, three biases, and two levels with means.
    assert operators(made).count("DequantizeLinear") == 4 + 3 + 3 + 2


def test_statistics_that_are_wanted_as_they_are_stay_so() -> None:
    model = network(kept=True)
    made = quantised(model, seen_in(model, [pictures(8)]))
    after = run(made, pictures(3, 5))
    assert after["statistics"].shape == (3, 8, 1, 1)
    np.testing.assert_allclose(after["means"], run(model, pictures(3, 5))["means"], rtol=0.02, atol=0.02)


def test_a_rectifier_that_does_not_end_at_0_is_kept() -> None:
    model = network()
    (none,) = (each for each in model.graph.initializer if each.name == "none")
    none.CopyFrom(onnx.numpy_helper.from_array(np.array(-0.1, np.float32), "none"))
    backbone = Backbone.of(Graph(model.graph))
    assert backbone.rectifiers == {"b": "b6"}
    made = quantised(model, seen_in(model, [pictures(8)]))
    assert operators(made).count("Clip") == 2
    np.testing.assert_allclose(
        run(made, pictures(3))["features"], run(model, pictures(3))["features"], rtol=0.03, atol=0.03
    )


def test_a_convolution_whose_weights_take_what_is_not_worked_out_is_refused() -> None:
    model = network()
    seen = seen_in(model, [pictures(8)])
    deep = next(node for node in model.graph.node if node.output[0] == "b")
    deep.attribute.append(helper.make_attribute("dilations", [1, 1]))
    quantised(model, seen)
    deep.attribute[-1].CopyFrom(helper.make_attribute("dilations", [1, 2]))
    with pytest.raises(ValueError, match="the convolution b is dilated"):
        quantised(model, seen)


def test_what_rounded_weights_lose_is_taken_from_the_bias() -> None:
    model = network(outputs={"features": ["N", 4]})
    seen = seen_in(model, [pictures(64, 4)])
    before = run(model, pictures(64, 4))["features"].mean(axis=0)
    corrected = run(quantised(model, seen), pictures(64, 4))["features"].mean(axis=0)
    blind = {name: type(each)(each.lowest, each.highest, 0 * each.mean) for name, each in seen.items()}
    plain = run(quantised(model, blind), pictures(64, 4))["features"].mean(axis=0)
    assert np.abs(corrected - before).max() < np.abs(plain - before).max()
