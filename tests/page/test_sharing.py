"""The address holds what is looked at; a permalink shows the same; and going back is going back."""

import json
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.galaxies import png
from tests.image_host import ImageHost
from tests.page.browsing import Watched
from tests.page.looking import drawn_path, drop, open_example, wait_for_answer


def shown(page: Page) -> tuple[set[str], str, str]:
    return drawn_path(page), page.locator("#summary").inner_text(), page.locator("#scores .body").inner_text()


def test_an_address_of_a_picture(watched: Watched, images: ImageHost) -> None:
    page = watched.open()
    page.locator("#url").fill(f"{images.url}/galaxy/6")
    page.keyboard.press("Enter")
    wait_for_answer(page)
    page.locator("#share").click()
    expect(page.locator("#share-note")).to_contain_text("copied")
    permalink = page.evaluate("navigator.clipboard.readText()")
    assert permalink == page.url
    other = watched.open(permalink)
    wait_for_answer(other)
    assert shown(other) == shown(page)


def test_a_position(watched: Watched, images: ImageHost) -> None:
    asked: list[str] = []

    def cutout(route: Route) -> None:
        asked.append(route.request.url)
        told = {"url": f"{images.url}/galaxy/1", "survey": "sdss", "warning": None}
        route.fulfill(content_type="application/json", body=json.dumps(told))

    page = watched.open()
    page.route("**/cutout?*", cutout)
    page.locator("#ra").fill("10.68")
    page.locator("#dec").fill("-1.27")
    page.locator("#by-position button").click()
    wait_for_answer(page)
    with page.context.expect_page():
        page.evaluate("window.open(location.href)")
    other = page.context.pages[-1]
    other.route("**/cutout?*", cutout)
    other.reload()
    wait_for_answer(other)
    assert shown(other) == shown(page)
    assert len(set(asked)) == 1


def test_the_views_are_part_of_it(watched: Watched) -> None:
    page = watched.open("/?example=barred&views=8")
    wait_for_answer(page)
    expect(page.locator("#views input[value='8']")).to_be_checked()


def test_a_file_has_no_address_and_that_is_said(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(png())
    page = watched.open()
    drop(page, tmp_path / "mine.png")
    wait_for_answer(page)
    page.locator("#share").click()
    expect(page.locator("#share-note")).to_contain_text("can't be shared")


def test_back_and_forth(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(png())
    page = watched.open()
    open_example(page, "barred")
    barred = shown(page)
    drop(page, tmp_path / "mine.png")
    expect(page.locator("#facts")).to_contain_text("mine.png")
    wait_for_answer(page)
    mine = shown(page)
    assert mine != barred
    page.go_back()
    expect(page.locator("#facts")).to_contain_text("barred")
    wait_for_answer(page)
    assert shown(page) == barred
    page.go_back()
    expect(page.locator("body")).to_have_attribute("data-state", "start")
    expect(page.locator("#tree")).to_be_hidden()
    page.go_forward()
    page.go_forward()
    expect(page.locator("#facts")).to_contain_text("mine.png")
    wait_for_answer(page)
    assert shown(page) == mine


def test_an_address_that_makes_no_sense_shows_the_beginning(watched: Watched) -> None:
    page = watched.open("/?ra=north&dec=up&views=many")
    expect(page.locator("body")).to_have_attribute("data-state", "start")
    expect(page.locator("#problem")).to_be_empty()


def test_an_address_with_markup_in_it_is_read_as_text(watched: Watched) -> None:
    watched.expect_status(404)
    page = watched.open("/?example=none-such")
    expect(page.locator("#problem")).to_contain_text("no example of that name")
    page = watched.open("/?url=http://x.example/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    expect(page.locator("#problem")).to_contain_text("does not fetch")
    assert page.locator("#problem img").count() == 0
