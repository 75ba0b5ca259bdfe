"""What the tests of surveys share: a stand-in for a service, and catalogues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.galaxytree.survey.calls import write_catalogue
from tests.galaxytree.survey.stand_in import StandIn, standing_in


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with standing_in() as one:
        yield one


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Write a hundred galaxies with URLs."""
    return write_catalogue(tmp_path / "galaxies.parquet", 100)
