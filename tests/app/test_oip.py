"""Open Inference Protocol over raw HTTP: what is wrong is told, bounded, and costs nobody else anything."""

import base64
import gzip
import hashlib
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.devices import Device
from app.lifecycle import State
from app.loading import load_model
from app.model import Model
from app.model_folder import ModelFolder
from app.oip.inferring import most_json
from app.settings import Settings
from app.starting import Start
from tests.app.callers import bearer, entry
from tests.galaxies import jpeg, png
from tests.hostile.peers import Answer, peer
from tests.scraping import Scrape
from tests.servers import Held, Threaded, threaded, wait_for
from tests.tiny_model import FRAMING

PATH = "/v2/models/tiny/infer"
HEAD = "Inference-Header-Content-Length"
IMAGE = png(1, 40)
SIZE = FRAMING.size
PIXELS = SIZE * SIZE * 3
KEY = "open sesame"
MOST_IMAGE_BYTES = 40_000

# Each request has a connection of its own: services come and go.
HTTP = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def settings(folder: Path, **fields: object) -> Settings:
    return Settings.model_validate(
        {"model": folder, "device": "cpu", "drain_seconds": 0, "max_batch": 8, "workers": 1, **fields}
    )


@pytest.fixture(scope="module")
def one(model_folder: Path) -> Iterator[Threaded]:
    limits = {"max_image_bytes": MOST_IMAGE_BYTES, "infer_bytes": 300_000, "body_timeout_seconds": 1.5}
    with threaded(settings(model_folder, queue_images=24, bulk_share=0.5, **limits), Held()) as service:
        yield service


def elements(*images: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(image)) + image for image in images)


