"""What ``pip install .`` without extras brings: little, and enough to score through a service."""

import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.galaxies import jpeg
from tests.servers import Process, environment

ROOT = Path(__file__).parents[2]
MOST_BYTES = 150_000_000
HEAVY = {"astropy", "duckdb", "fastapi", "onnxruntime", "onnxruntime-gpu", "pyarrow", "ray", "starlette", "torch"}

# The interpreter as it would be if nothing else were installed; what was there before the first line is the
# interpreter's own, or measures coverage.
ALONE = """
import sys

allowed = {*sys.argv.pop(1).split(","), *sys.stdlib_module_names, *(name.partition(".")[0] for name in sys.modules)}


class Nothing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        # The build's own settings, which the standard library reads, have a name for each platform.
        if name.partition(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Nothing)
"""

SCORES = """
import asyncio
from pathlib import Path

import galaxytree
from galaxytree import AsyncClient, Client

server, image = sys.argv[1], Path(sys.argv[2])
with Client(server) as client:
    one = client.classify(image)
    many = [result.unwrap() for result in client.classify_many([image, image.read_bytes()])]


async def ask():
    async with AsyncClient(server) as client:
        return await client.classify(image)


assert asyncio.run(ask()) == one
assert [each.scores for each in many] == [one.scores] * 2
print(one.summary)
try:
    galaxytree.to_table([])
except ImportError as error:
    print(error)
"""

COMMAND = """
from galaxytree.cli import main

main()
"""


def base_install() -> set[str]:
    """Name the packages that are installed with the project if no extra is asked for, and those that they need."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = [Requirement(each) for each in tomllib.load(file)["project"]["dependencies"]]
    found: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        # An extra brings what has a marker of its name.
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key not in found:
                found.add(key)
                needed = [Requirement(each) for each in distribution(requirement.name).requires or ()]
                wanted += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def bytes_of(package: str) -> int:
    files = [Path(str(file.locate())) for file in distribution(package).files or ()]
    return sum(file.stat().st_size for file in files if file.exists())


def bytes_of_the_wheel() -> int:
    """Return how large the project itself is once installed, models and compiled modules included."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = [ROOT / each for each in (*wheel["packages"], *wheel["force-include"])]
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def alone(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that finds the base install only."""
    packages = base_install()
    modules = {
        module
        for module, owners in packages_distributions().items()
        if packages & {canonicalize_name(owner) for owner in owners}
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE + code, ",".join(["galaxytree", *modules]), *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "galaxy.jpg"
    path.write_bytes(jpeg())
    return path


def test_the_base_install_is_light() -> None:
    packages = base_install()
    assert {"click", "httpx", "httpcore", "numpy", "pydantic-core"} <= packages
    assert not packages & HEAVY
    sizes = {package: bytes_of(package) for package in packages}
    assert sizes["numpy"] > 10_000_000
    assert sum(sizes.values()) + bytes_of_the_wheel() < MOST_BYTES, sizes


@pytest.mark.parametrize("heavy", ["torch", "fastapi", "onnxruntime", "pyarrow"])
def test_nothing_else_is_there(heavy: str) -> None:
    ended = alone(f"import {heavy}")
    assert ended.returncode == 1
    assert f"No module named '{heavy}'" in ended.stderr


def test_the_base_install_scores_through_a_service(service: Process, image: Path) -> None:
    ended = alone(SCORES, service.url, str(image))
    assert (ended.returncode, ended.stderr) == (0, "")
    summary, missing = ended.stdout.splitlines()
    assert summary.endswith(".")
    assert missing == "to_table needs packages that are not installed (pyarrow): pip install 'galaxytree[survey]'"


def test_the_command_line_of_the_base_install(service: Process, image: Path) -> None:
    ended = alone(COMMAND, "classify", str(image), "--server", service.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{image}: 1 view\n")


@pytest.mark.parametrize(
    ("words", "extra"), [(("serve",), "serve"), (("classify", "IMAGE", "--local"), "serve"), (("score",), "survey")]
)
def test_what_needs_more_says_what(image: Path, words: tuple[str, ...], extra: str) -> None:
    given = [str(image) if word == "IMAGE" else word for word in words]
    if words == ("score",):
        given += [str(image.with_name("galaxies.csv")), "-o", str(image.with_name("scored.csv"))]
        image.with_name("galaxies.csv").write_text("path\ngalaxy.jpg\n")
    ended = alone(COMMAND, *given)
    assert ended.returncode == 2, ended
    assert f"pip install 'galaxytree[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr
