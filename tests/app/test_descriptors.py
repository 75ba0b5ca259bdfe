"""The limit on open files is raised as far as the system allows, and what can't be is said."""

import logging

import pytest

resource = pytest.importorskip("resource")

from app.descriptors import connections_within_limit, raise_limit  # noqa: E402


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Play the system's limits; they are in the last place."""
    played = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: played[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: played.append(limit))
    return played


def test_it_is_raised(limits: list[tuple[int, int]]) -> None:
    raise_limit()
    assert limits[-1] == (4096, 4096)
    raise_limit()
    assert len(limits) == 2


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("error", [OSError("no"), ValueError("no")])
def test_where_it_cannot_be_that_is_said(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "no more than 1024 connections at a time" in record.getMessage()


@pytest.mark.parametrize(
    ("limit", "wanted", "fewer"),
    [
        (20_000, 4096, 4096),
        (4096, 3840, 3840),
        (4096, 4096, 3840),
        (300, 4096, 150),
        (300, 12, 12),
        (resource.RLIM_INFINITY, 4096, 4096),
    ],
)
def test_files_are_left_for_others_than_clients(
    limits: list[tuple[int, int]], limit: int, wanted: int, fewer: int, caplog: pytest.LogCaptureFixture
) -> None:
    limits.append((limit, limit))
    assert connections_within_limit(wanted) == fewer
    assert bool(caplog.records) == (fewer < wanted)