def an_input(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 (whatever a client may write)
    return {"name": "images", "datatype": "BYTES", "shape": [1], **fields}


def in_base64(*images: bytes, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    return an_input(shape=[len(images)], data=[base64.b64encode(image).decode() for image in images], **fields)


def framed(request: object, behind: bytes, head: int | None = None) -> tuple[bytes, dict[str, str]]:
    text = orjson.dumps(request)
    return text + behind, {HEAD: str(len(text) if head is None else head)}


def binary(behind: bytes, size: object = None, **fields: Any) -> tuple[bytes, dict[str, str]]:  # noqa: ANN401 (as above)
    parameters = {"binary_data_size": len(behind) if size is None else size}
    return framed({"inputs": [an_input(parameters=parameters, **fields)]}, behind)


def post(service: Threaded, body: bytes | object, headers: dict[str, str] | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return HTTP.post(f"{service.url}{PATH}", content=content, headers=headers)


def said(answer: httpx.Response | Answer, status: int, code: str) -> str:
    """Hold an answer against how errors are told in this protocol; return its sentence."""
    found, content = (
        (answer.status, answer.body) if isinstance(answer, Answer) else (answer.status_code, answer.content)
    )
    assert found == status, content
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, str] = orjson.loads(content)
    assert set(told) == {"error", "code"}
    assert told["code"] == code
    if status in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 0
    return told["error"]


def is_well(service: Threaded) -> None:
    answer = post(service, {"inputs": [in_base64(IMAGE)]})
    assert answer.status_code == 200, answer.text
    (scores,) = answer.json()["outputs"]
    wanted = HTTP.post(f"{service.url}/classify", content=IMAGE).json()["scores"]
    assert scores["data"] == [*wanted.values()]
    # Of one who has just been answered the place may still be being given back.
    wait_for(lambda: (service.admission.images, service.admission.bytes) == (0, 0), "all that was held to be free")


WHOLE = elements(IMAGE)
BROKEN_BINARY = {
    "more said than there is": binary(WHOLE, len(WHOLE) + 1),
    "less said than there is": binary(WHOLE, len(WHOLE) - 1),
    "nothing said to be there": binary(WHOLE, 0),
    "negative size": binary(WHOLE, -1),
    "a size beyond 64 bits": binary(WHOLE, 2.0**70),
    "a size that is no number": binary(WHOLE, "12"),
    "a size that is true": binary(WHOLE, True),  # noqa: FBT003 (that is what is sent)
    "no element": binary(b""),
    "half a length": binary(b"\x01\x00"),
    "an element of 4 GiB": binary(b"\xff\xff\xff\xff" + IMAGE),
    "a negative length": binary(b"\x00\x00\x00\x80" + IMAGE),
    "a length that is one too many": binary(struct.pack("<I", len(IMAGE) + 1) + IMAGE),
    "a length that is one too few": binary(struct.pack("<I", len(IMAGE) - 1) + IMAGE),
    "one more element": binary(elements(IMAGE, IMAGE)),
    "one less element": binary(WHOLE, shape=[2]),
    "a negative shape": binary(WHOLE, shape=[-1]),
    "a shape of none": binary(b"", shape=[0]),
    "no shape": binary(WHOLE, shape=[]),
    "a shape that is true": binary(WHOLE, shape=[True]),
    "another shape": binary(WHOLE, shape=[1, 1, 1]),
    "a shape of very many axes": binary(WHOLE, shape=[1] * 1000),
    "pixels that are too few": binary(bytes(PIXELS - 1), datatype="UINT8", shape=[1, SIZE, SIZE, 3]),
    "pixels that are too many": binary(bytes(PIXELS + 1), datatype="UINT8", shape=[1, SIZE, SIZE, 3]),
    "pixels of another size": binary(bytes(PIXELS), datatype="UINT8", shape=[1, 3, SIZE, SIZE]),
    "another datatype": binary(bytes(4 * PIXELS), datatype="FP32", shape=[1, SIZE, SIZE, 3]),
    "another name": binary(WHOLE, name="pixels"),
    "data twice": binary(WHOLE, data=["AAAA"]),
    "no header": (binary(WHOLE)[0], {}),
    "a header that is too long": (binary(WHOLE)[0], {HEAD: "1000000"}),
    "a header that is one too few": framed({"inputs": []}, b"", len(orjson.dumps({"inputs": []})) - 1),
    **{f"a header of {value!r}": (binary(WHOLE)[0], {HEAD: value}) for value in ("-1", "ten", "1e3", "9" * 400, "")},
}


@pytest.mark.parametrize("broken", BROKEN_BINARY.values(), ids=BROKEN_BINARY)
def test_binary_data_that_is_not_as_it_says(one: Threaded, broken: tuple[bytes, dict[str, str]]) -> None:
    assert len(said(post(one, *broken), 400, "invalid_request")) < 600
    is_well(one)


def test_two_headers_that_say_how_long_the_json_is(one: Threaded) -> None:
    body, headers = binary(WHOLE)
    with peer(one.port) as client:
        client.post(f"Content-Length: {len(body)}", f"{HEAD}: {headers[HEAD]}", f"{HEAD}: 0", path=PATH)
        client.say(body)
        said(client.answer(), 400, "invalid_request")
    is_well(one)


def request_of(**fields: Any) -> bytes:  # noqa: ANN401 (whatever a client may write)
    return orjson.dumps({"inputs": [in_base64(IMAGE)], **fields})


def inputs_of(**fields: Any) -> bytes:  # noqa: ANN401 (as above)
    return orjson.dumps({"inputs": [an_input(**fields)]})


def pixels_of(data: object) -> bytes:
    return inputs_of(datatype="UINT8", shape=[1, SIZE, SIZE, 3], data=data)


ROW = [[0, 0, 0]] * SIZE
BROKEN_JSON = {
    "nothing": b"",
    "no JSON": b"\xff\xd8\xff",
    "cut off": request_of()[:-1],
    "more behind it": request_of() + b"{}",
    "no UTF-8": b'{"inputs": "\xff"}',
    "very deep": b'{"inputs":' + b"[" * 100_000,
    "null": b"null",
    "a list": b"[]",
    "no inputs": b"{}",
    "none of inputs": request_of(inputs=[]),
    "two inputs": request_of(inputs=[in_base64(IMAGE), in_base64(IMAGE)]),
    "an input that is none": request_of(inputs=[7]),
    "no data": inputs_of(),
    "data that is no list": inputs_of(data="AAAA"),
    "too little data": inputs_of(data=[]),
    "too much data": inputs_of(data=["AAAA", "AAAA"]),
    "data that is nested too deep": inputs_of(data=[["AAAA"]]),
    "data that is no text": inputs_of(data=[7]),
    "data that is no base64": inputs_of(data=["?"]),
    "base64 in lines": inputs_of(data=["AA\nAA"]),
    "base64 without its end": inputs_of(data=["AAA"]),
    "text of another alphabet": inputs_of(data=["\uff21" * 4]),
    "too few numbers": pixels_of([0] * (PIXELS - 1)),
    "a number below": pixels_of([0] * (PIXELS - 1) + [-1]),
    "a number above": pixels_of([0] * (PIXELS - 1) + [256]),
    "a number far above": b"%b" % pixels_of([0] * (PIXELS - 1) + [7]).replace(b",7]", b",1" + b"0" * 60 + b"]"),
    "a broken number": pixels_of([0] * (PIXELS - 1) + [0.5]),
    "no number": pixels_of([0] * (PIXELS - 1) + ["0"]),
    "no numbers": pixels_of([None] * PIXELS),
    "rows of two lengths": pixels_of([[*[ROW] * (SIZE - 1), ROW[1:]]]),
    "rows that are none": pixels_of([[*[ROW] * (SIZE - 1), 7]]),
    "rows that are nested too little": pixels_of([ROW * SIZE]),
    "an output that isn't given": request_of(outputs=[{"name": "uncertainty"}]),
    "an output twice": request_of(outputs=[{"name": "scores"}, {"name": "scores"}]),
    "an output as classes": request_of(outputs=[{"name": "scores", "parameters": {"classification": 3}}]),
    "a flag that is none": request_of(outputs=[{"name": "scores", "parameters": {"binary_data": "yes"}}]),
    "an id that is a number": request_of(id=7),
    "an id that is long": request_of(id="7" * 257),
    "another number of views": request_of(parameters={"views": 2}),
    "another priority": request_of(parameters={"priority": "now"}),
    "a negative priority": request_of(parameters={"priority": -1}),
}


@pytest.mark.parametrize("broken", BROKEN_JSON.values(), ids=BROKEN_JSON)
def test_json_that_is_not_as_it_should_be(one: Threaded, broken: bytes) -> None:
    assert len(said(post(one, broken), 400, "invalid_request")) < 600
    is_well(one)


def test_what_is_null_is_not_there(one: Threaded) -> None:
    tensor = {**in_base64(IMAGE), "parameters": None}
    asked = {"id": None, "inputs": [tensor], "outputs": None, "parameters": {"views": None, "of": "others"}}
    answer = post(one, asked)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"model_name", "model_version", "outputs"}


def test_pixels_in_json_nested_or_not(one: Threaded) -> None:
    values = [place % 251 for place in range(PIXELS)]
    rows = [[values[at : at + 3] for at in range(start, start + 3 * SIZE, 3)] for start in range(0, PIXELS, 3 * SIZE)]
    flat, nested = post(one, pixels_of(values)), post(one, pixels_of([rows]))
    packed = post(one, *binary(bytes(values), datatype="UINT8", shape=[1, SIZE, SIZE, 3]))
    assert flat.json() == nested.json() == packed.json()


def test_one_image_and_nothing_else(one: Threaded) -> None:
    answer = post(one, IMAGE, {HEAD: "0"})
    assert answer.json() == post(one, {"inputs": [in_base64(IMAGE)]}).json()
    assert said(post(one, b"", {HEAD: "0"}), 422, "undecodable_image").startswith("images[0]: ")


def test_an_answer_in_binary_says_how_long_its_json_is(one: Threaded) -> None:
    answer = post(one, {"inputs": [in_base64(IMAGE, IMAGE)], "parameters": {"binary_data_output": True}})
    assert answer.headers["content-type"] == "application/octet-stream"
    head = int(answer.headers[HEAD])
    (scores,) = orjson.loads(answer.content[:head])["outputs"]
    assert scores == {
        "name": "scores",
        "datatype": "FP32",
        "shape": [2, 37],
        "parameters": {"binary_data_size": 2 * 37 * 4},
    }
    assert len(answer.content) == head + 2 * 37 * 4
    plain = post(one, {"inputs": [in_base64(IMAGE, IMAGE)]})
    assert HEAD not in plain.headers
    assert "decode;dur=" in plain.headers["server-timing"]
    values = struct.unpack("<74f", answer.content[head:])
    assert values == pytest.approx(plain.json()["outputs"][0]["data"], abs=1e-7)


def test_too_many_bytes_are_not_read(one: Threaded) -> None:
    with peer(one.port) as client:
        client.post("Content-Length: 300001", f"{HEAD}: 10", path=PATH)
        assert "300000 bytes" in said(client.answer(), 413, "payload_too_large")
    with peer(one.port) as client:
        client.post("Transfer-Encoding: chunked", f"{HEAD}: 10", path=PATH)
        for _ in range(31):
            client.chunk(bytes(10_000))
        said(client.answer(), 413, "payload_too_large")
    # As JSON there may be as many as one image needs, in whichever way it is said to be JSON.
    long = request_of() + b" " * 130_000
    said(post(one, long), 413, "payload_too_large")
    said(post(one, long, {HEAD: str(len(long))}), 413, "payload_too_large")
    assert said(post(one, inputs_of(data=["A" * 60_000])), 413, "payload_too_large").startswith("images[0]: ")
    is_well(one)


@pytest.mark.parametrize("value", [b"0", b"[]", b'{"":0}'])
def test_json_that_takes_long_to_read_is_not_read(model_folder: Path, value: bytes) -> None:
    with threaded(settings(model_folder)) as service:
        body = inputs_of(data=[]).replace(b"[]", b"[" + b",".join([value] * 400_001) + b"]")
        assert len(body) < most_json(Settings())
        assert "400000 values" in said(post(service, body), 413, "payload_too_large")


@pytest.mark.parametrize("field", ["inputs", "outputs", "shape"])
@pytest.mark.parametrize("value", [b"0.5", b"{}"])
def test_of_very_many_that_are_wrong_some_are_looked_at(one: Threaded, field: str, value: bytes) -> None:
    whole = inputs_of(shape=0) if field == "shape" else request_of(**{field: 0})
    many = b"[" + b",".join([value] * 20_000) + b"]"
    body = whole.replace(b'"%b":0' % field.encode(), b'"%b":%b' % (field.encode(), many))
    # Each that is told takes a while, in which everybody waits.
    assert " more" not in said(post(one, body), 400, "invalid_request")


def test_more_images_than_there_is_ever_room_for(one: Threaded) -> None:
    assert "at most 24" in said(post(one, *binary(elements(*[b""] * 25), shape=[25])), 413, "payload_too_large")
    for shape in ([2**62], [2**64 - 1, 1]):
        said(post(one, *binary(WHOLE, shape=shape)), 413, "payload_too_large")
        pixels = binary(bytes(PIXELS), datatype="UINT8", shape=[shape[0], SIZE, SIZE, 3])
        said(post(one, *pixels), 413, "payload_too_large")
    eight = {"inputs": [in_base64(*[IMAGE] * 4)], "parameters": {"views": 8}}
    assert "at most 3" in said(post(one, eight), 413, "payload_too_large")
    assert post(one, {"inputs": [in_base64(*[IMAGE] * 24)]}).status_code == 200
    is_well(one)


def packed(data: bytes, coding: str) -> bytes:
    return gzip.compress(data) if coding == "gzip" else zlib.compress(data)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_packed_is_bounded_unpacked(one: Threaded, coding: str) -> None:
    how = {"Content-Encoding": coding}
    assert post(one, packed(request_of(), coding), how).status_code == 200
    bomb = packed(bytes(20_000_000), coding)
    assert len(bomb) < 50_000
    said(post(one, bomb, {**how, HEAD: "10"}), 413, "payload_too_large")
    for damaged in (
        packed(request_of(), coding)[:-1],
        packed(request_of(), coding) + b"x",
        packed(request_of(), coding)[3:],
        request_of(),
        b"",
    ):
        assert "Content-Encoding" in said(post(one, damaged, how), 400, "invalid_request")
    is_well(one)


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "gzip;"])
def test_what_is_packed_in_another_way(one: Threaded, coding: str) -> None:
    said(post(one, request_of(), {"Content-Encoding": coding}), 415, "unsupported_media_type")
    assert post(one, request_of(), {"Content-Encoding": "Identity"}).status_code == 200


