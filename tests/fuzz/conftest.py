"""What was tried is told when all has been."""

from collections.abc import Iterator

import pytest

from tests.fuzz.counting import write


@pytest.fixture(scope="session", autouse=True)
def told() -> Iterator[None]:
    """Write what was counted in this process."""
    yield
    write()
