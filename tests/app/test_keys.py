"""API keys: who is let in and to what, files of keys that are refused, and keys that change."""

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import galaxytree.client
from app.access import Access
from app.errors import UnauthorizedError
from app.keys import ApiKeys
from app.keys_file import KeysFile
from app.refusals import KeysRefusedError
from app.settings import Settings
from galaxytree.client import Client
from tests.app.callers import bearer, entry, write_keys
from tests.galaxies import jpeg
from tests.scraping import Scrape
from tests.servers import Process, Threaded, refusal, serving, threaded, wait_for

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
    assert keys.check(b"b").key.name == "page"
    with pytest.raises(UnauthorizedError):
        keys.check(b"c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"names no API keys: .* write `keys = \[\]` if nobody is to have one"),
        ("# half a file\n", r"write `keys = \[\]`"),
        ("key = []", r"write `keys = \[\]`"),
        ('[[keys]]\nname = "a"\nsha256 = "a"', "key 'a', sha256: a checksum is the SHA-256 of a key, 64 digits"),
        ('[[keys]]\nname = "a"\nsha256 = []', "key 'a', sha256: a checksum is"),
        ('[[keys]]\nname = "a"', r"\(key 'a', sha256: Field required\)"),
        (entry("b", "1") + entry("a", "2", 'scopes = ["batch", "root"]'), r"\(key 'a', scopes: Input should be 'class"),
        (entry("b", "1") + '[[keys]]\nsha256 = "a"', r"\(key number 2, name: Field required\)"),
        ('keys = ["open sesame"]', r"\(key number 1: Input"),
        ("keys = 5", r"\(keys: Input should be"),
        ("not TOML", "no TOML"),
        (entry("a", "1") + entry("a", "2"), "name 'a' is there more than once"),
        (entry("a", "1") + entry("b", "1"), "a sha256 of 'a' is there more than once, the second time for 'b'"),
        (entry("a", "1", "scopes = []"), "key 'a', scopes: "),
        (entry("a", "1", 'scopes = ["root"]'), "key 'a', scopes: Input should be 'classify', "),
        (entry("a", "1", "burst = 2"), r"\(key 'a': burst needs requests_per_second\)"),
        (entry("a", "1", "requests_per_second = nan"), "key 'a', requests_per_second: "),
        (entry("a", "1", "images_per_day = 0"), "key 'a', images_per_day: "),
        (
            entry("a", "1", "images_per_dya = 5"),
            "key 'a', images_per_dya: there is no such word, but requests_per_second, ",
        ),
        (entry("a\\nb", "1"), r"\(key number 1, name: .*can be printed"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysRefusedError, match=says) as refused:
        ApiKeys.read(path)
    # Neither what may be a key by mistake, nor a checksum, from which one that somebody thought up could be guessed.
    assert "sesame" not in str(refused.value)
    assert not re.search("[0-9a-f]{12}", str(refused.value))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeysRefusedError, match="No such file"):
        ApiKeys.read(tmp_path / "keys.toml")


def test_a_key_that_was_written_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[[keys]]\nname = "a"\nsha256 = "open sesame"')
    with pytest.raises(KeysRefusedError) as refused:
        ApiKeys.read(path)
    assert "sesame" not in str(refused.value)


def test_two_keys_of_one_caller_are_valid_while_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    both = [hashlib.sha256(key).hexdigest() for key in (b"old", b"new")]
    path.write_text(f'[[keys]]\nname = "survey"\nsha256 = {both}')
    keys = ApiKeys.read(path)
    assert [keys.check(key).key.name for key in (b"old", b"new")] == ["survey", "survey"]


def test_keys_are_required_where_that_is_set(model_folder: Path) -> None:
    assert "require_keys" in refusal(model=str(model_folder), require_keys="1")


def test_with_keys_those_that_are_required_are_there(model_folder: Path, tmp_path: Path) -> None:
    path = write_keys(tmp_path, survey="s3cret")
    settings = Settings(model=model_folder, device="cpu", api_keys_file=path, require_keys=True)
    assert ApiKeys.of(settings) == ApiKeys.read(path)


# Which key, which call, what comes of it.
SCOPED = {
    "one": 'scopes = ["classify"]',
    "many": 'scopes = ["batch"]',
    "chief": 'scopes = ["admin"]',
    "watcher": 'scopes = ["metrics"]',
}
CALLS = {
    "classify": ("/classify", {"one"}),
    "batch": ("/classify/batch", {"many"}),
    "reload": ("/admin/reload", {"chief"}),
    "metrics": ("/metrics", {"chief", "watcher"}),
}


