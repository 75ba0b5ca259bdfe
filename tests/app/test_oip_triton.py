"""Open Inference Protocol, as Triton's own client speaks it."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from gevent import monkey
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from galaxytree.decision_tree import load_tree
from galaxytree.imaging import decode
from tests.galaxies import jpeg, png
from tests.servers import Process, serving
from tests.tiny_model import FRAMING, write_model

COLUMNS = load_tree("galaxy-zoo-2").columns
OUTPUTS = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
IMAGES = [jpeg(1, 90), png(2, 60), jpeg(3, 200)]
SIZE = FRAMING.size


@pytest.fixture(scope="module")
def oip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("oip")
    model = write_model(folder / "tiny", outputs=OUTPUTS)
    with serving(folder / "log", model=str(model), workers="2", max_image_bytes="50000") as process:
        yield process


@pytest.fixture
def client(oip: Process) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{oip.port}", network_timeout=60, connection_timeout=60) as one:
        yield one


def classified(oip: Process, image: bytes, **params: Any) -> dict[str, Any]:  # noqa: ANN401 (what a query holds)
    answer = httpx.post(f"{oip.url}/classify", content=image, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def as_elements(images: list[bytes], *shape: int) -> NDArray[np.object_]:
    tensor = np.empty(len(images), np.object_)
    tensor[:] = images
    return tensor.reshape(shape or (len(images),))


def given(tensor: NDArray[Any], datatype: str, *, binary: bool = True) -> list[triton.InferInput]:
    one = triton.InferInput("images", list(tensor.shape), datatype)
    one.set_data_from_numpy(tensor, binary_data=binary)
    return [one]


def asked(*names: str, binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def hold(oip: Process, result: triton.InferResult, images: list[bytes], **params: Any) -> None:  # noqa: ANN401
    """Hold an answer against those of ``POST /classify``."""
    wanted = [classified(oip, image, **params) for image in images]
    for name in OUTPUTS:
        found = result.as_numpy(name)
        assert found.dtype == np.float32
        rows = [[*each[name].values()] if isinstance(each[name], dict) else each[name] for each in wanted]
        np.testing.assert_allclose(found, rows, rtol=0, atol=1e-6, strict=False)
        assert found.shape == np.shape(rows)


def test_the_client_leaves_the_rest_of_this_process_alone() -> None:
    assert not any(monkey.is_module_patched(name) for name in ("socket", "ssl", "threading", "time", "select"))


def test_the_server_says_what_it_is(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "galaxytree"
    assert metadata["extensions"] == ["binary_tensor_data"]
    assert metadata["version"]


@pytest.mark.parametrize("version", ["", "2026.11.1"])
def test_the_model_says_what_it_takes(client: triton.InferenceServerClient, version: str) -> None:
    assert client.is_model_ready("tiny", version)
    metadata = client.get_model_metadata("tiny", version)
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("tiny", ["2026.11.1"], "onnxruntime_onnx")
    assert metadata["inputs"] == [
        {"name": "images", "datatype": "BYTES", "shape": [-1]},
        {"name": "images", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]},
    ]
    shapes = {"out_of_domain": [-1]}
    assert metadata["outputs"] == [
        {"name": name, "datatype": "FP32", "shape": shapes.get(name, [-1, len(COLUMNS)])} for name in OUTPUTS
    ]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_images_in_binary(oip: Process, client: triton.InferenceServerClient, shape: tuple[int, ...]) -> None:
    result = client.infer("tiny", given(as_elements(IMAGES, *shape), "BYTES"), request_id="night 7")
    hold(oip, result, IMAGES)
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("night 7", "tiny", "2026.11.1")
    assert [output["name"] for output in response["outputs"]] == list(OUTPUTS)
    assert all("data" not in output for output in response["outputs"])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_images_in_json(oip: Process, client: triton.InferenceServerClient, shape: tuple[int, ...]) -> None:
    tensor = as_elements([base64.b64encode(image) for image in IMAGES], *shape)
    result = client.infer("tiny", given(tensor, "BYTES", binary=False), outputs=asked(*OUTPUTS, binary=False))
    hold(oip, result, IMAGES)
    # As they are written there they are the same to the last digit.
    wanted = [value for image in IMAGES for value in classified(oip, image)["scores"].values()]
    assert result.get_output("scores")["data"] == wanted
    assert "id" not in result.get_response()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("views", [1, 8])
def test_pixels(oip: Process, client: triton.InferenceServerClient, binary: bool, views: int) -> None:  # noqa: FBT001
    pixels = np.stack([FRAMING.frame(decode(image)) for image in (png(4, 99), png(5, 99))])
    result = client.infer("tiny", given(pixels, "UINT8", binary=binary), parameters={"views": views})
    if views == 1:
        hold(oip, result, [png(4, 99), png(5, 99)])
    else:
        # Their views are those of what came: the same for each way that it lies.
        other = client.infer("tiny", given(np.rot90(pixels, axes=(1, 2)).copy(), "UINT8"), parameters={"views": 8})
        for name in OUTPUTS:
            np.testing.assert_allclose(result.as_numpy(name), other.as_numpy(name), atol=1e-6)
        alone = client.infer("tiny", given(pixels, "UINT8"))
        assert np.abs(result.as_numpy("scores") - alone.as_numpy("scores")).max() > 0.01


def test_a_picture_s_views_are_those_of_classify(oip: Process, client: triton.InferenceServerClient) -> None:
    result = client.infer("tiny", given(as_elements(IMAGES), "BYTES"), parameters={"views": 8})
    hold(oip, result, IMAGES, views=8)


def test_some_outputs_each_in_its_way(oip: Process, client: triton.InferenceServerClient) -> None:
    outputs = [*asked("out_of_domain", binary=True), *asked("scores", binary=False)]
    result = client.infer("tiny", given(as_elements(IMAGES[:1]), "BYTES"), outputs=outputs)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["out_of_domain", "scores"]
    assert "data" not in result.get_output("out_of_domain")
    wanted = classified(oip, IMAGES[0])
    assert result.as_numpy("out_of_domain") == pytest.approx([wanted["out_of_domain"]], abs=1e-6)
    assert result.get_output("scores")["data"] == [*wanted["scores"].values()]
    assert result.as_numpy("uncertainty") is None


@pytest.mark.parametrize("priority", [0, 1, 2, 100])
def test_priorities_are_taken(oip: Process, client: triton.InferenceServerClient, priority: int) -> None:
    image = given(as_elements(IMAGES[:1]), "BYTES")
    hold(oip, client.infer("tiny", image, priority=priority, timeout=10**7), IMAGES[:1])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_packed_bodies(oip: Process, client: triton.InferenceServerClient, coding: str) -> None:
    pixels = np.zeros((20, SIZE, SIZE, 3), np.uint8)
    plain = client.infer("tiny", given(pixels, "UINT8"))
    ways: dict[str, Any] = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
    packed = client.infer("tiny", given(pixels, "UINT8"), **ways)
    np.testing.assert_array_equal(packed.as_numpy("scores"), plain.as_numpy("scores"))
    hold(oip, client.infer("tiny", given(as_elements(IMAGES), "BYTES"), **ways), IMAGES)


def test_several_at_a_time(oip: Process) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{oip.port}", concurrency=4, network_timeout=60) as client:
        waiting = [
            client.async_infer("tiny", given(as_elements([image] * 5), "BYTES"), request_id=str(place))
            for place, image in enumerate(IMAGES * 3)
        ]
        for place, (one, image) in enumerate(zip(waiting, IMAGES * 3, strict=True)):
            result = one.get_result()
            assert result.get_response()["id"] == str(place)
            hold(oip, result, [image] * 5)


def refused(client: triton.InferenceServerClient, *args: Any, **how: Any) -> tuple[str, str]:  # noqa: ANN401
    with pytest.raises(InferenceServerException) as error:
        client.infer(*args, **how)
    return error.value.status(), error.value.message()


def test_what_can_t_be_done_is_told(client: triton.InferenceServerClient) -> None:
    image = given(as_elements(IMAGES[:1]), "BYTES")
    assert refused(client, "none", image) == ("404", "There is no model 'none' here; there is: default.")
    assert refused(client, "tiny", image, "7")[0] == "404"
    assert not client.is_model_ready("none")
    with pytest.raises(InferenceServerException, match="There is no model 'none'"):
        client.get_model_metadata("none")
    with pytest.raises(InferenceServerException, match="There is nothing at this path"):
        client.get_model_config("tiny")
    status, said = refused(client, "tiny", image, outputs=asked("votes", binary=True))
    assert (status, said) == ("400", f"outputs.0: 'votes' isn't given; there is {', '.join(OUTPUTS)}.")
    classes = [triton.InferRequestedOutput("scores", class_count=3)]
    assert refused(client, "tiny", image, outputs=classes)[0] == "400"
    shared = triton.InferInput("images", [1], "BYTES")
    shared.set_shared_memory("region", 10)
    assert refused(client, "tiny", [shared])[0] == "400"
    assert refused(client, "tiny", given(np.zeros((1, 5, 5, 3), np.uint8), "UINT8"))[0] == "400"
    assert refused(client, "tiny", image, parameters={"views": 2})[0] == "400"


def test_a_bad_image_fails_the_request_and_is_named(oip: Process, client: triton.InferenceServerClient) -> None:
    for bad, status, word in [
        (IMAGES[0][:-9], "422", "damaged or cut off"),
        (b"", "422", "there are no bytes"),
        (b"GIF89a", "415", "GIF"),
        (bytes(60_000), "413", "more than 50000 bytes"),
    ]:
        for images in ([IMAGES[0], IMAGES[1], bad, IMAGES[2]], [IMAGES[0], IMAGES[1], bad, b"no image either"]):
            found, said = refused(client, "tiny", given(as_elements(images), "BYTES"))
            assert found == status
            assert said.startswith("images[2]: ")
            assert word in said
    hold(oip, client.infer("tiny", given(as_elements(IMAGES), "BYTES")), IMAGES)
