"""A gallery while it fills: it slows down when it is asked to, and a thousand pictures leave it usable."""

import re
from itertools import count
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.galaxies import jpeg
from tests.page.browsing import Watched
from tests.page.looking import drop, open_example, problem

NOTE_CALLS = """() => {
  const { fetch } = globalThis;
  globalThis.calls = [];
  globalThis.fetch = async (url, options) => {
    const call = { begun: performance.now() };
    if (String(url).includes("/classify")) globalThis.calls.push(call);
    const answer = await fetch(url, options);
    // What it says is heard once all of it is there.
    const whole = new Response(await answer.blob(), answer);
    return Object.assign(call, { heard: performance.now(), status: answer.status }) && whole;
  };
}"""
"""Milliseconds by the page's own clock."""


def test_several_files_that_are_dropped(watched: Watched, night: Path) -> None:
    page = watched.open()
    drop(page, *sorted(night.glob("galaxy-00*.jpg")))
    expect(page.locator("#gallery-grid [data-status=ok]")).to_have_count(10)
    expect(page.locator("#gallery-words")).to_have_text("10 of 10 scored")


def test_a_folder_that_is_chosen(watched: Watched, night: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in sorted(night.glob("galaxy-00*.jpg"))[:3]:
        (folder / file.name).write_bytes(file.read_bytes())
    # What else is in a folder is no failure.
    (folder / "notes.txt").write_text("No galaxy here.")
    page = watched.open()
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#gallery-words")).to_have_text("3 of 3 scored")
    assert page.locator("#gallery-grid [data-status]").count() == 3


def test_an_empty_folder_takes_nothing_away(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = watched.open()
    open_example(page)
    drop(page, tmp_path / "empty")
    expect(page.locator("#problem")).to_contain_text("no JPEG or PNG in that folder")
    expect(page.locator("#tree svg")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text("spiral")


def test_it_slows_down_when_it_is_asked_to(watched: Watched, night: Path) -> None:
    watched.expect_status(429)
    page = watched.open()
    page.evaluate(NOTE_CALLS)
    tries = count()

    def full(route: Route) -> None:
        if next(tries) == 8:
            route.fulfill(**problem(429, "overloaded"), headers={"Retry-After": "5"})
        else:
            route.continue_()

    page.route("**/classify*", full)
    drop(page, *sorted(night.glob("galaxy-*.jpg"))[:40])
    expect(page.locator("#gallery-words")).to_contain_text("The service is busy: going on in")
    expect(page.locator("#gallery-words")).to_have_text("40 of 40 scored")
    assert next(tries) == 41
    calls = page.evaluate("calls")
    (refused,) = (call["heard"] for call in calls if call["status"] == 429)
    # All waited, not only the one that was refused.
    assert min(call["begun"] for call in calls if call["begun"] > refused) - refused >= 5000


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
    expect(page.locator("#gallery-title")).not_to_be_in_viewport()
    expect(page.locator("#gallery-progress")).not_to_have_js_property("value", 0)
    page.locator("#gallery-cancel").click()
    expect(page.locator("#gallery-words")).to_contain_text("cancelled")
    page.locator("#gallery-cancel").click()
    expect(page.locator("#gallery-words")).not_to_contain_text("cancelled")
