"""How many inputs are tried, and were."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

EACH = int(os.environ.get("FUZZ_INPUTS", "500"))
"""Inputs of each kind."""

CASES = int(os.environ.get("FUZZ_CASES", "300"))
"""Cases of Schemathesis, for all operations, with keys and without."""

_FOLDER = os.environ.get("FUZZ_COUNTS")
"""Where the counts of each process are written at its end."""

_counts: Counter[str] = Counter()


def counted(name: str, number: int = 1) -> Callable[[], None]:
    """Return what counts so many inputs of a kind."""

    def count() -> None:
        _counts[name] += number

    return count


def write() -> None:
    """Write what was counted in this process."""
    if _FOLDER and _counts:
        Path(_FOLDER, f"{os.getpid()}.json").write_text(json.dumps(_counts), "utf-8")
