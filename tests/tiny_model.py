"""A small network as real ONNX, with its card: what the service needs of a model, without the training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from galaxytree.card import INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import DecisionTree, load_tree
from galaxytree.evidence import EVIDENCE, Seen
from galaxytree.imaging import Framing

FRAMING = Framing(size=32, field=288 / 424)
CELLS = 4


def write_model(
    folder: Path,
    *,
    tree: str = "galaxy-zoo-2",
    consistent: bool = True,
    factor: float = 8.0,
    columns: int | None = None,
    outputs: tuple[str, ...] = ("scores",),
    plus: dict[str, float] | None = None,
    metadata: dict[str, str | None] | None = None,
    card: dict[str, Any] | None = None,
    int8_rise: float | None = None,
) -> Path:
    """Write a model whose scores depend on the picture, and add up unless `consistent` is false; return its folder.

    Its answers depend on which way up the picture is. Its uncertainties are parts of the raw outputs' size, and the
    brighter a picture, the more out of its domain it is. `plus` is added to outputs, of which those of unknown names
    are the scores. If `int8_rise` is given there is an int8 file too: the same network, which is said to raise the RMSE
    by so much.
    """
    table = load_tree(tree)
    folder.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "2026.11.1",
        "tree": tree,
        "columns": list(table.columns),
        "framing": FRAMING.model_dump(),
    }
    model = _network(table, columns or len(table.columns), outputs, factor, consistent=consistent)
    for name, value in (plus or {}).items():
        _add(model.graph, name, value)
    kept = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    if EVIDENCE in outputs:
        kept[EVIDENCE] = Seen(left=0, top=0, width=FRAMING.size, height=FRAMING.size).model_dump_json()
    for key, value in {**kept, **(metadata or {})}.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, folder / MODEL_FILE)
    rest: dict[str, Any] = {
        "sha256": sha256_of(folder / MODEL_FILE),
        "network": {"architecture": "none to speak of"},
        "provenance": {"weights": "random"},
        "metrics": {},
        "citations": (),
        "licence": "MIT",
        "limits": "measured nowhere",
    }
    if int8_rise is not None:
        model.metadata_props.add(key="precision", value="int8")
        onnx.save(model, folder / INT8_FILE)
        digest = sha256_of(folder / INT8_FILE)
        rest["int8"] = {"sha256": digest, "rmse_rise": int8_rise, "metrics": {}, "provenance": {}}
    ModelCard.model_validate({**fields, **rest, **(card or {})}).write(folder)
    return folder


def _network(
    table: DecisionTree, columns: int, outputs: tuple[str, ...], factor: float, *, consistent: bool
) -> onnx.ModelProto:
    size, per_cell = FRAMING.size, FRAMING.size // CELLS
    random = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "scale": np.array(1 / 255, np.float32),
        "cells": np.array([-1, CELLS, per_cell, CELLS, per_cell, 3], np.int64),
        "within": np.array([2, 4], np.int64),
        "flat": np.array([-1, CELLS * CELLS * 3], np.int64),
        "weights": (factor * random.normal(size=(CELLS * CELLS * 3, columns))).astype(np.float32),
        "to_uncertainty": np.array(0.01, np.float32),
        "to_uncertainty_95": np.array(0.025, np.float32),
        "each": np.array([1], np.int64),
        "half": np.array(0.5, np.float32),
        "steep": np.array(8, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "cells"], ["in_cells"]),
        helper.make_node("ReduceMean", ["in_cells", "within"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "flat"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["raw"]),
    ]
    if consistent:
        nodes += _down_the_tree(table, constants)
    for output in outputs:
        nodes += _answer(output, "by_tree" if consistent else "raw")
    if EVIDENCE in outputs:
        constants |= _by_cell(table, constants["weights"])
    cells = {"out_of_domain": [], EVIDENCE: [columns, CELLS, CELLS]}
    shapes = {output: ["N", *cells.get(output, [columns])] for output in outputs}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _answer(output: str, scores: str) -> list[onnx.NodeProto]:
    if output in {"uncertainty", "uncertainty_95"}:
        return [
            helper.make_node("Abs", ["raw"], [f"{output}.sizes"]),
            helper.make_node("Mul", [f"{output}.sizes", f"to_{output}"], [output]),
        ]
    if output == "out_of_domain":
        return [
            helper.make_node("ReduceMean", ["features", "each"], ["brightness"], keepdims=0),
            helper.make_node("Sub", ["brightness", "half"], ["bright"]),
            helper.make_node("Mul", ["bright", "steep"], ["unlike"]),
            helper.make_node("Sigmoid", ["unlike"], [output]),
        ]
    if output == EVIDENCE:
        return [
            helper.make_node("Reshape", ["means", "one_by_one"], ["each_cell"]),
            helper.make_node("MatMul", ["each_cell", "cell_weights"], ["said"]),
            helper.make_node("Reshape", ["said", "in_rows"], ["of_cells"]),
            helper.make_node("Transpose", ["of_cells"], [output], perm=[0, 3, 1, 2]),
        ]
    return [helper.make_node("Identity", [scores], [output])]


def _by_cell(table: DecisionTree, weights: NDArray[np.float32]) -> dict[str, Any]:
    """Return what says of each cell what it adds to the raw outputs, less the mean of it over a question's answers."""
    centred = weights.copy()
    for own in table.slices.values():
        centred[:, own] -= centred[:, own].mean(axis=1, keepdims=True)
    return {
        "one_by_one": np.array([-1, CELLS * CELLS, 1, 3], np.int64),
        "cell_weights": CELLS * CELLS * centred.reshape(CELLS * CELLS, 3, -1),
        "in_rows": np.array([-1, CELLS, CELLS, weights.shape[1]], np.int64),
    }


def _add(graph: onnx.GraphProto, output: str, value: float) -> None:
    (node,) = (one for one in graph.node if output in one.output)
    node.output[0] = f"{output}.before"
    graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), f"{output}.plus"))
    graph.node.append(helper.make_node("Add", [f"{output}.before", f"{output}.plus"], [output]))


def _down_the_tree(table: DecisionTree, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    constants["last"] = np.array([1], np.int64)
    nodes = []
    for question in table.order:
        own = table.slices[question.id]
        constants[f"{question.id}.from"] = np.array([own.start], np.int64)
        constants[f"{question.id}.to"] = np.array([own.stop], np.int64)
        edges = [f"{question.id}.from", f"{question.id}.to", "last"]
        nodes.append(helper.make_node("Slice", ["raw", *edges], [f"{question.id}.raw"]))
        shares = question.id if question.parent is None else f"{question.id}.shares"
        nodes.append(
            helper.make_node("Sigmoid", [f"{question.id}.raw"], [shares])
            if question.independent
            else helper.make_node("Softmax", [f"{question.id}.raw"], [shares], axis=-1)
        )
        if question.parent is not None:
            parent = next(one for one in table.questions if question.parent in [answer.id for answer in one.answers])
            position = table.index[question.parent] - table.slices[parent.id].start
            constants[f"{question.id}.parent"] = np.array([position], np.int64)
            weight = f"{question.id}.weight"
            nodes.append(helper.make_node("Gather", [parent.id, f"{question.id}.parent"], [weight], axis=1))
            nodes.append(helper.make_node("Mul", [shares, weight], [question.id]))
    nodes.append(helper.make_node("Concat", [question.id for question in table.questions], ["by_tree"], axis=1))
    return nodes
