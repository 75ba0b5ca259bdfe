"""The Dockerfile, as far as it can be read; `make container-test` builds and runs it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
MOST_CONTEXT_BYTES = 50_000_000


def stages() -> list[list[str]]:
    begins = [number for number, line in enumerate(LINES) if line.startswith("FROM ")]
    return [LINES[first:last] for first, last in zip(begins, [*begins[1:], len(LINES)], strict=True)]


def test_three_stages_stand_on_one_base_that_has_a_tag_and_can_be_another() -> None:
    assert [stage[0].split()[1] for stage in stages()] == ["${BASE}"] * 3
    (base,) = [line.removeprefix("ARG BASE=") for line in LINES if line.startswith("ARG BASE=")]
    assert re.fullmatch(r"\S+/python:3\.\d+-slim-\w+|\S+@sha256:[0-9a-f]{64}", base)


def test_it_runs_as_a_user_whose_number_tells_that_it_is_not_root() -> None:
    (user,) = [line.split()[1] for line in stages()[-1] if line.startswith("USER ")]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_its_health_is_that_of_the_process() -> None:
    (check,) = [line for line in stages()[-1] if line.startswith("HEALTHCHECK ")]
    assert "/health/live" in check


def test_the_last_stage_installs_nothing() -> None:
    assert not [line for line in stages()[-1] if re.search(r"\b(pip|apt-get|apt|curl)\b", line)]


def test_pip_s_configuration_is_a_secret_and_its_cache_is_off_wherever_it_installs() -> None:
    installs = [line for line in LINES if re.search(r"pip .*\b(install|wheel)\b", line)]
    assert len(installs) == 2
    for line in installs:
        assert "--mount=type=secret,id=pip" in line
        assert "--no-cache-dir" in line
        assert "constraints.txt" in line


def test_only_what_is_named_is_sent_to_the_build() -> None:
    assert IGNORED[0] == "*"
    let_in = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
    copied = {
        word.rstrip("/")
        for line in LINES
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert set(let_in) == copied


def test_what_is_sent_to_the_build_is_small() -> None:
    let_in = [ROOT / line.removeprefix("!") for line in IGNORED if line.startswith("!")]
    files = [file for each in let_in for file in ([each] if each.is_file() else each.rglob("*")) if file.is_file()]
    assert {file.name for file in files} >= {"pyproject.toml", "card.json", "main.py"}
    assert sum(file.stat().st_size for file in files if file.suffix != ".pyc") < MOST_CONTEXT_BYTES


@pytest.mark.parametrize("folder", ["tests", "docs", "benchmarks", "experiments", "deploy", ".git", ".venv"])
def test_what_is_not_needed_stays_here(folder: str) -> None:
    assert f"!{folder}" not in IGNORED
