"""The docs say what is true now."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from app.local import LocalEngine
from app.settings import Settings
from galaxytree.card import ModelCard
from galaxytree.cli import main as galaxytree_command
from tests.servers import threaded
from tests.tiny_model import write_model
from training.cli import main as training_command
from training.evaluate import SHIPPED

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^]]*\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def test_generated_parts_are_what_the_code_says_now() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_card_shows_what_part_is_flagged_with_as_many_views_as_were_measured(tmp_path: Path) -> None:
    write_card = runpy.run_path(str(ROOT / "docs" / "generate.py"))["_card"]
    card = ModelCard.read(SHIPPED)
    one = {"validation": {"flagged": 0.01, "pictures": 1500}, "noise": {"flagged": 1.0, "pictures": 50}}
    both = {what: {**each, "flagged_with_eight_views": 0.5} for what, each in one.items()}
    shown = []
    for flagged in (one, both):
        card.model_copy(update={"metrics": {**card.metrics, "out_of_domain": flagged}, "int8": None}).write(tmp_path)
        shown.append(write_card(tmp_path).partition("| pictures ")[2].strip().splitlines())
    assert shown == [
        ["| one view | number |", "|---|---|---|", "| validation | 1.0% | 1500 |", "| noise | 100.0% | 50 |"],
        [
            "| one view | eight views | number |",
            "|---|---|---|---|",
            "| validation | 1.0% | 50.0% | 1500 |",
            "| noise | 100.0% | 50.0% | 50 |",
        ],
    ]


def test_the_client_s_example_runs(tmp_path: Path) -> None:
    example, _ = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "service.md").read_text("utf-8"), re.DOTALL)
    model = write_model(tmp_path / "m", outputs=("scores", "uncertainty", "out_of_domain"))
    with threaded(Settings(model=model, device="cpu")) as one:
        code = example.replace("http://127.0.0.1:8000", one.url)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"0\.\d+ ± 0\.\d+", done.stdout)


def test_the_examples_of_open_inference_run() -> None:
    page = (ROOT / "docs" / "service.md").read_text("utf-8")
    section = page.partition("## Open Inference Protocol")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (command,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    with threaded(Settings(device="cpu", workers=1, max_batch=8)) as one:
        code = example.replace("127.0.0.1:8000", one.url.removeprefix("http://"))
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.strip(" []\n").split()) == 37
        words = shlex.split(command.replace("localhost:8000", one.url))
        done = subprocess.run([*words, "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    outputs = {output["name"]: output["shape"] for output in json.loads(done.stdout)["outputs"]}
    assert outputs["scores"] == [1, 37]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [found["target"] for found in LINK.finditer(page.read_text("utf-8"))]
    missing = [each for each in targets if "://" not in each and not (page.parent / each).exists()]
    assert not missing


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("## Threat model")[2]
    files = {each.removeprefix("tests/") for each in re.findall(r"`([a-z_/]*test_[a-z_]+\.py)`", page)}
    there = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert files
    assert all(any(f"/{each}".endswith(f"/{file}") for each in there) for file in files)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "service.md").read_text("utf-8")
    assert f"`GALAXYTREE_{name.upper()}`" in page
    assert f"`--{name.replace('_', '-')}`" in page


@pytest.mark.parametrize("group", [galaxytree_command, training_command], ids=["galaxytree", "training"])
def test_every_command_and_option_is_documented(group: click.Group) -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    context = click.Context(group)
    for name in group.list_commands(context):
        assert f" {name}`" in page
        command = group.get_command(context, name)
        assert command is not None
        for option in command.params:
            assert all(each in page for each in option.opts if each.startswith("--"))
            assert not isinstance(option, click.Option) or option.envvar, f"{name} {option.name} has no variable"


def test_the_readme_shows_a_real_answer() -> None:
    shown = json.loads((ROOT / "docs" / "figures" / "answer.json").read_bytes())
    engine = LocalEngine()
    real = engine.classify((ROOT / "docs" / "figures" / "galaxy.jpg").read_bytes()).model_dump(mode="json")
    engine.close()
    assert shown["model"] == real["model"]
    assert shown["image"] == real["image"]
    assert shown["summary"] == real["summary"]
    assert np.allclose(list(shown["scores"].values()), list(real["scores"].values()), atol=1e-4)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert shown["summary"] in readme
    for name in ("Class1.1", "Class11.6"):
        assert f'"{name}":{shown["scores"][name]}' in readme.replace(" ", "")
