"""``python -m deploy.container``: build the container's image and try it, where no engine runs; as root."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from deploy.container.buildah import BASE, Buildah, Image
from deploy.container.contents import LARGEST_BYTES, contents, small_enough
from deploy.container.pip_access import pip_access
from deploy.container.problems import ContainerError
from deploy.container.proof import Proof
from deploy.container.running import Container

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"
TOOLS = ("buildah", "debootstrap", "mount", "nsenter", "unshare")


def lacking() -> str | None:
    """Say what is lacking here to build and try an image; None if nothing is."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root: it mounts, and makes namespaces"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}: apt-get install buildah debootstrap" if missing else None


def main() -> int:
    """Build and try; 0 if all holds or tools are lacking here, 1 if something doesn't hold."""
    parser = argparse.ArgumentParser(prog="python -m deploy.container", description=__doc__)
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu", help="which image")
    parser.add_argument("--suite", default="bookworm", help="Debian's suite that the base is made of")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep images there, the base for next time too")
    asked = parser.parse_args()
    if reason := lacking():
        print(f"container-test: skipped, it {reason}")
        return 0
    began = time.monotonic()
    with ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="galaxytree-container-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held = _try(stack, folder, asked.variant, asked.suite)
        except ContainerError as error:
            print(f"container-test: FAILED: {error}")
            return 1
    print(f"container-test: {held} claims hold, in {time.monotonic() - began:.0f} s")
    return 0


def _try(stack: ExitStack, folder: Path, variant: str, suite: str) -> int:
    """Build, run and try an image; return how many claims held."""
    buildah = Buildah(folder)
    stack.callback(buildah.close)
    name = f"localhost/galaxytree:{variant}"
    held = [
        _shown("base", lambda: buildah.make_base(suite)),
        _shown("image", lambda: buildah.build(ROOT, name, {"VARIANT": variant, "BASE": BASE}, pip_access())),
    ]
    base, image = buildah.open(BASE), buildah.open(name)
    found = contents(image.root, base.root)
    held += [_shown("contents", lambda: _faultless(found.faults))]
    held += [_shown("size", lambda: small_enough(found, LARGEST_BYTES.get(variant)))]
    container = Container(image, folder / "service.log")
    stack.callback(container.kill)
    expected = json.loads((FIGURES / "answer.json").read_bytes())["scores"]
    proof = Proof(container, _health_check(image), (FIGURES / "galaxy.jpg").read_bytes(), expected)
    for what, claim in {
        "start": proof.becomes_ready,
        "health check": proof.says_that_it_is_well,
        "galaxy": proof.scores_a_galaxy,
        "rights": proof.has_no_rights,
        "read-only root": proof.cannot_write,
        "SIGTERM": proof.ends_well,
    }.items():
        held.append(_shown(what, claim))
    return len(held)


def _health_check(image: Image) -> list[str]:
    test: list[str] = image.config.get("Healthcheck", {}).get("Test", ["NONE"])
    kind, *words = test
    if kind != "CMD":
        msg = "the image has no health check that can be run without a shell"
        raise ContainerError(msg)
    return words


def _faultless(faults: list[str]) -> str:
    if faults:
        raise ContainerError("; ".join(faults[:10]))
    return "no compiler, cache, pip or file outside of the environment"


def _shown(what: str, claim: Callable[[], str]) -> str:
    """Try one claim, and print what it says."""
    said = claim()
    print(f"{what:>15}: {said}", flush=True)
    return said


if __name__ == "__main__":
    sys.exit(main())
