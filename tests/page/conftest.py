"""What tests in a browser share: Chromium, and the service with the model that ships."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.galaxies import jpeg
from tests.image_host import ImageHost, image_host
from tests.page.browsing import CHROMIUM, Watched, be_patient, chromium
from tests.servers import Process, serving

PICTURES, BROKEN = 200, 5


@pytest.fixture(scope="session")
def images() -> Iterator[ImageHost]:
    """Have a host of images."""
    with image_host() as host:
        yield host


@pytest.fixture(scope="session")
def page_service(images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """``galaxytree serve`` with the model that ships."""
    with serving(tmp_path_factory.mktemp("page") / "log", fetch_hosts=images.hosts) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: see `chromium` why not for longer."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium)")
    be_patient()
    with chromium() as browser:
        yield browser


@pytest.fixture
def watched(browser: Browser, page_service: Process) -> Iterator[Watched]:
    """Open pages, and fail if one did what none may do."""
    watched = Watched(browser, page_service.url)
    yield watched
    watched.close()


@pytest.fixture
def api(page_service: Process) -> Iterator[httpx.Client]:
    """Ask the service itself."""
    with httpx.Client(base_url=page_service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two hundred pictures, five of which are broken, each in its own way."""
    folder = tmp_path_factory.mktemp("nights") / "night"
    folder.mkdir()
    for number in range(PICTURES - BROKEN):
        (folder / f"galaxy-{number:03}.jpg").write_bytes(jpeg(number, size=96))
    whole = jpeg(0, size=96)
    broken = [b"", b"This is a text.", whole[: len(whole) // 2], b"\xff\xd8\xff" + bytes(500), b"<html>404</html>"]
    for number, data in enumerate(broken):
        (folder / f"broken-{number}.jpg").write_bytes(data)
    return folder
