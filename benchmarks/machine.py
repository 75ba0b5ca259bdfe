"""What the figures were measured on."""

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from app.providers import cores

_DISTRIBUTIONS = ("galaxytree", "onnxruntime-gpu", "onnxruntime", "numpy", "uvicorn", "uvloop", "httptools")


class Machine(BaseModel):
    """A machine, and what runs on it."""

    processor: str
    cores: int
    gpu: str | None
    memory_gib: float
    kernel: str
    python: str
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """What its files of results are called."""
        words = self.gpu or f"{self.processor} {self.cores} cores"
        return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def busy(seconds: float) -> float:
    """Return what part of all cores is used while this process sleeps: by others, where it has started nothing."""
    idle, begun = _idle_seconds(), time.perf_counter()
    time.sleep(seconds)
    return max(0.0, 1 - (_idle_seconds() - idle) / (time.perf_counter() - begun) / (os.cpu_count() or 1))


def _idle_seconds() -> float:
    # Over all cores: user, nice, system, idle, waiting for input and output, …
    ticks = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
    return (int(ticks[3]) + int(ticks[4])) / os.sysconf("SC_CLK_TCK")


def this_machine(device: str = "cpu") -> Machine:
    """Look at this machine; at its GPU too where that is what is measured."""
    return Machine(
        processor=_processor(),
        cores=cores(),
        gpu=_gpu() if device == "cuda" else None,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=dict(_versions()),
    )


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _gpu() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return lines[0].strip() if lines else None


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append((name, version(name)))
        except ModuleNotFoundError:
            continue
    return found
