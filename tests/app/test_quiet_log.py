"""Strangers can't fill the log: of bad pictures and forms, however odd, its sender is told and nobody else."""

import httpx
import pytest

from tests.galaxies import encode
from tests.galaxies_with_exif import ANIMATIONS, ODD, PICTURE, TURNED, with_exif
from tests.servers import Process

ODD_PICTURES = [with_exif(form, tiff) for form in ("JPEG", "PNG") for tiff in (*ODD.values(), *TURNED.values())]
FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize("views", [1, 8])
def test_pictures_with_odd_exif_are_classified_and_nothing_is_logged(
    service: Process, http: httpx.Client, views: int
) -> None:
    before = service.log
    for picture in (*ODD_PICTURES, *ANIMATIONS.values()):
        answer = http.post(f"/classify?views={views}", content=picture)
        assert answer.status_code == 200, answer.text
        assert {answer.json()["image"]["width"], answer.json()["image"]["height"]} == {40, 60}
    assert service.log == before


@pytest.mark.parametrize(
    "body",
    [
        b"no form",
        b"--b\r\n\xff: 1\r\n\r\n",
        b"--b\r\nContent-Disposition\r\n\r\n",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\na\r\n--b!',
        b'--b\r\nContent-Disposition: form-data; name="%b"; filename="a"\r\n\r\na\r\n--b--\r\n' % (b"n" * 60_000),
        b'--b\r\nContent-Disposition: form-data; name="\0\xed\xa0\x80"; filename="\0\xff"\r\n\r\na\r\n--b--\r\n',
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
def test_malformed_forms_are_refused_and_nothing_is_logged(
    service: Process, http: httpx.Client, path: str, body: bytes
) -> None:
    before = service.log
    answer = http.post(path, content=body, headers={"Content-Type": FORM})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert service.log == before


def test_a_form_is_read_whatever_charset_it_is_said_to_be_in(http: httpx.Client) -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="\xff\u20ac\\d"\r\n\r\n'
    body = b"--b\r\n" + head.encode() + encode(PICTURE) + b"\r\n--b--\r\n"
    # Python has codecs of most of these names, which are for no text, or would warn of such a name of a file.
    for charset in ("utf-8", "ISO-8859-1", "us-ascii", "idna", "hex", "unicode_escape", "nonsense", "..", "\xff"):
        kind = f"{FORM}; charset={charset}".encode("latin-1")
        answer = http.post("/classify", content=body, headers={b"Content-Type": kind})
        assert answer.status_code == 200, (charset, answer.text)
