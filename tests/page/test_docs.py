"""``GET /docs`` in a browser: the description of all routes, to read and to try, with nothing from another host."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.app.callers import write_keys
from tests.galaxies import jpeg
from tests.page.browsing import Watched
from tests.servers import serving


def test_a_route_is_read_and_tried(watched: Watched) -> None:
    page = watched.open("/docs")
    for route in ("/classify", "/classify/batch", "/v2/models/{model}/infer", "/metrics"):
        expect(page.locator(f'[data-path="{route}"]')).to_be_visible()
    live = page.locator(".opblock", has=page.locator('[data-path="/health/live"]')).first
    live.locator(".opblock-summary-control").click()
    live.get_by_role("button", name="Try it out").click()
    live.get_by_role("button", name="Execute").click()
    expect(live.locator(".live-responses-table .response .response-col_status")).to_have_text("200")


def test_a_galaxy_is_classified_with_a_key(browser: Browser, model_folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "galaxy.jpg"
    picture.write_bytes(jpeg())
    keys = {"api_keys_file": str(write_keys(tmp_path, survey="open sesame")), "page": "0"}
    with serving(tmp_path / "log", model=str(model_folder), workers="1", **keys) as process:
        watched = Watched(browser, process.url)
        # Where there is no page there is no icon of it either.
        watched.expect_status(404)
        page = watched.open("/docs")
        page.locator(".auth-wrapper button.authorize").click()
        page.locator(".auth-container input").fill("open sesame")
        page.locator(".auth-container button.authorize").click()
        page.locator(".auth-container button.btn-done").click()
        classify = page.locator(".opblock", has=page.locator('[data-path="/classify"]')).first
        classify.locator(".opblock-summary-control").click()
        classify.get_by_role("button", name="Try it out").click()
        classify.locator('input[type="file"]').set_input_files(picture)
        classify.get_by_role("button", name="Execute").click()
        expect(classify.locator(".live-responses-table .response .response-col_status")).to_have_text("200")
        watched.close()
