"""The page as it is served: its files and no others, their headers, and that they need nothing from elsewhere."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin

import httpx
import pytest

from app.page_files import FOLDER, read_page
from app.settings import Settings
from tests.hostile.peers import peer
from tests.servers import Process, threaded

ROOT = Path(__file__).parents[2]
FILES = read_page()
SERVED = ["/", "/favicon.ico", *(f"/page/{name}" for name in FILES if name != "index.html")]
MODULES = [name for name in FILES if name.endswith(".js")]
MOST_BYTES = 150_000
MOST_LINES = 300

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def test_the_root_is_the_page(http: httpx.Client) -> None:
    answer = http.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("path", SERVED)
def test_a_browser_is_told_to_load_nothing_from_elsewhere(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    parts = (part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split(";"))
    assert dict(parts) == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    # It asks each time whether a file is still the same.
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
        (".svg", "image/svg+xml"),
        (".jpg", "image/jpeg"),
    ],
)
def test_what_the_files_are(http: httpx.Client, suffix: str, media_type: str) -> None:
    names = [name for name in FILES if name.endswith(suffix)]
    assert names
    for name in names:
        answer = http.get(f"/page/{name}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.content == (FOLDER / name).read_bytes()


def test_the_icon_that_browsers_ask_for_by_themselves(http: httpx.Client) -> None:
    answer = http.get("/favicon.ico")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.content == (FOLDER / "icon.svg").read_bytes()


@pytest.mark.parametrize("path", SERVED)
def test_a_head_is_that_of_the_file(http: httpx.Client, path: str) -> None:
    whole, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Content-Security-Policy"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_what_a_browser_has_is_not_sent_again(http: httpx.Client, path: str, known: str) -> None:
    etag = http.get(path).headers["ETag"]
    for method in ("GET", "HEAD"):
        answer = http.request(method, path, headers={"If-None-Match": known.format(etag)})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "Content-Length" not in answer.headers
    # The connection goes on.
    assert http.get(path).content


@pytest.mark.parametrize("known", ["", '"other"', 'W/"other", "another"', "{}x"])
def test_what_has_changed_is_sent(http: httpx.Client, known: str) -> None:
    etag = http.get("/").headers["ETag"]
    answer = http.get("/", headers={"If-None-Match": known.format(etag)})
    assert (answer.status_code, answer.headers["ETag"]) == (200, etag)


def test_each_file_has_a_tag_of_its_own() -> None:
    assert len({file.etag for file in FILES.values()}) == len(FILES)


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/.",
        "/page/index.html",
        "/page/nothing.js",
        "/page/MAIN.js",
        "/page/main.js/",
        "/page//main.js",
        "/page/./main.js",
        "/page/examples",
        "/page/examples/",
        "/page/examples/../main.js",
        "/page/../main.py",
        "/page/../settings.py",
        "/page/..%2fsettings.py",
        "/page/%2e%2e/settings.py",
        "/page/%2e%2e%2fsettings.py",
        "/page/%252e%252e/settings.py",
        "/page/..%5csettings.py",
        "/page/..\\settings.py",
        "/page/..;/settings.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/file:///etc/passwd",
        "/page/" + "../" * 12 + "etc/passwd",
        "/page/" + "%2e%2e%2f" * 12 + "etc/passwd",
        "/page/main.js%00",
        "/page/%00",
        "/page/main.js%00.css",
        "/page/%c0%ae%c0%ae/settings.py",
        "/page/%ff",
        "/page/main.js::$DATA",
        "/page/" + "a" * 5000,
        "/page" + quote(str(FOLDER / "main.js")),
        "/../app/settings.py",
    ],
)
def test_no_path_leads_elsewhere(service: Process, path: str) -> None:
    with peer(service.port) as one:
        one.say(one.head("GET", path))
        answer = one.answer()
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json"), answer
    assert b"root:" not in answer.body
    assert b"Settings" not in answer.body


def test_only_files_of_a_page_are_read(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page"
    (page / "examples").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>")
    for name in ("main.js", "examples/spiral.jpg"):
        (page / name).write_bytes(b"x")
    for name in ("notes.txt", "main.js~", ".env", "main.js.map"):
        (page / name).write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.js").write_text("secret")
    (page / "linked.js").symlink_to(tmp_path / "elsewhere" / "secret.js")
    (page / "linked").symlink_to(tmp_path / "elsewhere")
    (page / "nowhere.js").symlink_to(tmp_path / "nowhere.js")
    (page / "folder.js").mkdir()
    files = read_page(page)
    assert set(files) == {"index.html", "main.js", "examples/spiral.jpg"}
    # What comes later isn't there until the service starts again.
    monkeypatch.setattr("app.main.read_page", lambda: files)
    with threaded(Settings(model=model_folder, device="cpu", workers=1)) as one:
        (page / "late.js").write_text("late")
        (page / "main.js").write_text("changed")
        for path, status in {"main.js": 200, "late.js": 404, "linked.js": 404, "linked/secret.js": 404}.items():
            answer = httpx.get(f"{one.url}/page/{path}")
            assert (answer.status_code, answer.content == b"x") == (status, status == 200)
        assert httpx.get(f"{one.url}/favicon.ico").status_code == 404


def test_without_a_page_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_page(tmp_path)


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_files_are_only_read(http: httpx.Client, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_the_page_is_no_part_of_the_interface(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert "/classify" in paths
    assert not [path for path in paths if path == "/" or path.startswith(("/page", "/favicon"))]


def test_a_service_without_its_page(model_folder: Path) -> None:
    with threaded(Settings(model=model_folder, device="cpu", workers=1, page=False)) as one:
        for path in ("/", "/page/main.js", "/favicon.ico"):
            answer = httpx.get(one.url + path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert httpx.get(f"{one.url}/model").is_success


# What the files hold.


class References(HTMLParser):
    """What a document asks a browser to load, what it links to, and what it would run or style by itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}={value}")
            elif tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in {"src", "href", "data", "poster", "action", "formaction", "background", "manifest", "ping"}:
                self.loaded.append(value or "")
            elif name in {"srcset", "imagesrcset"}:
                self.loaded += [each.split()[0] for each in (value or "").split(",")]
        if tag == "style":
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"} and data.strip():
            self.inline.append(data)

    def handle_endtag(self, _tag: str) -> None:
        self._within = ""


