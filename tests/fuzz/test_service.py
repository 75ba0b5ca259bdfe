"""The same inputs over a socket: a service answers each with what it documents, and is none the worse for it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import strategies as st

from tests.fuzz import test_decoder, test_forms, test_lines
from tests.fuzz.mutations import fuzz, nearly
from tests.galaxies import jpeg
from tests.servers import Process, children, serving

DOCUMENTED = {
    "/classify": {(200, None), (413, "payload_too_large"), (415, "unsupported_media_type"), (422, "invalid_request"),
                  (422, "undecodable_image"), (422, "too_many_pixels")},
    "/classify/batch": {(200, None), (413, "payload_too_large"), (415, "unsupported_media_type"),
                        (422, "invalid_request")},
}  # fmt: skip
images = nearly([*test_decoder.JPEGS, *test_decoder.PNGS], [*test_decoder.MARKERS, *test_decoder.CHUNKS])
IMAGE = st.sampled_from([b"image/jpeg", b"image/png", b"application/octet-stream"])

Request = tuple[str, bytes, bytes]
requests: st.SearchStrategy[Request] = st.one_of(
    st.tuples(st.just("/classify"), IMAGE, images),
    st.tuples(st.just("/classify"), test_forms.kinds, nearly(test_forms.FORMS, test_forms.TOKENS)),
    st.tuples(st.just("/classify/batch"), test_forms.kinds, nearly(test_forms.BATCHES, test_forms.TOKENS)),
    st.tuples(
        st.just("/classify/batch"), st.just(b"application/x-ndjson"), nearly(test_lines.LINES, test_lines.TOKENS)
    ),
    st.tuples(
        st.just("/classify/batch"), st.just(b"application/json"), nearly(test_lines.DOCUMENTS, test_lines.TOKENS)
    ),
)


@pytest.fixture(scope="module")
def fuzzed(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(
        tmp_path_factory.mktemp("fuzzed") / "log",
        model=str(model_folder),
        max_image_bytes=str(test_forms.MOST_BYTES * 20),
        max_image_pixels=str(test_decoder.MAX_PIXELS),
        # Nothing is looked up, or fetched, of what comes out.
        fetch_hosts="127.0.0.1:9",
    ) as process:
        yield process


def test_a_service_answers_as_documented(fuzzed: Process) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", fuzzed.port, timeout=60)
    good, workers = jpeg(size=60), children(fuzzed.popen.pid)

    def ask(path: str, kind: bytes, body: bytes) -> tuple[int, bytes]:
        # What no header can hold is a matter of the client's own.
        said = "".join(letter for letter in kind.decode("latin-1") if ord(letter) >= 32 and ord(letter) != 127)
        connection.request("POST", path, body, {"Content-Type": said})
        answer = connection.getresponse()
        return answer.status, answer.read()

    before = ask("/classify", b"image/jpeg", good)
    assert before[0] == 200

    def is_answered(request: Request) -> None:
        path = request[0]
        status, body = ask(*request)
        lines = status == 200 and path.endswith("batch")
        code = None if status == 200 else orjson.loads(body)["code"]
        assert (status, code) in DOCUMENTED[path]
        if lines:
            for line in body.splitlines():
                orjson.loads(line)

    fuzz("requests to a service", requests, is_answered, 0.25)
    assert ask("/classify", b"image/jpeg", good) == before
    connection.close()
    assert fuzzed.popen.poll() is None
    # None of its workers has died of anything.
    assert children(fuzzed.popen.pid) == workers
    assert "Traceback" not in fuzzed.log
