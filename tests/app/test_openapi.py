"""The description of the interface, held against the running service by Schemathesis."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.areas import scope_for
from app.main import create_app
from app.settings import Settings
from tests.galaxies import jpeg, png
from tests.servers import Process, serving
from tests.tiny_model import write_model

KEY = "for the test"
AUTHORISED = {"Authorization": f"Bearer {KEY}"}

schemathesis.openapi.media_type("image/jpeg", st.sampled_from([jpeg(size=40), jpeg(1, size=50)]))
schemathesis.openapi.media_type("image/png", st.sampled_from([png(size=20)]))


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("described")
    model_folder = write_model(folder / "tiny", outputs=("scores", "evidence"))
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    (folder / "keys.toml").write_text(f'[[keys]]\nname = "test"\nsha256 = "{digest}"\n')
    with serving(folder / "log", model=str(model_folder), api_keys_file=str(folder / "keys.toml")) as process:
        yield process


ANY_LINES = st.lists(st.builds(lambda id_, url: {"id": id_, "url": url}, st.text(max_size=9), st.text(max_size=40)))
schemathesis.openapi.media_type(
    "application/x-ndjson",
    ANY_LINES.filter(bool).map(lambda items: b"".join(orjson.dumps(item) + b"\n" for item in items)),
)

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
READING = [
    "/decision-tree",
    "/model",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
]
OF_A_MODEL = ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"]
INFER = [f"{path}/infer" for path in OF_A_MODEL]


# Schemathesis sends what the description allows, and what it forbids, and holds the answers against it.
@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *(("POST", path, mode) for path in ("/classify", "/classify/batch", *INFER) for mode in (POSITIVE, NEGATIVE)),
        *(("GET", path, POSITIVE) for path in READING),
        *(
            ("GET", f"{path}{end}", mode)
            for path in OF_A_MODEL
            for end in ("", "/ready")
            for mode in (POSITIVE, NEGATIVE)
        ),
        *(("GET", "/cutout", mode) for mode in (POSITIVE, NEGATIVE)),
    ],
)
def test_the_service_does_as_it_says(described: Process, method: str, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_url(f"{described.url}/openapi.json")[path][method]

    @chosen(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def hold(case: schemathesis.Case) -> None:
        # Parameters that the description doesn't know are ignored, as on the web at large.
        excluded = [negative_data_rejection]
        picture = (case.query or {}).get("picture")
        if case.media_type == "multipart/form-data" or picture or path in {"/cutout", *INFER}:
            # A form or a tensor with any bytes as its image is right by the description, and still has none; so is a
            # document of many items of which pictures are asked for, or a position that a survey doesn't reach.
            excluded.append(positive_data_acceptance)
        case.call_and_validate(headers=AUTHORISED, excluded_checks=excluded)

    hold()


def test_every_error_of_a_route_is_described(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    responses = openapi["paths"]["/classify"]["post"]["responses"]
    assert set(responses) == {"200", "401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503"}
    for status, response in responses.items():
        if status != "200":
            assert set(response["content"]) == {"application/problem+json"}
    codes = set(responses["422"]["content"]["application/problem+json"]["examples"])
    assert codes == {"invalid_request", "not_explainable", "undecodable_image", "too_many_pixels"}
    parameters = {each["name"]: each for each in openapi["paths"]["/classify"]["post"]["parameters"]}
    assert parameters["views"]["schema"]["enum"] == [1, 8]
    assert not parameters["views"]["required"]
    # By the name that is set, and by the one in its card.
    assert parameters["model"]["schema"]["enum"] == ["default", "tiny"]
    answer = openapi["components"]["schemas"]["Classification"]["properties"]
    assert all(answer[name]["description"] for name in ("views", "uncertainty", "uncertainty_95", "out_of_domain"))
    # Of galaxies, not of the volunteers who saw this one.
    assert "vote fraction (weighted as the scores are) for 68 % of galaxies" in answer["uncertainty"]["description"]
    assert "for 95 % of galaxies" in answer["uncertainty_95"]["description"]
    body = openapi["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert set(body) == {"image/jpeg", "image/png", "multipart/form-data"}


def test_batches_are_described(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    operation = openapi["paths"]["/classify/batch"]["post"]
    expected = {"200", "401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503"}
    assert set(operation["responses"]) == expected
    kinds = {"application/json", "application/x-ndjson"}
    assert set(operation["responses"]["200"]["content"]) == kinds
    assert set(operation["requestBody"]["content"]) == kinds | {"multipart/form-data"}
    parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert parameters["priority"]["default"] == "bulk"
    assert (parameters["picture"]["type"], parameters["picture"]["default"]) == ("boolean", False)
    result = openapi["components"]["schemas"]["BatchResult"]
    assert "picture=true" in result["properties"]["picture"]["description"]
    assert "picture" not in result["required"]
    assert {"BatchAnswer", "BatchResult", "BatchItem"} <= set(openapi["components"]["schemas"])


def test_open_inference_is_described(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    paths = {path for path in openapi["paths"] if path.startswith("/v2")}
    ready = [f"{path}/ready" for path in OF_A_MODEL]
    assert paths == {"/v2", "/v2/health/live", "/v2/health/ready", *OF_A_MODEL, *ready, *INFER}
    for path in INFER:
        operation = openapi["paths"][path]["post"]
        statuses = {"200", "400", "401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503"}
        assert set(operation["responses"]) == statuses
        for status in statuses - {"200"}:
            (said,) = operation["responses"][status]["content"].values()
            assert said["schema"] == {"$ref": "#/components/schemas/Failure"}
        kinds = {"application/json", "application/octet-stream"}
        assert set(operation["requestBody"]["content"]) == set(operation["responses"]["200"]["content"]) == kinds
        parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
        assert parameters["model"]["enum"] == ["default", "tiny"]
        assert parameters["Inference-Header-Content-Length"]["type"] == "integer"
        assert operation["security"]


def test_whatever_needs_a_key_is_described_so_and_nothing_else(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    scheme = openapi["components"]["securitySchemes"]["API key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    said = {
        (method.upper(), path): operation.get("security", [])
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    }
    needed = {each for each in said if scope_for(*each, public_metrics=False) is not None}
    assert said == {each: [{"API key": []}] if each in needed else [] for each in said}
    assert {("GET", "/metrics"), ("GET", "/v2"), ("POST", "/admin/reload"), ("POST", "/classify")} <= needed
    assert {("GET", "/models"), ("GET", "/health/ready"), ("GET", "/v2/health/ready")} <= set(said) - needed
    # And it is so, whatever stands in for the parts of a path that vary.
    for method, path in said:
        answer = httpx.request(method, described.url + path.replace("{", "").replace("}", ""))
        assert (answer.status_code == httpx.codes.UNAUTHORIZED) == ((method, path) in needed), (method, path)


def test_metrics_that_are_public_need_no_key_by_the_description(model_folder: Path) -> None:
    settings = Settings(model=model_folder, device="cpu", public_metrics=True, access_log="off")
    paths = create_app(settings).openapi()["paths"]
    assert "security" not in paths["/metrics"]["get"]
    assert paths["/v2"]["get"]["security"]


def test_cut_outs_are_described(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    operation = openapi["paths"]["/cutout"]["get"]
    assert set(operation["responses"]) == {"200", "421", "422"}
    assert set(operation["responses"]["422"]["content"]) == {"application/problem+json"}
    parameters = {each["name"]: each for each in operation["parameters"]}
    assert {name for name, each in parameters.items() if each["required"]} == {"ra", "dec"}
    assert parameters["survey"]["schema"]["enum"] == ["sdss", "legacy", "panstarrs", "hips"]
    assert "url" in openapi["components"]["schemas"]["Cutout"]["properties"]
