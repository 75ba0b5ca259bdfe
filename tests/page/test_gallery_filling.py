"""A gallery while it fills: it slows down when it is asked to, and a thousand pictures leave it usable."""

import re
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


def test_a_pause_that_was_asked_for_is_kept_when_one_is_tried_again(
    watched: Watched, night: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("No galaxy here.")
    watched.expect_status(429)
    page = watched.open()
    tries: list[Route] = []

    def full(route: Route) -> None:
        tries.append(route)
        route.fulfill(**problem(429, "overloaded"), headers={"Retry-After": "600"})

    page.route("**/classify*", full)
    drop(page, tmp_path / "notes.txt", night / "galaxy-000.jpg")
    words = page.locator("#gallery-words")
    expect(words).to_contain_text("The service is busy: going on in")
    page.locator("#gallery-grid [data-status=failed]").click()
    expect(page.locator("#gallery-grid [data-status=waiting]")).to_have_count(2)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(words).to_contain_text("The service is busy: going on in")
    assert len(tries) == 1


def test_what_fails_beside_a_gallery_leads_back_to_it(watched: Watched, night: Path) -> None:
    page = watched.open()
    drop(page, *sorted(night.glob("galaxy-00*.jpg")))
    expect(page.locator("#gallery-grid [data-status=ok]")).to_have_count(10)
    page.locator("#url").fill("https://elsewhere.example/galaxy.jpg")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("does not fetch")
    expect(page.locator("#gallery-grid")).to_be_visible()
    expect(page).to_have_title(re.compile("^Gallery"))


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