def test_a_body_that_stalls(one: Threaded) -> None:
    body, headers = binary(WHOLE)
    with peer(one.port) as client:
        client.post(f"Content-Length: {len(body)}", f"{HEAD}: {headers[HEAD]}", path=PATH)
        client.say(body[:-1])
        said(client.answer(), 408, "body_timeout")
    is_well(one)


def test_who_goes_in_the_middle_of_a_body_is_forgotten(one: Threaded) -> None:
    body, headers = binary(WHOLE)
    for sent in (0, 10, len(body) - 1):
        with peer(one.port) as client:
            client.post(f"Content-Length: {len(body)}", f"{HEAD}: {headers[HEAD]}", path=PATH)
            client.say(body[:sent])
    is_well(one)


def test_images_go_together_and_are_counted_once_a_view(one: Threaded) -> None:
    one.model.batches.clear()
    one.model.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(post, one, {"inputs": [in_base64(IMAGE)]})
            assert one.model.entered.wait(60)
            wait_for(lambda: one.model.batches, "the first run")
            second = pool.submit(
                post, one, {"inputs": [in_base64(IMAGE, IMAGE)], "parameters": {"views": 8, "priority": "bulk"}}
            )
            # It is more than the part that bulk requests get, and so let in only where nobody else is.
            said(second.result(), 429, "overloaded")
            third = pool.submit(post, one, {"inputs": [in_base64(*[IMAGE] * 23)]})
            wait_for(lambda: one.admission.images == 24, "as many as there is room for")
            answer = HTTP.post(f"{one.url}{PATH}", content=request_of())
            assert "queue_images" in said(answer, 429, "overloaded")
            said(HTTP.get(f"{one.url}/v2/health/ready"), 503, "not_ready")
            said(HTTP.get(f"{one.url}/v2/models/tiny/ready"), 503, "not_ready")
        finally:
            one.model.gate.set()
        assert first.result().status_code == third.result().status_code == 200
    assert max(one.model.batches) > 1
    is_well(one)


