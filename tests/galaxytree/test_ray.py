"""A survey on a Ray cluster of two nodes, one of which dies on the way, gives the table that a service gives.

Slow, since Ray takes its time to start, to notice that a node is gone and to do its work again: it is what the engine is
for, and nothing less than two real nodes shows it.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from galaxytree.client import EngineError
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, ModelFacts, Scored
from tests.galaxies import galaxy
from tests.servers import Process, is_running, serving, wait_for

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

# Ray's own, which nobody here can mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROWS_A_CHUNK = 8
CHUNKS = 24
OBJECT_STORE_BYTES = 80 * 1024 * 1024
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Write galaxies, some of which are none."""
    folder = tmp_path_factory.mktemp("galaxies")
    names = []
    for number in range(ROWS_A_CHUNK * CHUNKS):
        path = folder / f"{number}.jpg"
        if number % 50 == 7:
            path.write_bytes(b"no image")
        elif number % 50 != 9:
            path.write_bytes(galaxy(number % 10))
        names.append(str(path))
    return names
