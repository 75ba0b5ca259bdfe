"""The walls of the house: who may import whom, and how large a room may be."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("galaxytree", "app", "training")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
LARGEST_MODULE_LINES = 300

# The tree is one value with its table, its algebra and its checks: it stands as a whole.
LARGER_FOR_A_REASON = {"galaxytree/decision_tree.py": 400}

SERVICE = {"fastapi", "starlette", "uvicorn", "onnxruntime", "pydantic_settings"}
TRAINING = {"torch", "h5py", "jinja2", "matplotlib", "tensorboard"}
FORBIDDEN = {
    "galaxytree": {"app", "training"} | SERVICE | TRAINING,
    "app": {"training", "tqdm"} | TRAINING,
    "training": {"app", "fastapi", "starlette", "uvicorn"},
}


def imported(source: str) -> Iterator[str]:
    """Name the packages that a module imports anywhere in it, lazily and by name as well."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=module, level=0):
                yield str(module).partition(".")[0]
            case ast.ImportFrom():
                yield "(relative)"
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name.partition(".")[0]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_modules_in_every_room() -> None:
    assert {room_of(path) for path in MODULES} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_imports_whom_they_may_not(path: Path) -> None:
    assert not set(imported(path.read_text("utf-8"))) & FORBIDDEN[room_of(path)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    assert "(relative)" not in set(imported(path.read_text("utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_small(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= LARGER_FOR_A_REASON.get(name_of(path), LARGEST_MODULE_LINES)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_room_is_a_drawer_for_everything(path: Path) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )


def test_the_main_module_of_the_service_is_a_table_of_contents() -> None:
    assert len((ROOT / "app" / "main.py").read_text("utf-8").splitlines()) <= 100


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import torch.nn as nn", ["torch"]),
        ("from app.main import create_app", ["app"]),
        ("def f():\n    import onnxruntime", ["onnxruntime"]),
        ("from importlib import import_module\nimport_module('torch.nn')", ["importlib", "torch"]),
        ("__import__('training')", ["training"]),
        ("from . import errors", ["(relative)"]),
    ],
)
def test_imports_are_seen_wherever_they_are(source: str, names: list[str]) -> None:
    assert list(imported(source)) == names


def loaded_by(statement: str) -> set[str]:
    """Return the packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("module", ["galaxytree", "galaxytree.client", "galaxytree.cli", "galaxytree.imaging"])
def test_what_a_laptop_imports_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert "galaxytree" in loaded
    assert not loaded & FORBIDDEN["galaxytree"]


def test_the_service_loads_no_training_and_leaves_the_network_to_its_workers() -> None:
    loaded = loaded_by("import app.main, app.server")
    assert "fastapi" in loaded
    assert not loaded & ({"training", "onnxruntime"} | TRAINING)


def test_a_worker_loads_nothing_that_speaks_http() -> None:
    loaded = loaded_by("import app.worker")
    assert "onnxruntime" in loaded
    assert not loaded & ({"training", "fastapi", "starlette", "uvicorn", "httptools", "pydantic_settings"} | TRAINING)


@pytest.mark.parametrize("module", ["app.frames", "app.jobs", "app.lanes", "app.starting", "app.pool"])
def test_what_the_service_and_its_workers_share_loads_neither_side(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"fastapi", "starlette", "uvicorn", "onnxruntime"}
