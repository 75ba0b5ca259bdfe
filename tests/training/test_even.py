"""What an image gets from a graph doesn't depend on which others are in its batch."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from galaxytree.card import INT8_FILE, MODEL_FILE
from tests.training.graphs import SIDE, model_of, operators, pictures, run
from training.evaluate import SHIPPED
from training.even import PACKED, PACKET, even, uneven

WIDTH = 3 * SIDE * SIDE
ODD = 37


def function_of(name: str, width: int = ODD) -> onnx.ModelProto:
    """Return a graph that takes a function of so many numbers an image, between 0 and 1."""
    constants: dict[str, Any] = {
        "flat": np.array([-1, WIDTH]),
        "weights": np.random.default_rng(1).uniform(0, 2 / WIDTH / 256, (WIDTH, width)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["numbers"]),
        helper.make_node(name, ["numbers"], ["answers"], "node"),
    ]
    return model_of(nodes, constants, {"answers": ["N", width]})


@pytest.mark.parametrize("name", sorted(PACKED))
def test_an_image_gets_the_same_bits_wherever_it_is(name: str) -> None:
    model, images = function_of(name), pictures(40)
    before = run(model, images)["answers"]
    assert uneven(model) == ["answers"]
    even(model)
    assert uneven(model) == []
    onnx.checker.check_model(model, full_check=True)
    after = run(model, images)["answers"]
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-7)
    alone = np.concatenate([run(model, images[place : place + 1])["answers"] for place in range(len(images))])
    for count in (2, 3, 7, len(images)):
        some = np.concatenate(
            [run(model, images[place : place + count])["answers"] for place in range(0, len(images), count)]
        )
        assert some.tobytes() == alone.tobytes()


def test_rows_of_whole_packets_and_other_functions_stay() -> None:
    for model in (function_of("Log", 3 * PACKET), function_of("Exp")):
        before = model.SerializeToString()
        even(model)
        assert model.SerializeToString() == before
        assert uneven(model) == []


def test_doing_it_twice_is_doing_it_once() -> None:
    model = function_of("Log")
    even(model)
    once = model.SerializeToString()
    even(model)
    assert model.SerializeToString() == once
    assert operators(model) == ["Cast", "Log", "MatMul", "Pad", "Reshape", "Slice"]


@pytest.mark.parametrize("shape", [[-1], [1, -1]])
def test_what_has_no_row_of_a_known_length_is_said_and_left_alone(shape: list[int]) -> None:
    constants: dict[str, Any] = {"shape": np.array(shape)}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["line"]),
        helper.make_node("Softplus", ["line"], ["answers"]),
    ]
    model = model_of(nodes, constants, {"answers": ["a", "b"][-len(shape) :]})
    even(model)
    assert uneven(model) == ["answers"]
    assert operators(model) == ["Cast", "Reshape", "Softplus"]


@pytest.mark.parametrize("name", [MODEL_FILE, INT8_FILE])
def test_the_shipped_model_has_it(name: str) -> None:
    model = onnx.load(SHIPPED / name)
    assert uneven(model) == []
    assert "Log" in operators(model), "there is something to fill up"
