"""Settings and the options of ``galaxytree serve``: one is the other."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app.cli import serve
from app.misspelt import OTHERS, OTHERS_BEGIN
from app.settings import Settings
from benchmarks.__main__ import main as benchmarks_command
from galaxytree.cli import main as galaxytree_command
from tests.servers import serving
from training.cli import main as training_command


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


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("API_KEY_FILE", "API_KEYS_FILE"),
        ("api_keyfile", "API_KEYS_FILE"),
        ("API_KEYS", "API_KEYS_FILE"),
        ("KEYS", "API_KEYS_FILE"),
        ("REQUIRE_KEY", "REQUIRE_KEYS"),
        ("ADDRESS_LIMIT", "ADDRESS_LIMITS"),
        ("HOSTNAMES", "HOSTS"),
        ("ALLOWED_HOSTS", "HOSTS"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("REVERSE_PROXY", "TRUSTED_PROXIES"),
        ("KEYS_DIR", "API_KEYS_FILE"),
        # Some of these would be heeded, and some dropped.
        ("hosts", "HOSTS"),
        ("Require_Keys", "REQUIRE_KEYS"),
    ],
)
def test_what_restricts_access_cannot_be_misspelt(said: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, f"GALAXYTREE_{said}", "s3cret")
    ended = CliRunner().invoke(serve, ["--port", "0"])
    assert ended.exit_code == 2
    (line,) = ended.output.strip().splitlines()
    assert line.startswith("Error: ")
    assert f"GALAXYTREE_{said} (did you mean GALAXYTREE_{meant}?)" in line
    assert "s3cret" not in line


def test_a_start_names_what_is_misspelt_and_nothing_else(model_folder: Path, tmp_path: Path) -> None:
    links = {
        "service_host": "10.0.0.1",
        "service_port": "80",
        "service_port_http": "80",
        "port_80_tcp": "tcp://10.0.0.1:80",
        "port_80_tcp_proto": "tcp",
        "port_80_tcp_port": "80",
        "port_80_tcp_addr": "10.0.0.1",
        "gpu_service_host": "10.0.0.2",
        "gpu_port": "tcp://10.0.0.2:80",
    }
    others = {"api_key": "k", "server": "http://x", "train_epochs": "1", "bench_spinning": "1", "key_scope": "admin"}
    wrong = {"que_images": "7", "fetch_host": "a.example", "entirely_else": "1", "address": "here", "db_hosts": "there"}
    settings = {"model": str(model_folder), "workers": "1", **links, **others, **wrong}
    with serving(tmp_path / "log", **settings) as process:
        told = [line.partition("[-] ")[2] for line in process.log.splitlines() if " WARNING app.misspelt " in line]
    assert told == [
        "GALAXYTREE_ADDRESS is no setting, and changes nothing",
        "GALAXYTREE_DB_HOSTS is no setting, and changes nothing; did you mean GALAXYTREE_HOST?",
        "GALAXYTREE_ENTIRELY_ELSE is no setting, and changes nothing",
        "GALAXYTREE_FETCH_HOST is no setting, and changes nothing; did you mean GALAXYTREE_FETCH_HOSTS?",
        "GALAXYTREE_QUE_IMAGES is no setting, and changes nothing; did you mean GALAXYTREE_QUEUE_IMAGES?",
    ]


def variables_of(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        given = parameter.envvar
        yield from [given] if isinstance(given, str) else given or []
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from variables_of(below, click.Context(below, parent=context))


def test_what_other_commands_are_set_by_is_known() -> None:
    found = {
        name.removeprefix("GALAXYTREE_")
        for group in (galaxytree_command, training_command, benchmarks_command)
        for name in variables_of(group, click.Context(group))
        if name.startswith("GALAXYTREE_")
    }
    others = {name for name in found if name.lower() not in Settings.model_fields}
    assert {name for name in others if not name.startswith(OTHERS_BEGIN)} == OTHERS
    assert {begin for begin in OTHERS_BEGIN if any(name.startswith(begin) for name in others)} == set(OTHERS_BEGIN)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "ADDRESS_LIMITS",
            "requests=5",
            "'requests' is no limit; there are requests_per_second, burst, concurrent_requests, ",
        ),
        ("ADDRESS_LIMITS", "burst=5", ": burst needs requests_per_second"),
        ("ADDRESS_LIMITS", "images_per_day=many", "images_per_day: Input should be a valid integer"),
        ("TRUSTED_PROXIES", "nginx", "'nginx' is no address or network"),
        ("DRAIN_SECONDS", "nan", ": Input should be a finite number"),
        ("READY_SHARE", "nan", ": Input should be a finite number"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, f"GALAXYTREE_{name}", value)
    ended = CliRunner().invoke(serve, ["--port", "0"])
    assert ended.exit_code == 2
    (line,) = (line for line in ended.output.splitlines() if line.startswith("Error: "))
    assert f"(GALAXYTREE_{name})" in line
    assert says in line


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
