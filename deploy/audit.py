"""What the service is made of: a bill of materials, its known weaknesses, its licences: ``make audit``.

Everything is said of an environment into which the service was installed as in the container's image, and nothing else.
"""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from deploy.bundled import add_to
from deploy.licences import ROOT, is_accepted, licence_of

FOLDER = ROOT / "build" / "audit"
OWN = "galaxytree"


def main(words: Sequence[str] | None = None) -> int:
    """Write the bill of materials, and ask for weaknesses and licences; 1 if there is one that should not be."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("--extra", choices=("cpu", "cuda"), default="cpu", help="which of the container's variants")
    parser.add_argument(
        "--strict", action="store_true", help="fail also if the weaknesses of a package could not be asked for"
    )
    given = parser.parse_args(words)
    extra = given.extra
    environment = FOLDER / extra
    install(environment, extra)
    materials = FOLDER / f"galaxytree-{extra}.cdx.json"
    print(f"materials: {write_materials(environment, materials)} components in {materials.relative_to(ROOT)}")
    weak, not_asked = weaknesses(environment)
    found = [*weak, *refused_licences(environment)]
    for each in found:
        print(each)
    if not_asked is not None:
        # Last, and where errors are: whoever sees that all went well is to see also that this was left out.
        print(not_asked, file=sys.stderr)
    return int(bool(found) or (given.strict and not_asked is not None))


def install(environment: Path, extra: str) -> None:
    """Make an environment that holds the service and no pip."""
    venv.create(environment, clear=True, with_pip=False)
    _program("pip", "--python", str(environment), "install", "--quiet", *_PINNED, f"{ROOT}[{extra}]")


def write_materials(environment: Path, file: Path) -> int:
    """Write what is installed as CycloneDX; return how many components that is."""
    python = environment / "bin" / "python"
    _program(
        *("cyclonedx-py", "environment", "--pyproject", str(ROOT / "pyproject.toml")),
        *("--validate", "--output-reproducible", "--output-file", str(file), str(python)),
    )
    add_to(file)
    _program("python", "-c", _VALIDATE, str(file))
    return len(json.loads(file.read_bytes())["components"])


def weaknesses(environment: Path) -> tuple[list[str], str | None]:
    """Ask for the known weaknesses of what is installed, and print how many there are in how many packages.

    Returns
    -------
    list of str
        Them, in words.
    str or None
        What could not be asked, and why, as a line; None if all was.
    """
    ended = subprocess.run(
        [_beside("pip-audit"), "--path", str(_packages(environment)), "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        last = (ended.stderr.strip().splitlines() or ["nothing said"])[-1]
        return [], f"weaknesses: skipped, pip-audit could not ask its advisory service: {last}"
    asked, unknown, found = told(said)
    if not asked:
        # pip-audit itself calls that clean.
        none = f"the advisory service that can be reached knows none of {len(unknown)} packages"
        return [], f"weaknesses: skipped, {none}"
    print(f"weaknesses: {len(found)} in {asked} packages")
    return found, f"weaknesses: skipped for what is not known: {', '.join(unknown)}" if unknown else None


def told(said: dict[str, Any]) -> tuple[int, list[str], list[str]]:
    """Return of pip-audit's answer how many packages it knew, which it didn't know, and their weaknesses in words."""
    packages = [each for each in said["dependencies"] if each["name"] != OWN]
    known = [each for each in packages if "vulns" in each]
    unknown = [each["name"] for each in packages if "vulns" not in each]
    found = [
        f"{each['name']} {each['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no release'}"
        for each in known
        for one in each["vulns"]
    ]
    return len(known), unknown, found


def refused_licences(environment: Path) -> list[str]:
    """Return what is installed under licences that don't go with the project's, in words."""
    licences = dict(_licences(environment))
    print(f"licences: {len(licences)} packages under {len(set(licences.values()))} licences")
    return [f"{name}: {licence!r} is not accepted" for name, licence in licences.items() if not is_accepted(licence)]


# By what wrote it, which only this program's own environment has.
_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read())
sys.exit(wrong and f"{sys.argv[1]} is not as CycloneDX has it: {wrong}")
"""

_PINNED = ("--constraint", str(ROOT / "constraints.txt"))


def _licences(environment: Path) -> Iterator[tuple[str, str]]:
    for each in distributions(path=[str(_packages(environment))]):
        yield each.metadata["Name"], licence_of(each.metadata.json)


def _packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def _program(*words: str) -> None:
    subprocess.run([_beside(words[0]), *words[1:]], check=True)


def _beside(program: str) -> str:
    """Return the path of a program that is installed with this interpreter."""
    return str(Path(sys.executable).parent / program)


if __name__ == "__main__":
    sys.exit(main())
