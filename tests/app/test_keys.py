"""API keys: who is let in, and files of keys that are refused."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import galaxytree.client
from app.errors import UnauthorizedError
from app.keys import ApiKeys
from app.refusals import KeysRefusedError
from app.settings import Settings
from galaxytree.client import Client
from tests.galaxies import jpeg
from tests.servers import Threaded, threaded


def write_keys(folder: Path, **keys: str) -> Path:
    path = folder / "keys.toml"
    entries = (
        f'[[keys]]\nname = "{name}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        for name, key in keys.items()
    )
    path.write_text("\n".join(entries))
    return path


# The last byte of "à" in UTF-8 is a space in Latin-1.
ODD_KEYS = {"umlaut": "schlüssel", "grave": "voilà"}


@pytest.fixture(scope="module")
def guarded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    path = write_keys(tmp_path_factory.mktemp("keys"), survey="open sesame", page="s3cret", **ODD_KEYS)
    with threaded(Settings(model=model_folder, device="cpu", api_keys_file=path, max_batch=2, workers=1)) as one:
        yield one


@pytest.mark.parametrize("key", ["open sesame", "s3cret"])
def test_a_key_lets_in(guarded: Threaded, key: str) -> None:
    answer = httpx.post(f"{guarded.url}/classify", content=jpeg(), headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


def test_a_batch_needs_a_key_too(guarded: Threaded) -> None:
    for key, status in (("open sesame", 200), ("open", 401)):
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{guarded.url}/classify/batch", json={"urls": ["nonsense"]}, headers=headers)
        assert answer.status_code == status
    assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize("key", ODD_KEYS.values())
def test_a_key_is_its_utf8_bytes(guarded: Threaded, key: str) -> None:
    headers = {b"Authorization": b"Bearer " + key.encode()}
    assert httpx.post(f"{guarded.url}/classify", content=jpeg(), headers=headers).status_code == 200
    with Client(guarded.url, api_key=key) as client:
        assert client.classify(jpeg()).scores
    with Client(guarded.url, api_key=key[:-1]) as client, pytest.raises(galaxytree.client.UnauthorizedError):
        client.classify(jpeg())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic czNjcmV0"},
        {"Authorization": "s3cret"},
        {"Authorization": b"Bearer \xe9\xff"},
    ],
)
def test_nobody_else_is_let_in(guarded: Threaded, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{guarded.url}/classify", content=jpeg(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


OPEN = ("/health/live", "/health/ready", "/decision-tree", "/model", "/docs")


@pytest.mark.parametrize("path", [*OPEN, "/", "/page/main.js", "/cutout?ra=1&dec=2"])
def test_the_rest_is_public(guarded: Threaded, path: str) -> None:
    assert httpx.get(guarded.url + path).is_success


def test_the_name_of_a_key(tmp_path: Path) -> None:
    keys = ApiKeys.read(write_keys(tmp_path, survey="a", page="b"))
    assert keys.check(b"b").name == "page"
    with pytest.raises(UnauthorizedError):
        keys.check(b"c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "keys: Field required"),
        ("keys = []", "keys: Tuple"),
        ('[[keys]]\nname = "a"\nsha256 = "a"', "keys.0.sha256"),
        ("not TOML", "no TOML"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysRefusedError, match=says):
        ApiKeys.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeysRefusedError, match="No such file"):
        ApiKeys.read(tmp_path / "keys.toml")
