"""How pip reaches packages here -> the same within a build, with nothing of it left in the image.

A machine may have an index of its own, folders of wheels, or a proxy with a certificate of its own. What pip says that
it is set to becomes one configuration file, which the Dockerfile takes as the secret ``pip``; the folders and files
that it names are mounted where they are.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Where packages come from and how they are reached. What else may be set, such as where to install, is no build's.
_TAKEN = frozenset(
    {
        "cert",
        "client-cert",
        "default-timeout",
        "extra-index-url",
        "find-links",
        "index-url",
        "no-index",
        "proxy",
        "retries",
        "timeout",
        "trusted-host",
    }
)
_MAY_BE_LOCAL = ("cert", "client-cert", "extra-index-url", "find-links", "index-url")


@dataclass(frozen=True)
class PipAccess:
    """How pip reaches packages.

    Attributes
    ----------
    options
        What is set, by pip's names of its options.
    """

    options: dict[str, str]

    @property
    def configuration(self) -> str:
        """The text of a configuration file that says the same."""
        # pip splits options that take several values at white space, and a new line begins a value's next part.
        lines = (f"{name} = {' '.join(value.split())}" for name, value in sorted(self.options.items()))
        return "\n".join(["[global]", *lines, ""])

    @property
    def local(self) -> list[Path]:
        """The folders and files of this machine that are needed for it, without those that lie in another of them."""
        paths = sorted({path for name in _MAY_BE_LOCAL for path in _paths(self.options.get(name, ""))})
        return [path for path in paths if not any(other in path.parents for other in paths)]


def pip_access() -> PipAccess:
    """Return how the pip of this interpreter reaches packages, from its files and the environment.

    Raises
    ------
    subprocess.CalledProcessError
        If there is no pip.
    """
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return PipAccess(taken(said))


def taken(listed: str) -> dict[str, str]:
    """Return the options of ``pip config list`` that a build needs; the environment's go before those of files."""
    by_source: dict[str, dict[str, str]] = {"global": {}, ":env:": {}}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        source, _, option = name.rpartition(".")
        if source in by_source and option in _TAKEN:
            by_source[source][option] = str(ast.literal_eval(value))
    return by_source["global"] | by_source[":env:"]


def _paths(value: str) -> Iterator[Path]:
    """Yield the paths that an option's value names and that are there."""
    for word in value.split():
        parts = urlsplit(word)
        if parts.scheme in {"", "file"} and (path := Path(unquote(parts.path))).is_absolute() and path.exists():
            # An index's folder of links refers to files beside it.
            yield path.parent if parts.scheme == "file" and path.is_dir() and path.name == "simple" else path
