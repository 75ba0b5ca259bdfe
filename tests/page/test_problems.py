"""What goes wrong is said in words that a student understands, with what to do; and a second try works."""

import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app import errors
from tests.image_host import ImageHost
from tests.page.browsing import Watched, assert_accessible
from tests.page.looking import EXAMPLES, drop, open_example, problem, wait_for_answer
from tests.servers import serving

KEY = "sesame-für-galaxien"


def assert_said(page: Page, *words: str) -> None:
    """Hold what is said of a problem against words; nothing else is left on the page."""
    for each in words:
        expect(page.locator("#problem[role=alert]")).to_contain_text(each)
    expect(page.locator("#answer")).to_be_hidden()
    expect(page.locator("#tree")).to_be_hidden()
    expect(page.locator("body")).to_have_attribute("data-state", "start")


def test_a_text_file(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("No galaxy here.")
    watched.expect_status(422)
    page = watched.open()
    drop(page, tmp_path / "notes.txt")
    assert_said(page, "not a picture that can be read", "JPEG or PNG")
    assert_accessible(page)
    # The next one is none the worse for it.
    open_example(page)
    expect(page.locator("#problem")).to_be_empty()


def test_a_picture_that_breaks_off(watched: Watched, tmp_path: Path) -> None:
    whole = (EXAMPLES / "spiral.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    watched.expect_status(422)
    page = watched.open()
    open_example(page, "smooth")
    drop(page, tmp_path / "cut.jpg")
    assert_said(page, "not a picture that can be read", "damaged")


def test_a_service_that_is_down(browser: Browser, model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder)) as process:
        watched = Watched(browser, process.url)
        page = watched.open()
        # What isn't asked for before the galaxy comes can't be had afterwards.
        expect(page.locator("#running")).not_to_be_empty()
        process.stop()
        watched.expect("net::ERR_")
        drop(page, EXAMPLES / "spiral.jpg")
        assert_said(page, "does not answer", "Check your connection")
        watched.close()


def test_a_second_try(watched: Watched) -> None:
    watched.expect("net::ERR_CONNECTION_RESET")
    page = watched.open()
    page.route("**/classify*", lambda route: route.abort("connectionreset"))
    drop(page, EXAMPLES / "barred.jpg")
    assert_said(page, "does not answer")
    page.unroute("**/classify*")
    page.locator("#problem button").click()
    wait_for_answer(page)
    expect(page.locator("#problem")).to_be_empty()


@pytest.mark.parametrize("code", ["overloaded", "rate_limited"])
def test_a_service_that_has_too_much_to_do_is_asked_again(watched: Watched, code: str) -> None:
    watched.expect_status(429)
    page = watched.open()
    tries = count()

    def full(route: Route) -> None:
        if next(tries) < 2:
            route.fulfill(**problem(429, code), headers={"Retry-After": "2"})
        else:
            route.continue_()

    page.route("**/classify*", full)
    drop(page, EXAMPLES / "barred.jpg")
    expect(page.locator("#status")).to_contain_text("busy")
    wait_for_answer(page)
    assert next(tries) == 3


@pytest.mark.parametrize(("seconds", "times"), [("0", 4), ("3600", 1)])
def test_a_service_that_stays_full_is_given_up(watched: Watched, seconds: str, times: int) -> None:
    watched.expect_status(429)
    page = watched.open()
    tries = count()

    def full(route: Route) -> None:
        next(tries)
        route.fulfill(**problem(429, "overloaded"), headers={"Retry-After": seconds})

    page.route("**/classify*", full)
    drop(page, EXAMPLES / "barred.jpg")
    assert_said(page, "too much to do", "Wait a minute")
    assert next(tries) == times


@pytest.mark.parametrize(
    ("path", "words"),
    [("/text", "not a picture that can be read"), ("/nowhere", "No picture could be had")],
)
def test_an_address_without_a_picture(watched: Watched, images: ImageHost, path: str, words: str) -> None:
    page = watched.open()
    page.locator("#url").fill(images.url + path)
    page.keyboard.press("Enter")
    assert_said(page, words)


def test_an_address_that_is_not_fetched_from(watched: Watched) -> None:
    page = watched.open()
    page.locator("#url").fill("https://elsewhere.example/galaxy.jpg")
    page.keyboard.press("Enter")
    assert_said(page, "does not fetch", "drop the file here")


def test_no_problem_that_the_service_names_is_without_words(watched: Watched) -> None:
    found = [each for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "code")]
    # Only an administrator has models exchanged, and not by the page.
    codes = [each.code for each in found if each is not errors.ReloadRefusedError]
    page = watched.open()
    known = page.evaluate(
        "codes => import('/page/words.js').then(({ wordsOf }) => codes.map((code) => [code, wordsOf({ code }).what]))",
        [code for code in codes if isinstance(code, str)],
    )
    assert len(known) > 10
    assert [code for code, what in known if what == "That did not work."] == []


@pytest.fixture
def asking(browser: Browser, model_folder: Path, tmp_path: Path) -> Iterator[Page]:
    """Open the page of a service with keys, and ask for an example."""
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a student"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n')
    with serving(tmp_path / "log", model=str(model_folder), api_keys_file=str(keys)) as process:
        watched = Watched(browser, process.url)
        watched.expect_status(401)
        page = watched.open()
        page.locator("#examples button").first.click()
        yield page
        watched.close()


def test_a_service_with_keys_asks_for_one(asking: Page) -> None:
    dialog = asking.locator("dialog#key")
    expect(dialog).to_be_visible()
    assert_accessible(asking)
    for tried in ("open", KEY):
        dialog.locator("#key-field").fill(tried)
        asking.keyboard.press("Enter")
        if tried == KEY:
            wait_for_answer(asking)
        else:
            expect(dialog.locator("#key-refused")).to_be_visible()
    expect(dialog).to_be_hidden()
    # It is asked for once.
    open_example(asking, "smooth")
    expect(dialog).to_be_hidden()


def test_who_has_no_key_gives_up(asking: Page) -> None:
    expect(asking.locator("dialog#key")).to_be_visible()
    asking.keyboard.press("Escape")
    assert_said(asking, "asks for a key")