def test_who_goes_is_scored_no_more(one: Threaded) -> None:
    one.model.batches.clear()
    one.model.gate.clear()
    before = Scrape.at(one.url)
    body, headers = binary(elements(*[IMAGE] * 20), shape=[20])
    try:
        with peer(one.port) as client:
            client.post(f"Content-Length: {len(body)}", f"{HEAD}: {headers[HEAD]}", path=PATH)
            client.say(body)
            wait_for(lambda: one.admission.images == 20, "all of them to be let in")
            wait_for(lambda: one.model.batches, "the first run")
        wait_for(lambda: one.admission.images == 0, "their places to be free")
        now = Scrape.at(one.url).since(before)
        assert now.by("galaxytree_images_total", "way", "outcome") == {("infer", "cut_off"): 20}
    finally:
        one.model.gate.set()
    is_well(one)
    # None but those of the run that was on, and the two that it was just asked for.
    assert sum(one.model.batches) <= 8 + 2


def test_a_run_that_fails_says_nothing_of_its_insides(one: Threaded) -> None:
    one.model.failing = True
    try:
        answer = post(one, {"inputs": [in_base64(IMAGE, IMAGE)]})
    finally:
        one.model.failing = False
    assert "secret" not in said(answer, 500, "internal_error")
    is_well(one)