@pytest.fixture(scope="module")
def scoped(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    path = tmp_path_factory.mktemp("scoped") / "keys.toml"
    path.write_text("".join(entry(name, f"key of {name}", said) for name, said in SCOPED.items()))
    with threaded(Settings(model=model_folder, device="cpu", api_keys_file=path, max_batch=2, workers=1)) as one:
        yield one


# What a client may write behind a path that is there; routes match past the first of them.
@pytest.mark.parametrize("behind", ["", "%0a", "%0A%0a"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", SCOPED)
def test_a_key_is_for_its_scopes_and_nothing_else(scoped: Threaded, name: str, call: str, behind: str) -> None:
    path, may = CALLS[call]
    said: dict[str, object] = {"json": {"urls": ["nonsense"]}} if call == "batch" else {"content": jpeg()}
    answer = httpx.request(
        "GET" if call == "metrics" else "POST",
        scoped.url + path + behind,
        headers=bearer(f"key of {name}"),
        **said,  # type: ignore[arg-type]
    )
    if name in may:
        # It was let in, whether or not there is such a route.
        assert answer.status_code in {200, 404}
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "This key is for" in answer.json()["detail"]
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_who_may_not_send_a_large_image_in_pieces_either(scoped: Threaded) -> None:
    pieces = (bytes(50_000) for _ in range(4))
    answer = httpx.post(f"{scoped.url}/classify", content=pieces, headers=bearer("key of chief"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_python_is_told_that_its_key_is_not_for_this(scoped: Threaded) -> None:
    with (
        Client(scoped.url, api_key="key of chief") as client,
        pytest.raises(galaxytree.client.RequestRefusedError, match="This key is for admin"),
    ):
        client.classify(jpeg())


def test_without_keys_nobody_is_an_administrator(http: httpx.Client) -> None:
    answer = http.post("/admin/reload")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "api_keys_file" in answer.json()["detail"]


@pytest.mark.parametrize(("public", "status"), [(True, 404), (False, 401)])
def test_what_is_measured_is_public_where_that_is_set(
    model_folder: Path, tmp_path: Path, *, public: bool, status: int
) -> None:
    path = write_keys(tmp_path, survey="a")
    settings = Settings(model=model_folder, device="cpu", workers=1, api_keys_file=path, public_metrics=public)
    with threaded(settings, ready=False) as one:
        assert httpx.get(f"{one.url}/metrics").status_code in {status, 200 if public else 401}


class Changing:
    """A service whose file of keys is changed."""

    def __init__(self, process: Process, path: Path) -> None:
        self.process = process
        self.path = path

    def lets_in(self, key: str) -> bool:
        answer = httpx.post(f"{self.process.url}/classify", content=jpeg(), headers=bearer(key))
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    def waits_for(self, said: str) -> None:
        wait_for(lambda: said in self.process.log, f"the service to say {said!r}")


@pytest.fixture
def changing(model_folder: Path, tmp_path: Path) -> Iterator[Changing]:
    path = write_keys(tmp_path, survey="first")
    log = tmp_path / "log"
    with serving(log, model=str(model_folder), api_keys_file=str(path), workers="1") as process:
        yield Changing(process, path)


def test_keys_change_while_the_service_runs(changing: Changing, tmp_path: Path) -> None:
    assert changing.lets_in("first")
    # As it is to be done: the new file takes the place of the old one.
    other = tmp_path / "other"
    other.mkdir()
    write_keys(other, survey="second", page="third").replace(changing.path)
    changing.waits_for("API keys read again, 2 valid (new: page; changed: survey)")
    assert (changing.lets_in("first"), changing.lets_in("second"), changing.lets_in("third")) == (False, True, True)
    # In its place works as well.
    changing.path.write_text(entry("page", "third"))
    changing.waits_for("1 valid (gone: survey)")
    assert (changing.lets_in("second"), changing.lets_in("third")) == (False, True)
    assert "second" not in changing.process.log


def test_a_file_that_makes_no_sense_changes_nothing(changing: Changing) -> None:
    changing.path.write_text("half a fi")
    changing.waits_for("no TOML")
    assert changing.lets_in("first")
    changing.path.unlink()
    changing.waits_for("are not there any more")
    assert changing.lets_in("first")
    changing.path.write_text(entry("survey", "again"))
    changing.waits_for("API keys read again")
    assert (changing.lets_in("first"), changing.lets_in("again")) == (False, True)
    # It was said once each, however often it was looked.
    assert changing.process.log.count("the keys from before stay") == 1
    assert changing.process.log.count("are not there any more") == 1


def test_the_last_key_is_taken_back(changing: Changing) -> None:
    changing.path.write_text("keys = []\n")
    changing.waits_for("API keys read again, 0 valid (gone: survey)")
    assert not changing.lets_in("first")
    # It isn't open then: who shows no key isn't let in either.
    for path in ("/classify", "/classify/batch", "/admin/reload", "/nowhere"):
        assert httpx.post(changing.process.url + path, content=b"").json()["code"] == "unauthorized"
    changing.path.write_text(entry("survey", "again"))
    changing.waits_for("1 valid (new: survey)")
    assert changing.lets_in("again")


def test_what_is_measured_says_whether_the_file_is_what_is_valid(model_folder: Path, tmp_path: Path) -> None:
    path = write_keys(tmp_path, survey="first", page="second")
    settings = {"model": str(model_folder), "api_keys_file": str(path), "public_metrics": "1", "workers": "1"}
    with serving(tmp_path / "log", **settings) as process:

        def told() -> tuple[float | None, ...]:
            samples = Scrape.at(process.url).samples
            return tuple(samples.get((f"galaxytree_api_keys{more}", frozenset())) for more in ("", "_file_ok"))

        assert told() == (2, 1)
        path.write_text("half a fi")
        wait_for(lambda: told() == (2, 0), "it to be told that the file makes no sense")
        path.write_text(entry("survey", "first"))
        wait_for(lambda: told() == (1, 1), "it to be told that it makes sense again")
        path.unlink()
        wait_for(lambda: told() == (1, 0), "it to be told that the file is gone")
        path.write_text("keys = []")
        wait_for(lambda: told() == (0, 1), "it to be told that nobody has a key")


def test_without_keys_nothing_is_told_of_them(http: httpx.Client) -> None:
    names = {name for name, _ in Scrape.of(http.get("/metrics").text).samples}
    assert not {"galaxytree_api_keys", "galaxytree_api_keys_file_ok"} & names


def test_it_starts_without_any_key_where_that_is_said(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("keys = []")
    settings = {"model": str(model_folder), "api_keys_file": str(path), "require_keys": "1", "workers": "1"}
    with serving(tmp_path / "log", **settings) as process:
        assert "API keys read, 0 valid" in process.log
        assert httpx.get(f"{process.url}/model").status_code == 200
        for headers in ({}, bearer("first")):
            assert httpx.post(f"{process.url}/classify", content=jpeg(), headers=headers).status_code == 401


def test_how_many_keys_there_are_is_said_at_the_start(changing: Changing) -> None:
    assert f"INFO app.service [-] API keys read, 1 valid ({changing.path})" in changing.process.log


def test_a_file_that_cannot_be_looked_at_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_keys(tmp_path, survey="a")
    access = Access(ApiKeys.read(path))
    file = KeysFile(path, access, seconds=0.001)

    async def look() -> None:
        watching = asyncio.create_task(file.watch())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", lambda *_, **__: 1 / 0)
            await asyncio.to_thread(wait_for, lambda: "can't be looked at" in caplog.text, "it to be said")
        assert access.keys == ApiKeys.read(path)
        assert not file.is_valid
        # Afterwards it is looked at as before.
        write_keys(tmp_path, survey="b")
        await asyncio.to_thread(wait_for, lambda: access.keys == ApiKeys.read(path), "the new keys")
        await asyncio.to_thread(wait_for, lambda: file.is_valid, "it to be valid")
        watching.cancel()

    asyncio.run(asyncio.wait_for(look(), 60))


def test_a_file_on_a_disk_that_hangs_is_not_what_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keys(tmp_path, survey="a")
    file, hangs, look_at = KeysFile(path, Access(ApiKeys.read(path)), seconds=0.001), threading.Event(), KeysFile._look
    monkeypatch.setattr("app.keys_file.HANGS_SECONDS", 0.2)
    monkeypatch.setattr(KeysFile, "_look", lambda self: (hangs.wait(60), look_at(self))[1])

    async def look() -> None:
        watching = asyncio.create_task(file.watch())
        await asyncio.to_thread(wait_for, lambda: not file.is_valid, "it to be told")
        hangs.set()
        await asyncio.to_thread(wait_for, lambda: file.is_valid, "it to be looked at again")
        watching.cancel()

    asyncio.run(look())


def test_a_file_that_was_settled_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keys(tmp_path, survey="a")
    os.utime(path, (1, 1))
    access, read, looks = Access(ApiKeys.read(path)), [], []
    file, look_at = KeysFile(path, access, seconds=0.001), KeysFile._look
    monkeypatch.setattr(KeysFile, "_look", lambda self: (look_at(self), looks.append(1))[0])
    monkeypatch.setattr(Path, "read_text", lambda *_: read.append(1) or entry("survey", "a"))

    async def look() -> None:
        watching = asyncio.create_task(file.watch())
        await asyncio.to_thread(wait_for, lambda: len(looks) > 3, "it to be looked at some times")
        watching.cancel()

    asyncio.run(look())
    assert read == [1]
