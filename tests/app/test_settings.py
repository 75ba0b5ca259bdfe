"""Settings and the options of ``galaxytree serve``: one is the other."""

import os

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app.cli import serve
from app.settings import Settings


def test_every_setting_is_an_option_and_an_environment_variable() -> None:
    told = " ".join(CliRunner().invoke(serve, ["--help"]).output.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in told
        assert f"GALAXYTREE_{name.upper()}" in told
        assert field.title
        assert field.description
        shown = "(not set)" if field.default is None else name if field.default is True else field.default
        # Of one that is only on or off, the option that says so.
        shown = f"no-{name.replace('_', '-')}" if field.default is False else shown
        assert f"default: {shown}]" in told.replace("- ", "-")


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name.endswith(("seconds", "bytes"))])
def test_units_are_in_the_names_and_limits_are_kept(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: -1})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "GALAXYTREE_MAX_BATCH", "7")
    assert Settings().max_batch == 7
    assert Settings(max_batch=8).max_batch == 8
    with pytest.raises(ValidationError):
        Settings().max_batch = 9  # type: ignore[misc]


def test_a_variable_that_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL", "PORT", "DEVICE"):
        monkeypatch.setitem(os.environ, f"GALAXYTREE_{name}", "")
    assert Settings() == Settings.model_construct()


def test_keys_that_are_set_to_nothing_do_not_open_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "GALAXYTREE_API_KEYS_FILE", "")
    ended = CliRunner().invoke(serve, ["--port", "0"])
    assert ended.exit_code == 2
    assert "GALAXYTREE_API_KEYS_FILE is set to nothing" in ended.output


def test_an_empty_option_is_refused() -> None:
    ended = CliRunner().invoke(serve, ["--queue-images", ""])
    assert ended.exit_code == 2
    assert "--queue-images" in ended.output


def test_a_value_out_of_bounds_is_refused_by_option_and_variable() -> None:
    ended = CliRunner().invoke(serve, ["--queue-images", "0"])
    assert ended.exit_code == 2
    assert "--queue-images (GALAXYTREE_QUEUE_IMAGES): " in ended.output


def test_bounds_that_contradict_each_other_are_refused() -> None:
    ended = CliRunner().invoke(serve, ["--queue-bytes", "10"])
    assert ended.exit_code == 2
    assert "queue_bytes must be at least" in ended.output


@pytest.mark.parametrize(("name", "value"), [("max_batch", "7"), ("queue_images", "7")])
def test_views_for_which_there_is_no_room_are_refused(name: str, value: str) -> None:
    option = f"--{name.replace('_', '-')}"
    ended = CliRunner().invoke(serve, ["--views", "8", option, value])
    assert ended.exit_code == 2
    assert "views=8 needs max_batch and queue_images of at least 8" in ended.output
    assert Settings.model_validate({"views": 8, name: 8}).most_views == 8
    assert Settings.model_validate({name: value}).most_views == 7


def test_views_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "GALAXYTREE_VIEWS", "8")
    assert Settings().views == 8
    monkeypatch.setitem(os.environ, "GALAXYTREE_VIEWS", "4")
    with pytest.raises(ValidationError, match="1 or 8"):
        Settings()


def test_units_stand_for_values() -> None:
    told = CliRunner().invoke(serve, ["--help"]).output
    assert "--drain-seconds SECONDS" in told
    assert "--max-image-bytes BYTES" in told
    assert "[auto|cuda|cpu]" in told
