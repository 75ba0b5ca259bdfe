"""Keyboard, screen reader, phone, dark and light, less motion: nobody is left out."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.browsing import Watched, assert_accessible
from tests.page.looking import EXAMPLES, drop, open_example, tab_to, wait_for_answer

SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SIZES)
def page(watched: Watched, request: pytest.FixtureRequest, colours: str) -> Page:
    return watched.open(**SIZES[request.param], color_scheme=colours, reduced_motion="reduce")


def assert_fits(page: Page) -> None:
    """Have nothing lead out of the page to the side."""
    width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner


def assert_stays(page: Page, since: float, most: float) -> None:
    """Have nothing jump: what is held is the sum that browsers call the cumulative layout shift."""
    jumped = page.evaluate("begin => shiftedSince(begin)", since)
    assert sum(value for _, value, *_ in jumped) < most, jumped


def test_the_beginning(page: Page) -> None:
    assert_accessible(page)
    assert_fits(page)


def test_an_answer(page: Page) -> None:
    open_example(page, "barred")
    page.locator("#scores button[data-sort=score]").click()
    assert_accessible(page)
    assert_fits(page)


def test_a_question_that_is_pointed_at(page: Page) -> None:
    open_example(page, "no-galaxy")
    expect(page.locator("#warning")).to_be_visible()
    page.locator("#tree g.question[data-question=Q4] .bar").click()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#overlay")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)


def test_a_problem(page: Page, watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("No galaxy here.")
    watched.expect_status(422)
    page.locator("#file").set_input_files(tmp_path / "notes.txt")
    expect(page.locator("#problem")).to_contain_text("not a picture")
    assert_accessible(page)
    assert_fits(page)


def test_a_gallery(page: Page, watched: Watched, night: Path) -> None:
    watched.expect_status(422)
    files = [*sorted(night.glob("galaxy-00*.jpg")), night / "broken-2.jpg"]
    page.locator("#file").set_input_files(files)
    expect(page.locator("#gallery-progress")).to_have_js_property("value", len(files))
    assert_accessible(page)
    assert_fits(page)
    page.locator("#gallery-builder summary").click()
    page.locator("#gallery-why").click()
    page.locator("#gallery-sort").select_option("Class1.1")
    assert_accessible(page)
    assert_fits(page)


def test_keyboard_alone_from_the_galaxy_to_the_table(watched: Watched) -> None:
    page = watched.open()
    # From now on, since the browser takes a moment to leave choosing to the test.
    page.on("filechooser", lambda _: None)
    tab_to(page, "#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(EXAMPLES / "barred.jpg")
    wait_for_answer(page)
    # What came is where one is.
    expect(page.locator("#summary")).to_be_focused()
    tab_to(page, "#share")
    tab_to(page, "g.question[data-question=Q1]")
    expect(page.locator("#tip")).to_be_visible()
    for next_one in ("Q2", "Q3", "Q4"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.dataset.question") == next_one
    page.keyboard.press("Escape")
    tab_to(page, "#copy-scores")
    page.keyboard.press("Enter")
    expect(page.locator("#copied")).to_contain_text("Copied")
    tab_to(page, "#scores button[data-sort=score]")
    page.keyboard.press("Enter")
    expect(page.locator("#scores th.score")).to_have_attribute("aria-sort", "descending")
    # Sorting has not taken the focus away.
    page.keyboard.press("Enter")
    expect(page.locator("#scores th.score")).to_have_attribute("aria-sort", "ascending")


def test_whoever_is_on_something_sees_where(watched: Watched) -> None:
    page = watched.open()
    open_example(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
              const focused = document.activeElement;
              if (focused === document.body) return true;
              const around = [focused, focused.parentElement, ...focused.querySelectorAll("*")];
              const looks = () => around.map((element) => {
                const style = getComputedStyle(element);
                return [style.outline, style.boxShadow, style.stroke, style.strokeWidth, style.borderColor].join();
              }).join();
              const [on, off] = [looks(), (focused.blur(), looks())];
              focused.focus();
              return on !== off || focused.outerHTML.slice(0, 200);
            }"""
        )
        assert seen is True, seen


def test_the_answer_is_announced(watched: Watched) -> None:
    page = watched.open()
    expect(page.locator("#status[role=status]")).to_be_attached()
    expect(page.locator("#problem[role=alert]")).to_be_attached()
    open_example(page, "barred")
    expect(page.locator("#status")).not_to_be_empty()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_jumps(watched: Watched, size: str) -> None:
    page = watched.open(**SIZES[size])
    page.wait_for_load_state("networkidle")
    assert_stays(page, 0, 0.02)
    for name in ("spiral", "no-galaxy"):
        held: list[Route] = []
        page.route("**/classify*", lambda route: held.append(route))  # noqa: B023, PLW0108
        drop(page, EXAMPLES / f"{name}.jpg")
        expect(page.locator("body")).to_have_attribute("data-state", "looking")
        expect(page.locator("#picture img")).to_be_visible()
        # That the page makes room for a galaxy is what the drop is for; from then on all is at its place.
        settled = page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
        )
        for route in held:
            route.continue_()
        page.unroute_all()
        wait_for_answer(page)
        page.wait_for_load_state("networkidle")
        assert_stays(page, settled, 0.05)


def test_it_says_so_without_scripts(watched: Watched) -> None:
    page = watched.open(java_script_enabled=False)
    expect(page.locator("p.noscript")).to_contain_text("JavaScript")


def test_the_likeliest_path_is_marked_by_more_than_colour(watched: Watched) -> None:
    page = watched.open()
    open_example(page, "barred")
    steps = page.locator("#tree path.answer.on-path").count()
    assert page.locator("#tree path.spine").count() == steps
    assert page.locator("#scores .mark").count() == steps
