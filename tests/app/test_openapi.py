"""The description of the interface, held against the running service by Schemathesis."""

import hashlib
from collections.abc import Iterator

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

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
READING = ["/decision-tree", "/model", "/health/live", "/health/ready"]


# Schemathesis sends what the description allows, and what it forbids, and holds the answers against it.
@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *(("POST", path, mode) for path in ("/classify", "/classify/batch") for mode in (POSITIVE, NEGATIVE)),
        *(("GET", path, POSITIVE) for path in READING),
    ],
)
def test_the_service_does_as_it_says(described: Process, method: str, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_url(f"{described.url}/openapi.json")[path][method]

    @settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def hold(case: schemathesis.Case) -> None:
        # Parameters that the description doesn't know are ignored, as on the web at large.
        excluded = [negative_data_rejection]
        if case.media_type == "multipart/form-data":
            # A form with any bytes as its file is right by the description, and still no image.
            excluded.append(positive_data_acceptance)
        case.call_and_validate(headers=AUTHORISED, excluded_checks=excluded)

    hold()


def test_every_error_of_a_route_is_described(described: Process) -> None:
    openapi = httpx.get(f"{described.url}/openapi.json").json()
    responses = openapi["paths"]["/classify"]["post"]["responses"]
    assert set(responses) == {"200", "401", "408", "413", "415", "422", "429", "500", "503"}
    for status, response in responses.items():
        if status != "200":
            assert set(response["content"]) == {"application/problem+json"}
    codes = set(responses["422"]["content"]["application/problem+json"]["examples"])
    assert codes == {"invalid_request", "not_explainable", "undecodable_image", "too_many_pixels"}
    parameters = {each["name"]: each for each in openapi["paths"]["/classify"]["post"]["parameters"]}
    assert parameters["views"]["schema"]["enum"] == [1, 8]
    assert not parameters["views"]["required"]
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
    assert set(operation["responses"]) == {"200", "401", "408", "413", "415", "422", "429", "500", "503"}
    kinds = {"application/json", "application/x-ndjson"}
    assert set(operation["responses"]["200"]["content"]) == kinds
    assert set(operation["requestBody"]["content"]) == kinds | {"multipart/form-data"}
    parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert parameters["priority"]["default"] == "bulk"
    assert {"BatchAnswer", "BatchResult", "BatchItem"} <= set(openapi["components"]["schemas"])
