"""``GET /docs`` in a browser: the description of all routes, to read and to try, with nothing from another host."""

from playwright.sync_api import expect

from tests.page.browsing import Watched


def test_a_route_is_read_and_tried(watched: Watched) -> None:
    page = watched.open("/docs")
    for route in ("/classify", "/classify/batch", "/v2/models/{model}/infer", "/metrics"):
        expect(page.locator(f'[data-path="{route}"]')).to_be_visible()
    live = page.locator(".opblock", has=page.locator('[data-path="/health/live"]')).first
    live.locator(".opblock-summary-control").click()
    live.get_by_role("button", name="Try it out").click()
    live.get_by_role("button", name="Execute").click()
    expect(live.locator(".live-responses-table .response .response-col_status")).to_have_text("200")
