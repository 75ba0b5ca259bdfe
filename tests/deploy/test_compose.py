"""docker-compose.yml: what it says, and that Docker's own program takes it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("galaxytree", "cpu")
PROFILES = ("--profile", "cpu", "--profile", "observe")


def program() -> list[str]:
    """Return how Docker Compose is called here, or skip."""
    if docker := shutil.which("docker"):
        called = [docker, "compose"]
        if subprocess.run([*called, "version"], capture_output=True, check=False).returncode == 0:
            return called
    standalone = shutil.which("docker-compose")
    if standalone is None:
        pytest.skip("docker compose is not installed here; make deploy-check brings it")
    return [standalone]


@pytest.mark.parametrize("profiles", [(), PROFILES], ids=["plain", "all profiles"])
def test_docker_compose_accepts_it(profiles: tuple[str, ...]) -> None:
    done = subprocess.run(
        [*program(), *profiles, "config"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["services"]
    assert set(shown) >= (set(SERVICES) if profiles else {"galaxytree"})
    assert shown["galaxytree"]["deploy"]["resources"]["reservations"]["devices"]


def shown(tmp_path: Path, *words: str, said: str = "", **variables: str) -> dict[str, Any]:
    """Return the services as Docker's own program reads them, where a shell and a file .env say something."""
    (tmp_path / "docker-compose.yml").write_bytes((ROOT / "docker-compose.yml").read_bytes())
    (tmp_path / ".env").write_text(said, "utf-8")
    done = subprocess.run(
        [*program(), *words, "config"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env=os.environ | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return services


def test_a_setting_of_the_shell_or_of_the_file_reaches_the_container(tmp_path: Path) -> None:
    said = "GALAXYTREE_VIEWS=8\nGALAXYTREE_LOG_FORMAT=json\n"
    services = shown(tmp_path, *PROFILES, said=said, GALAXYTREE_REQUIRE_KEYS="1", GALAXYTREE_LOG_FORMAT="text")
    for name, device in (("galaxytree", "cuda"), ("cpu", "cpu")):
        assert {each: value for each, value in services[name]["environment"].items() if value is not None} == {
            "GALAXYTREE_DEVICE": device,
            "GALAXYTREE_REQUIRE_KEYS": "1",
            "GALAXYTREE_VIEWS": "8",
            "GALAXYTREE_LOG_FORMAT": "text",
        }


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_passed_on_but_for_where_it_listens(name: str) -> None:
    passed = SERVICES[name]["environment"]
    settings = {f"GALAXYTREE_{each.upper()}" for each in Settings.model_fields}
    assert set(passed) == settings - {"GALAXYTREE_HOST", "GALAXYTREE_PORT"}
    # Taken from where it is called, and not set if it isn't set there.
    assert {each for each, value in passed.items() if value is not None} == {"GALAXYTREE_DEVICE"}


@pytest.mark.parametrize("name", SERVICES)
def test_logs_have_an_end(name: str) -> None:
    assert SERVICES[name]["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} == set(SERVICES[name]["logging"]["options"])


DOCUMENTED = sorted(
    {
        found.strip()
        for path in ("docker-compose.yml", "docs/operations.md")
        for found in re.findall(
            r"docker compose((?: --?[a-z]+(?: [a-z]+)?)* up\b(?: [a-z-]+)*)", (ROOT / path).read_text("utf-8")
        )
    }
)


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_command_that_is_documented_starts_one_service_only(command: str) -> None:
    before, _, after = f"{command} ".partition("up ")
    profiles = set(re.findall(r"--profile ([a-z]+)", before))
    named = {word for word in after.split() if word in SERVICES}
    started = named or {
        name for name, service in SERVICES.items() if "profiles" not in service or profiles & set(service["profiles"])
    }
    assert len(started & set(OURS)) == 1


def test_the_two_services_are_among_what_is_documented() -> None:
    assert {"up", "up cpu"} <= set(DOCUMENTED)


def test_one_service_reserves_a_gpu_and_one_has_a_profile_and_needs_none() -> None:
    (device,) = SERVICES["galaxytree"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert "profiles" not in SERVICES["galaxytree"]
    assert SERVICES["cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in SERVICES["cpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_no_rights_and_a_root_that_is_read_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_open_beyond_this_host(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", OURS)
def test_it_is_given_the_time_that_its_end_may_take(name: str) -> None:
    settings = Settings.model_fields
    longest = sum(
        settings[each].default for each in ("drain_seconds", "body_timeout_seconds", "request_timeout_seconds")
    )
    assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= longest + 2


@pytest.mark.parametrize("name", OURS)
def test_its_image_is_built_as_the_dockerfile_says(name: str) -> None:
    variant = SERVICES[name]["build"]["args"]["VARIANT"]
    assert SERVICES[name]["image"] == f"galaxytree:{variant}"
    assert f"VARIANT={variant}" in (ROOT / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_observes_is_asked_for_and_its_image_has_a_version(name: str) -> None:
    assert SERVICES[name]["profiles"] == ["observe"]
    assert SERVICES[name]["image"].rpartition(":")[2].lstrip("v")[0].isdigit()


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_is_mounted_is_there(name: str) -> None:
    for mounted in SERVICES[name]["volumes"]:
        source = mounted.partition(":")[0]
        assert source in COMPOSE["volumes"] or any((ROOT / source).rglob("*.*"))


def test_prometheus_asks_the_service_by_the_name_that_it_has_in_either_variant() -> None:
    asked = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    targets = [target for job in asked["scrape_configs"] for one in job["static_configs"] for target in one["targets"]]
    assert "galaxytree:8000" in targets
    assert all("galaxytree" in SERVICES[name]["networks"]["default"]["aliases"] for name in OURS)
