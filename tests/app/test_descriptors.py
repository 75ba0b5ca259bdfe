"""The limit on open files is raised as far as the system allows, and what can't be is said."""

import logging

import pytest

resource = pytest.importorskip("resource")

from app.descriptors import raise_limit  # noqa: E402


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
