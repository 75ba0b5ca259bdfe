"""A gallery while it fills: it slows down when it is asked to, and a thousand pictures leave it usable."""

import time
from itertools import count
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.galaxies import jpeg
from tests.page.browsing import Watched
from tests.page.looking import drop, problem


def test_several_files_that_are_dropped(watched: Watched, night: Path) -> None:
    page = watched.open()
    drop(page, *sorted(night.glob("galaxy-00*.jpg")))
    expect(page.locator("#gallery-grid [data-status=ok]")).to_have_count(10)
    expect(page.locator("#gallery-words")).to_have_text("10 of 10 scored")


def test_it_slows_down_when_it_is_asked_to(watched: Watched, night: Path) -> None:
    watched.expect_status(429)
    page = watched.open()
    tries, refused_at, next_at = count(), [0.0], [0.0]

    def full(route: Route) -> None:
        tried = next(tries)
        if tried == 8:
            refused_at[0] = time.monotonic()
            route.fulfill(**problem(429, "overloaded"), headers={"Retry-After": "2"})
            return
        if refused_at[0] and not next_at[0] and time.monotonic() - refused_at[0] > 1:
            next_at[0] = time.monotonic()
        route.continue_()

    page.route("**/classify*", full)
    drop(page, *sorted(night.glob("galaxy-*.jpg"))[:40])
    expect(page.locator("#gallery-words")).to_contain_text("The service is busy: going on in")
    expect(page.locator("#gallery-words")).to_have_text("40 of 40 scored")
    assert next(tries) == 41
    # All waited, not only the one that was refused.
    assert next_at[0] - refused_at[0] >= 2


def test_a_thousand_pictures_leave_it_usable(watched: Watched, tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number:04}.jpg").write_bytes(jpeg(number % 8, size=48) + number.to_bytes(4, "big"))
    page = watched.open()
    drop(page, tmp_path)
    expect(page.locator("#gallery-grid [data-status]")).to_have_count(1000)
    # While it fills, it sorts and it scrolls.
    page.locator("#gallery-sort").select_option("Class1.2")
    page.mouse.wheel(0, 4000)
    page.wait_for_function("scrollY > 1000")
    expect(page.locator("#gallery-progress")).not_to_have_js_property("value", 0)
    page.locator("#gallery-cancel").click()
    expect(page.locator("#gallery-words")).to_contain_text("cancelled")
    page.locator("#gallery-cancel").click()
    expect(page.locator("#gallery-words")).not_to_contain_text("cancelled")