def text_of(name: str) -> str:
    return FILES[name].data.decode("utf-8")


def imports_of(name: str) -> Iterator[str]:
    """Name the modules that a module imports, at once or later, in comments as well."""
    for found in re.finditer(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""", text_of(name)):
        yield found[1]


INDEX = References(text_of("index.html"))


def is_there(where: str, target: str) -> bool:
    """Whether what a file refers to is a file of the page; the place of a file is as a browser sees it."""
    return urljoin(f"http://galaxytree{where}", target.partition("#")[0]) in {
        f"http://galaxytree/page/{name}" for name in FILES
    }


def test_the_page_is_small() -> None:
    assert sum(len(file.data) for file in FILES.values()) < MOST_BYTES


def test_everything_in_the_folder_is_served() -> None:
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert there == set(FILES)


def test_the_document_holds_no_script_and_no_style() -> None:
    assert INDEX.inline == []
    assert References("<p style='x' onclick='y'></p><script>z</script>").inline == ["p style=x", "p onclick=y", "z"]


def test_the_document_loads_files_of_the_page_and_nothing_else() -> None:
    assert len(INDEX.loaded) > 2
    assert [each for each in INDEX.loaded if not is_there("/", each)] == []


def test_the_document_leads_to_the_docs(http: httpx.Client) -> None:
    assert "docs" in {each.removeprefix("./").removeprefix("/") for each in INDEX.links}
    assert http.get("/docs").is_success


def test_the_docs_open_where_a_key_is_out_of_their_reach() -> None:
    # Their script is not written here, and a tab that is opened so has no storage of the page's.
    for_scripts = re.sub(r"<noscript>.*?</noscript>", "", text_of("index.html"))
    links = re.findall(r'<a [^>]*href="docs"[^>]*>', for_scripts)
    assert links
    assert all('target="_blank" rel="noopener"' in link for link in links)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".css", ".svg"))])
def test_styles_and_drawings_load_files_of_the_page_and_nothing_else(name: str) -> None:
    text = text_of(name)
    loaded = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)|(?:href|src)=["']([^"']+)""", text)
    targets = [target for found in loaded for target in found if target and not target.startswith(("#", "data:"))]
    assert [each for each in targets if not is_there(f"/page/{name}", each)] == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_modules_of_the_page_and_nothing_else(name: str) -> None:
    assert [each for each in imports_of(name) if not each.startswith("./")] == []
    assert [each for each in imports_of(name) if not is_there(f"/page/{name}", each)] == []


def test_imports_are_seen() -> None:
    assert [*imports_of("main.js")]


# Namespaces, which nobody loads.
NAMES = {"www.w3.org"}


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith((".jpg", ".png"))])
def test_no_other_host_is_named(name: str) -> None:
    text = text_of(name)
    for link in INDEX.links if name == "index.html" else ():
        # Where a reader may go, if they like.
        text = text.replace(f'href="{link}"', "")
    assert set(re.findall(r"(?:https?|wss?):?//([\w.-]+)", text)) <= NAMES


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small_and_run_no_text(name: str) -> None:
    assert len(text_of(name).splitlines()) <= MOST_LINES
    assert not re.search(r"\beval\(|new Function\(|\.innerHTML\b|\.outerHTML\b|insertAdjacentHTML", text_of(name))


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        for name, file in FILES.items():
            assert opened.read(f"app/page/{name}") == file.data
