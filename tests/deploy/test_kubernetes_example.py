"""The example of a whole deployment with keys: that it fits Kubernetes, and that the service would run as it says."""

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from app.keys import ApiKeys
from app.settings import Settings
from tests.app.callers import bearer, write_keys
from tests.galaxies import jpeg
from tests.servers import serving, wait_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes" / "example"
SETTINGS = (FOLDER / "settings.env").read_text("utf-8")
VERSION = "1.37"
NAMESPACE = "galaxytree"


def settings_in(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(GALAXYTREE_[A-Z_]+)=(.*)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """Return what kubectl makes of the folder, by kind."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed here; make deploy-check brings it")
    done = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def test_it_fits_the_schemas_and_is_in_one_namespace(made: dict[str, Any]) -> None:
    assert {"Namespace", "Secret", "ConfigMap", "Deployment", "Service", "NetworkPolicy"} <= set(made)
    for kind, document in made.items():
        kubernetes_validate.validate(document, VERSION, strict=True)
        metadata = document["metadata"]
        assert metadata["name" if kind == "Namespace" else "namespace"] == NAMESPACE


def test_the_image_is_from_a_registry_and_what_the_base_has_is_still_there(made: dict[str, Any]) -> None:
    pod = made["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert re.fullmatch(r"[a-z.]+\.[a-z]+/galaxytree:cpu-[0-9.]+", container["image"])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {each["name"] for each in pod["volumes"]} == {"tmp", "keys"}
    names = {each["name"] for each in container["env"]}
    assert {"GALAXYTREE_DEVICE", "GALAXYTREE_WORKERS", "GALAXYTREE_READY_SHARE"} < names


def test_the_service_is_set_to_the_file_that_the_secret_holds(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = made["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == made["ConfigMap"]["metadata"]["name"]
    variables = made["ConfigMap"]["data"] | {each["name"]: each["value"] for each in container["env"]}
    folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    secret = made["Secret"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "keys"]
    # By this very name: with a checksum behind it other keys would mean other pods.
    assert volume["secret"]["secretName"] == secret["metadata"]["name"] == "galaxytree-keys"
    folder, _, file = variables["GALAXYTREE_API_KEYS_FILE"].rpartition("/")
    assert folder == folders["keys"]
    here = tmp_path / file
    here.write_bytes(base64.b64decode(secret["data"][file]))
    for name, value in {**variables, "GALAXYTREE_API_KEYS_FILE": str(here)}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    keys = ApiKeys.of(settings)
    assert keys is not None
    assert settings.require_keys
    assert [key.scopes for key in keys.keys if key.name == "Prometheus"] == [frozenset({"metrics"})]


def test_no_file_is_mounted_by_itself() -> None:
    patch = yaml.safe_load((FOLDER / "deployment.yaml").read_text("utf-8"))
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert not any("subPath" in each for each in container["volumeMounts"])


def test_settings_that_wait_to_be_set_make_sense_and_none_is_set_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = settings_in(SETTINGS.replace("\n# GALAXYTREE", "\nGALAXYTREE"))
    assert {"GALAXYTREE_TRUSTED_PROXIES", "GALAXYTREE_HOSTS"} <= set(waiting)
    for name, value in waiting.items():
        assert name.removeprefix("GALAXYTREE_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    assert Settings().trusted_proxies == waiting["GALAXYTREE_TRUSTED_PROXIES"]


def test_keys_in_a_folder_that_is_renewed_as_kubernetes_does_are_read(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()

    def lay(moment: str, key: str) -> None:
        # Files are links into ..data, which is a link itself, and moved.
        (folder / moment).mkdir()
        write_keys(folder / moment, survey=key)
        (folder / "..new").symlink_to(moment)
        (folder / "..new").replace(folder / "..data")

    lay("..2026_11_28", "first")
    (folder / "keys.toml").symlink_to("..data/keys.toml")
    settings = {"model": str(model_folder), "workers": "1", "require_keys": "1"}
    with serving(tmp_path / "log", api_keys_file=str(folder / "keys.toml"), **settings) as process:

        def status(key: str) -> int:
            return httpx.post(f"{process.url}/classify", content=jpeg(), headers=bearer(key)).status_code

        assert (status("first"), status("second")) == (200, 401)
        lay("..2026_11_29", "second")
        wait_for(lambda: "API keys read again" in process.log, "the keys to be read again")
        assert (status("first"), status("second")) == (401, 200)


def test_the_job_for_prometheus_is_prometheus_s(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    told = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    (job,) = told["scrape_configs"]
    # A promtool may be built without Kubernetes' discovery; and the file with the key is where Prometheus runs.
    assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(told), "utf-8")
    command = [promtool, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_either_way_for_prometheus_is_to_the_port_and_the_namespace_of_the_pods() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert job["authorization"]["credentials_file"]
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [NAMESPACE]
    # By these prometheus-adapter knows the pods.
    assert {"namespace", "pod"} <= {each.get("target_label") for each in job["relabel_configs"]}
    monitor = yaml.safe_load((FOLDER / "podmonitor.yaml").read_text("utf-8"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    base = yaml.safe_load((FOLDER.parent / "base" / "deployment.yaml").read_text("utf-8"))
    pod = base["spec"]["template"]
    assert monitor["metadata"]["namespace"] == NAMESPACE
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert endpoint["port"] == pod["spec"]["containers"][0]["ports"][0]["name"]
    keep = next(each for each in job["relabel_configs"] if each.get("action") == "keep")
    assert keep["regex"] == f"{pod['metadata']['labels']['app.kubernetes.io/name']};{endpoint['port']}"
