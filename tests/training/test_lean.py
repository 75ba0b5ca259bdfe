"""Leaner graphs say the same."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.training.graphs import model_of, operators, pictures, run
from training.lean import lean


def exported(**changes: Any) -> onnx.ModelProto:  # noqa: ANN401  (constants of any type)
    """Return the beginning and the end of a graph as the exporter writes them."""
    constants: dict[str, Any] = {
        "two": np.array([2]), "ten": np.array([10]), "rows": np.array([1]), "columns": np.array([2]),
        "one": np.array([1]), "offset": np.array(127, np.float32), "scale": np.array(128, np.float32),
        "space": np.array([2, 3]), "unused": np.zeros(5),
    } | changes  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["images", "two", "ten", "rows", "one"], ["cut_rows"]),
        helper.make_node("Slice", ["cut_rows", "two", "ten", "columns", "one"], ["cut"]),
        helper.make_node("Transpose", ["cut"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["channels_first"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "offset"], ["less"]),
        helper.make_node("Div", ["less", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "space"], ["kept"], keepdims=1),
        helper.make_node("ReduceMean", ["scaled", "space"], ["flat"], keepdims=0),
        helper.make_node("Neg", ["scaled"], ["forgotten"]),
    ]
    return model_of(nodes, constants, {"scaled": ["N", 3, "H", "W"], "kept": ["N", 3, "a", "b"], "flat": ["N", "c"]})


def test_what_is_fused_says_the_same() -> None:
    model = exported()
    before = run(model, pictures(3))
    lean(model)
    onnx.checker.check_model(model, full_check=True)
    assert operators(model) == [
        "DequantizeLinear", "Flatten", "GlobalAveragePool", "GlobalAveragePool", "Slice", "Transpose",
    ]  # fmt: skip
    assert "unused" not in {each.name for each in model.graph.initializer}
    after = run(model, pictures(3))
    np.testing.assert_array_equal(after["scaled"], before["scaled"])
    for name in ("kept", "flat"):
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"columns": np.array([1]), "ten": np.array([8])}, "Slice"),
        # Along the same axis, counted from either end; then along others, which is left alone too.
        ({"columns": np.array([-3]), "ten": np.array([8])}, "Slice"),
        ({"columns": np.array([-2])}, "Slice"),
        ({"offset": np.array(127.5, np.float32)}, "Div"),
        ({"offset": np.array(-1, np.float32)}, "Div"),
        ({"scale": np.array(100, np.float32)}, "Div"),
        ({"space": np.array([1, 2])}, "ReduceMean"),
    ],
)
def test_what_would_not_be_the_same_stays(changes: dict[str, Any], stays: str) -> None:
    model = exported(**changes)
    before, count = run(model, pictures(2)), operators(model).count(stays)
    lean(model)
    assert operators(model).count(stays) == count
    for name, value in run(model, pictures(2)).items():
        np.testing.assert_allclose(value, before[name], rtol=0, atol=1e-6)


def test_axes_that_are_both_counted_from_the_end_are_told_apart() -> None:
    model = exported(rows=np.array([-3]), columns=np.array([-2]))
    before = run(model, pictures(2))
    lean(model)
    assert operators(model).count("Slice") == 1
    np.testing.assert_array_equal(run(model, pictures(2))["scaled"], before["scaled"])


@pytest.mark.parametrize(
    ("shape", "axes"), [([0, 3, -1], [-2, -1]), ([0, 3, 4, 3, -1], [-2, -1]), ([0, 3, 4, 3, -1], [2, 3])]
)
def test_means_of_what_is_no_picture_stay(shape: list[int], axes: list[int]) -> None:
    constants: dict[str, Any] = {"shape": np.array(shape), "space": np.array(axes)}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["shaped"]),
        helper.make_node("ReduceMean", ["shaped", "space"], ["means"], keepdims=1),
    ]
    model = model_of(nodes, constants, {"means": ["N", *"abcd"[: len(shape) - 1]]})
    before = run(model, pictures(2))
    lean(model)
    assert "ReduceMean" in operators(model)
    np.testing.assert_array_equal(run(model, pictures(2))["means"], before["means"])


def test_means_of_what_may_have_any_number_of_axes_stay() -> None:
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("NonZero", ["shape"], ["places"]),
        helper.make_node("Reshape", ["places", "all"], ["order"]),
        helper.make_node("Gather", ["shape", "order"], ["again"]),
        helper.make_node("Reshape", ["floats", "again"], ["shaped"]),
        helper.make_node("ReduceMean", ["shaped", "space"], ["means"], keepdims=1),
    ]
    model = model_of(nodes, {"all": np.array([-1]), "space": np.array([2, 3])}, {"means": ["N", "a", "b", "c"]})
    lean(model)
    assert "ReduceMean" in operators(model)


def test_a_slice_that_others_take_too_and_a_division_of_something_else_stay() -> None:
    model = exported()
    first = model.graph.node[0]
    model.graph.node.insert(2, helper.make_node("Cast", first.output, ["seen"], to=onnx.TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Div", ["seen", "scale"], ["part"]))
    model.graph.output.append(helper.make_tensor_value_info("part", onnx.TensorProto.FLOAT, None))
    before = run(model, pictures(2))
    lean(model)
    assert operators(model).count("Slice") == 2
    assert operators(model).count("Div") == 1
    np.testing.assert_array_equal(run(model, pictures(2))["part"], before["part"])


def test_edges_that_are_computed_are_left_alone() -> None:
    model = exported()
    model.graph.node.insert(0, helper.make_node("Identity", ["two"], ["computed"]))
    model.graph.node[2].input[1] = "computed"
    before = run(model, pictures(2))
    lean(model)
    assert operators(model).count("Slice") == 2
    np.testing.assert_array_equal(run(model, pictures(2))["scaled"], before["scaled"])
