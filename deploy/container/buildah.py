"""Images without an engine: buildah, with all that it stores in one folder."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.container.pip_access import PipAccess
from deploy.container.problems import ContainerError

BASE = "localhost/galaxytree-base"


@dataclass(frozen=True)
class Image:
    """An image whose files can be looked at.

    Attributes
    ----------
    root
        Folder that is the root of its files.
    config
        What the image says of its command, environment, user and health check, as Docker writes it.
    """

    root: Path
    config: dict[str, Any]


class Buildah:
    """Builds and opens images.

    Parameters
    ----------
    folder
        Where everything is stored; it may be removed afterwards.

    Raises
    ------
    ContainerError
        From every method, if buildah or debootstrap fails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_base(self, suite: str) -> str:
        """Make the base image from Debian's packages, unless it is there; return what it is."""
        said = f"Debian {suite} with Python, made by debootstrap"
        if self._run("images", "--quiet", "--filter", f"reference={BASE}"):
            return said
        container = self._run("from", "scratch")
        root = self._run("mount", container)
        wanted = "--include=ca-certificates,python3,python3-venv,python3-pip"
        _call("debootstrap", "--variant=minbase", wanted, suite, root)
        # What a published base doesn't have either.
        for left in (*Path(root, "var/cache/apt/archives").glob("*.deb"), *Path(root, "var/lib/apt/lists").glob("*_*")):
            left.unlink()
        self._run("umount", container)
        self._run("commit", "--rm", "--quiet", container, BASE)
        return said

    def build(self, context: Path, name: str, arguments: dict[str, str], access: PipAccess) -> str:
        """Build the Dockerfile of a folder, with what pip needs there during the build only; return what was built."""
        configuration = self._folder / "pip.conf"
        configuration.write_text(access.configuration, "utf-8")
        self._run(
            "build",
            *("--isolation", "chroot", "--pull-never", "--quiet"),
            # OCI's own format knows no health check.
            *("--format", "docker", "--tag", name),
            *("--secret", f"id=pip,src={configuration}"),
            *(word for path in access.local for word in ("--volume", f"{path}:{path}:ro")),
            *(word for each in arguments.items() for word in ("--build-arg", "=".join(each))),
            str(context),
        )
        return " ".join("=".join(each) for each in arguments.items())

    def open(self, name: str) -> Image:
        """Lay an image's files out as a folder."""
        container = self._run("from", "--pull-never", name)
        root = Path(self._run("mount", container))
        return Image(root, json.loads(self._run("inspect", "--type", "image", name))["Docker"]["config"])

    def close(self) -> None:
        """Let go of all that was opened or begun; images stay."""
        self._run("umount", "--all")
        self._run("rm", "--all")

    def _run(self, *words: str) -> str:
        stored = ("--root", str(self._folder / "images"), "--runroot", str(self._folder / "run"))
        return _call("buildah", *stored, "--storage-driver", "vfs", *words)


def _call(*words: str) -> str:
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-40:])
        msg = f"{words[0]} ended with status {ended.returncode}:\n{last}"
        raise ContainerError(msg)
    return ended.stdout.strip()
