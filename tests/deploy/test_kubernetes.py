"""The files for Kubernetes: that they fit its schemas, each other, and the service."""

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.fetching import addresses
from app.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.37"
FILES = sorted(path for path in (FOLDER / "base").glob("*.yaml") if path.name != "kustomization.yaml")
VARIANTS = ("cpu", "gpu")
KINDS = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}


def read(path: Path) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(path.read_text("utf-8"))


BASE = {document["kind"]: document for document in map(read, FILES)}
DEPLOYMENT = BASE["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]


def container_of(variant: str) -> dict[str, Any]:
    (container,) = read(FOLDER / variant / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_fit_the_schemas_of_kubernetes(path: Path) -> None:
    assert kubernetes_validate.validate(read(path), VERSION, strict=True) == VERSION


def test_a_file_that_does_not_fit_would_be_seen() -> None:
    wrong = read(FOLDER / "base" / "service.yaml")
    wrong["spec"]["prots"] = wrong["spec"].pop("ports")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_fit_the_schemas_as_kubectl_puts_them_together(variant: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed here; make deploy-check brings it")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / variant)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    documents = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
    assert set(documents) == KINDS
    for document in documents.values():
        kubernetes_validate.validate(document, VERSION, strict=True)
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == {"cpu": "galaxytree:cpu", "gpu": "galaxytree:cuda"}[variant]
    assert container["securityContext"] == CONTAINER["securityContext"]
    env = CONTAINER["env"] + container_of(variant)["env"]
    assert sorted(container["env"], key=str) == sorted(env, key=str)


def test_there_is_a_file_for_each_and_the_base_names_it() -> None:
    assert set(BASE) == KINDS
    assert sorted(read(FOLDER / "base" / "kustomization.yaml")["resources"]) == [path.name for path in FILES]


def test_all_of_them_mean_the_same_pods() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"].items()
    for selector in (
        DEPLOYMENT["selector"]["matchLabels"],
        BASE["Service"]["spec"]["selector"],
        BASE["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        BASE["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert BASE["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == BASE["Deployment"]["metadata"]["name"]


def test_pods_are_as_restricted_as_kubernetes_knows() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False
    user = f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}"
    assert user in (ROOT / "Dockerfile").read_text("utf-8").splitlines()


def test_a_service_s_own_variables_don_t_become_settings() -> None:
    # Kubernetes would set GALAXYTREE_PORT for a Service of that name.
    assert POD["enableServiceLinks"] is False


def test_probes_ask_what_they_are_for() -> None:
    asked = {name: CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/health/ready", "liveness": "/health/live", "readiness": "/health/ready"}
    (port,) = CONTAINER["ports"]
    assert port == {"name": "http", "containerPort": Settings.model_fields["port"].default}


def test_full_pods_stay_in_the_service_to_say_429() -> None:
    # What 1 means is held in tests/app/test_drain.py.
    assert {"name": "GALAXYTREE_READY_SHARE", "value": "1"} in CONTAINER["env"]
    assert "ready_share" in Settings.model_fields
    assert CONTAINER["readinessProbe"]["failureThreshold"] > 1
    assert not any(
        each["name"] == "GALAXYTREE_READY_SHARE" for variant in VARIANTS for each in container_of(variant)["env"]
    )


def test_pods_are_given_the_time_that_their_end_may_take() -> None:
    settings = Settings.model_fields
    longest = sum(
        settings[each].default for each in ("drain_seconds", "body_timeout_seconds", "request_timeout_seconds")
    )
    waits = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] >= waits + longest + 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_are_as_many_workers_as_cpus_are_asked_for(variant: str) -> None:
    container = container_of(variant)
    settings = {each["name"]: each["value"] for each in container["env"]}
    assert settings["GALAXYTREE_WORKERS"] == container["resources"]["requests"]["cpu"]
    assert settings["GALAXYTREE_DEVICE"] == {"cpu": "cpu", "gpu": "cuda"}[variant]
    names = {f"GALAXYTREE_{name.upper()}" for name in Settings.model_fields}
    assert settings.keys() <= names


def test_only_the_gpu_s_variant_asks_for_one() -> None:
    limits = {variant: container_of(variant)["resources"]["limits"] for variant in VARIANTS}
    assert limits["gpu"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in limits["cpu"]


METRICS = BASE["HorizontalPodAutoscaler"]["spec"]["metrics"]
TARGETS = {each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"] for each in METRICS}


def adapter_rules() -> dict[str, str]:
    """Return the queries of the rules for prometheus-adapter that the docs have, by the metric that each makes."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (shown,) = re.findall(r"<!-- rules for prometheus-adapter -->\n```yaml\n(.*?)```", page, re.DOTALL)
    found = {}
    for rule in yaml.safe_load(shown)["rules"]:
        series = rule["seriesQuery"].partition("{")[0]
        query = rule["metricsQuery"].replace("<<.Series>>", series).replace("<<.GroupBy>>", "pod")
        found[rule.get("name", {}).get("as", series)] = query.replace("<<.LabelMatchers>>", 'namespace="sky"')
    return found


def test_it_grows_with_the_age_of_the_queue_and_with_its_share_that_is_in_use() -> None:
    assert {each["type"] for each in METRICS} == {"Pods"}
    assert set(TARGETS) == {"galaxytree_queue_age_seconds", "galaxytree_queue_share"} == set(adapter_rules())


def test_a_flood_of_a_fast_pod_reaches_a_target_and_its_rest_reaches_none(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    limit = Settings.model_fields["queue_images"].default
    series = {
        # As many as there may be, of which a pod scores a thousand a second.
        "flooded": {"queue_images": limit, "queue_images_limit": limit, "queue_age_seconds": limit / 1000},
        # Thirty clients that wait for their answers, and one burst that is over soon.
        "rests": {"queue_images": f"30x8 {limit} 30x21", "queue_images_limit": limit, "queue_age_seconds": 0.03},
    }
    told = [
        {
            "series": f'galaxytree_{name}{{namespace="sky", pod="{pod}"}}',
            "values": value if isinstance(value, str) else f"{value}x30",
        }
        for pod, numbers in series.items()
        for name, value in numbers.items()
    ]
    over = " or ".join(
        f"{query} > {int(TARGETS[name].removesuffix('m')) / 1000}" for name, query in adapter_rules().items()
    )
    asked = [
        {
            "expr": f"count by (pod) ({over})",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": '{pod="flooded"}', "value": 1}],
        }
        for minute in range(1, 8)
    ]
    test = {
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": told, "promql_expr_test": asked}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), "utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_comes_in_beyond_the_port() -> None:
    policy = BASE["NetworkPolicy"]["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]


def test_only_names_are_asked_for_within_the_cluster_and_only_web_ports_outside() -> None:
    names, images = BASE["NetworkPolicy"]["spec"]["egress"]
    assert {each["port"] for each in names["ports"]} == {53}
    assert all("podSelector" in each and "namespaceSelector" in each for each in names["to"])
    assert {(each["protocol"], each["port"]) for each in images["ports"]} == {("TCP", 80), ("TCP", 443)}
    assert all(each.keys() == {"ipBlock"} for each in images["to"])


def test_the_addresses_that_are_let_out_to_are_those_that_the_service_calls_public() -> None:
    _, images = BASE["NetworkPolicy"]["spec"]["egress"]
    four, six = (each["ipBlock"] for each in images["to"])
    assert {*map(ipaddress.ip_network, four["except"])} == set(addresses._SPECIAL_V4)
    assert {*map(ipaddress.ip_network, six["except"])} == set(addresses._SPECIAL_V6)
    assert ipaddress.ip_network(six["cidr"]) == addresses.GLOBAL_UNICAST
    for block in (four, six):
        for each in map(ipaddress.ip_network, block["except"]):
            # As Kubernetes has it: what is left out must lie within.
            assert each.subnet_of(ipaddress.ip_network(block["cidr"]))  # type: ignore[arg-type]