def test_what_there_isn_t_is_told_in_the_same_words(one: Threaded) -> None:
    for path in ("/v2/", "/v2/models", "/v2/models/tiny/config", "/v2/repository/index", "/v2/models/a%2Fb/infer"):
        said(HTTP.get(f"{one.url}{path}"), 404, "not_found")
    for path in ("/v2/models/other", "/v2/models/tiny/versions/1", "/v2/models/tiny/versions/1/ready"):
        said(HTTP.get(f"{one.url}{path}"), 404, "unknown_model")
    said(HTTP.post(f"{one.url}/v2/models/other/infer", content=request_of()), 404, "unknown_model")
    answer = HTTP.get(f"{one.url}{PATH}")
    said(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    # Elsewhere it is as it was.
    assert HTTP.get(f"{one.url}/v2x").headers["content-type"] == "application/problem+json"


def test_while_it_starts(model_folder: Path) -> None:
    gate = threading.Event()

    def load_late(folder: ModelFolder, device: Device, start: Start) -> Model:
        assert gate.wait(60)
        return load_model(folder, device, start)

    with threaded(settings(model_folder), load_late, ready=False) as service:
        try:
            assert HTTP.get(f"{service.url}/v2/health/live").json() == {"live": True}
            for path in ("/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny"):
                said(HTTP.get(f"{service.url}{path}"), 503, "not_ready")
            said(post(service, request_of()), 503, "not_ready")
        finally:
            gate.set()
        wait_for(lambda: HTTP.get(f"{service.url}/v2/health/ready").is_success, "it to be ready")
        assert HTTP.get(f"{service.url}/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}
        service.lifecycle.state = State.DRAINING
        said(HTTP.get(f"{service.url}/v2/health/ready"), 503, "not_ready")
        assert post(service, request_of()).status_code == 200


def test_images_are_counted_by_what_became_of_them(one: Threaded) -> None:
    before = Scrape.at(one.url)
    assert post(one, {"inputs": [in_base64(IMAGE, IMAGE)]}).status_code == 200
    said(post(one, {"inputs": [in_base64(IMAGE, b"none", IMAGE)]}), 422, "undecodable_image")
    said(post(one, b"no request"), 400, "invalid_request")
    now = Scrape.at(one.url).since(before).by("galaxytree_images_total", "way", "outcome")
    assert now == {("infer", "scored"): 2, ("infer", "undecodable_image"): 3}


def test_a_key_is_asked_for(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n')
    with threaded(settings(model_folder, api_keys_file=keys)) as service:
        answer = post(service, request_of())
        said(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert post(service, request_of(), {"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert HTTP.get(f"{service.url}/v2/health/ready").status_code == 200


def test_images_of_a_day_are_counted_once_or_not_at_all(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("a", KEY, "images_per_day = 5"))
    headers = bearer(KEY)
    with threaded(settings(model_folder, api_keys_file=keys)) as service:
        for count, status, left in ((3, 200, 2), (3, 429, 2), (1, 200, 1), (1, 200, 0), (1, 429, 0)):
            answer = post(service, {"inputs": [in_base64(*[IMAGE] * count)]}, headers)
            assert answer.status_code == status
            # Each header is there once.
            assert answer.headers["ratelimit-policy"] == '"images";q=5;w=86400;qu="images"'
            assert answer.headers["ratelimit"].startswith(f'"images";r={left};t=')
            assert answer.headers["ratelimit"].count("images") == 1


def test_answers_that_come_too_late(model_folder: Path) -> None:
    with threaded(settings(model_folder, request_timeout_seconds=0.2), Held()) as service:
        service.model.gate.clear()
        try:
            said(post(service, {"inputs": [in_base64(jpeg(), jpeg(1))]}), 503, "deadline_exceeded")
        finally:
            service.model.gate.set()
