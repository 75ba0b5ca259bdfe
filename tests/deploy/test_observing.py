"""What Prometheus and Grafana are given to look at the service with: every name in it is one that the service tells."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.settings import Settings
from app.telemetry.metrics import ALL, PROCESS
from tests.servers import threaded

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "galaxytree.json"
OPERATIONS = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")

KINDS = {each.shown: each.kind for each in ALL}
LABELS = {each.shown: {*each.labels, "job", "instance"} for each in ALL}
TOLD = {
    *PROCESS,
    "up",
    *(name for name, kind in KINDS.items() if kind != "histogram"),
    *(f"{name}_{part}" for name, kind in KINDS.items() if kind == "histogram" for part in ("bucket", "sum", "count")),
}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [each for each in found if each["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    return [(rule["alert"], rule["expr"]) for rule in rules()] + [
        (f"{panel['title']} {number}", target["expr"])
        for panel in panels()
        for number, target in enumerate(panel["targets"])
    ]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:galaxytree|process)_[a-z0-9_]+|\bup\b", expression))


def promtool(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    return subprocess.run([tool, *words], input=said, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda given: given[:40])
def test_every_name_is_one_that_the_service_tells(where: str, expression: str) -> None:
    names = names_in(expression)
    assert names, where
    assert names <= TOLD


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda given: given[:40])
def test_every_label_is_one_that_the_metric_has(where: str, expression: str) -> None:
    for name, selectors in re.findall(r"\b(galaxytree_[a-z0-9_]+)\{([^}]*)\}", expression):
        metric = name if name in LABELS else re.sub(r"_(bucket|sum|count)$", "", name)
        asked = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", selectors))
        assert asked <= LABELS[metric] | {"le"}, where


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set().union(*(names_in(target["expr"]) for panel in panels() for target in panel["targets"]))
    shown = {re.sub(r"_bucket$", "", name) for name in shown}
    assert {each.shown for each in ALL} - shown == set()


def test_a_service_tells_every_name_in_the_table(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", workers=1, access_log="off")) as one:
        text = httpx.get(f"{one.url}/metrics").text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    names = set().union(*(names_in(expression) for _, expression in expressions()))
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    # There is no GPU here, and `up` is Prometheus's own.
    assert {name for name in asked - told if not name.startswith("galaxytree_gpu_")} == {"up"}


def test_what_every_process_tells_is_shown_of_the_service_alone_whatever_the_job_is_called(tmp_path: Path) -> None:
    told = [
        {"series": f'{name}{{job="pods", instance="{target}"}}', "values": "1+9x60"}
        for target in ("ours", "theirs")
        for name in (*PROCESS, *(["galaxytree_build_info"] if target == "ours" else []))
    ]
    shown = [
        re.sub(r"\$__rate_interval", "5m", target["expr"]).replace("$instance", ".*")
        for panel in panels()
        for target in panel["targets"]
        if "process_" in target["expr"]
    ]
    assert len(shown) > 3
    asked = [
        {
            "expr": f"count by (job, instance) ({each})",
            "eval_time": "30m",
            "exp_samples": [{"labels": '{job="pods", instance="ours"}', "value": 1}],
        }
        for each in shown
    ]
    test = {"evaluation_interval": "1m", "tests": [{"interval": "1m", "input_series": told, "promql_expr_test": asked}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), "utf-8")
    done = promtool("test", "rules", str(tmp_path / "test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert (dashboard["uid"], dashboard["title"]) == ("galaxytree", "galaxytree")
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(place["x"] + place["w"] <= 24 for place in places)
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == source for panel in panels())
    assert dashboard["templating"]["list"][0]["name"] == "datasource"


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "galaxytree.yml").read_text("utf-8"))["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "galaxytree.yml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"].endswith("/dashboards")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (page, anchor) == ("docs/operations.md", rule["alert"].lower())
    (_, said) = OPERATIONS.split(f"### {rule['alert']}\n\n")
    assert len(said.partition("\n\n")[0]) > 80


def test_every_alert_is_tested() -> None:
    tested = (PROMETHEUS / "alerts_test.yml").read_text("utf-8")
    assert {rule["alert"] for rule in rules()} == set(re.findall(r"\bGalaxytree[A-Za-z]+", tested))


def test_the_configuration_is_prometheus_s() -> None:
    done = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_alerts_are_raised_when_they_should_be_and_never_else() -> None:
    done = promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_service_tells_is_as_prometheus_wants_it(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", workers=1, access_log="off")) as one:
        httpx.get(f"{one.url}/nowhere")
        text = httpx.get(f"{one.url}/metrics").text
    done = promtool("check", "metrics", said=text)
    assert done.returncode == 0, done.stdout + done.stderr
