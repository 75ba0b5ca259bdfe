"""The tree as a picture: as wide as the votes, and what is said where one points."""

import re

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.browsing import Watched
from tests.page.looking import EXAMPLES, answer_of, assert_shown, open_example, tab_to, wait_for_answer


def question(page: Page, name: str) -> Locator:
    return page.locator(f"#tree g.question[data-question={name}]")


def told(answer: dict[str, object], name: str) -> dict[str, object]:
    questions = answer["questions"]
    assert isinstance(questions, list)
    (found,) = (each for each in questions if each["id"] == name)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def spiral(api: httpx.Client) -> dict[str, object]:
    return answer_of(api, (EXAMPLES / "spiral.jpg").read_bytes())


@pytest.fixture
def page(watched: Watched) -> Page:
    page = watched.open(viewport={"width": 1280, "height": 900})
    open_example(page, "spiral")
    return page


def assert_told(page: Page, about: dict[str, object]) -> None:
    """Hold the tip against a question: its wording; each answer's fraction, score and error bar."""
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(str(about["text"]))
    answers = about["answers"]
    assert isinstance(answers, list)
    rows = tip.locator("tbody tr")
    expect(rows).to_have_count(len(answers))
    for row, each in zip(rows.all(), answers, strict=True):
        expect(row).to_contain_text(each["label"])
        expect(row).to_contain_text(f"{each['score']:.3f}")
        expect(row).to_contain_text(f"± {each['uncertainty']:.3f}")
        percent = row.locator("td").first.inner_text()
        assert percent in {f"{100 * each['fraction']:.0f}%", "<1%", ">99%"}


def test_branches_are_as_wide_as_the_scores(page: Page, spiral: dict[str, object]) -> None:
    drawn = page.locator("#tree path.answer")
    pairs = drawn.evaluate_all("all => all.map((path) => [path.dataset.answer, path.dataset.width])")
    widths = {answer: float(width) for answer, width in pairs}
    scores = spiral["scores"]
    assert isinstance(scores, dict)
    assert widths.keys() == scores.keys()
    scale = widths["Class1.2"] / scores["Class1.2"]
    for answer, score in scores.items():
        assert widths[answer] == pytest.approx(scale * score, abs=0.02), answer


def test_a_question_that_the_mouse_points_at(page: Page, spiral: dict[str, object]) -> None:
    for name in ("Q1", "Q4", "Q11"):
        question(page, name).locator(".bar").hover()
        assert_told(page, told(spiral, name))
    page.locator("#tree-title").hover()
    expect(page.locator("#tip")).to_be_hidden()


def test_an_answer_that_the_mouse_points_at(page: Page, spiral: dict[str, object]) -> None:
    page.locator("#tree path.answer[data-answer='Class4.1']").hover()
    assert_told(page, told(spiral, "Q4"))
    expect(page.locator("#tip tr.pointed")).to_contain_text("spiral arms")


def test_a_question_that_the_keyboard_leads_to(page: Page, spiral: dict[str, object]) -> None:
    # What scrolls below a mouse is pointed at by it.
    page.mouse.move(1, 1)
    tab_to(page, "g.question[data-question=Q1]")
    assert_told(page, told(spiral, "Q1"))
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("ArrowRight")
    assert_told(page, told(spiral, "Q2"))
    page.keyboard.press("ArrowLeft")
    assert_told(page, told(spiral, "Q1"))
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()


def test_arrow_keys_choose_among_answers(page: Page) -> None:
    page.mouse.move(1, 1)
    tab_to(page, "g.question[data-question=Q1]")
    expect(page.locator("#tip tr.pointed")).to_contain_text("features or disk")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#tip tr.pointed")).to_contain_text("star or artifact")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#tip tr.pointed")).to_contain_text("smooth")
    # What is gone to is also said to screen readers.
    expect(page.locator("#pointed[role=status]")).to_have_text("smooth")


def test_the_numbers_are_sorted(page: Page, spiral: dict[str, object]) -> None:
    scores = spiral["scores"]
    assert isinstance(scores, dict)
    for turned in (True, False):
        page.locator("#scores button[data-sort=score]").click()
        expect(page.locator("#scores th.score")).to_have_attribute("aria-sort", "descending" if turned else "ascending")
        shown = page.locator("#scores tr[data-answer]").evaluate_all("rows => rows.map((row) => row.dataset.answer)")
        assert len(shown) == 37
        ordered = [scores[answer] for answer in shown]
        assert ordered == sorted(ordered, reverse=turned)
    page.locator("#scores button[data-sort=tree]").click()
    shown = page.locator("#scores tr[data-answer]").evaluate_all("rows => rows.map((row) => row.dataset.answer)")
    assert shown == list(scores)


def test_the_numbers_are_copied(page: Page, spiral: dict[str, object]) -> None:
    page.locator("#copy-scores").click()
    expect(page.locator("#copied")).to_contain_text("Copied")
    head, *lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    columns = head.split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]
    for part in ("score", "uncertainty", "uncertainty_95"):
        told = spiral["scores" if part == "score" else part]
        assert {row["answer"]: float(row[part]) for row in rows} == told


def test_more_views_are_asked_for(page: Page, api: httpx.Client) -> None:
    expect(page.locator("#views input[value='1']")).to_be_checked()
    with page.expect_response(lambda answer: "/classify?" in answer.url):
        page.locator("#views label", has_text="8").click()
    wait_for_answer(page)
    expect(page.locator("#views input[value='8']")).to_be_checked()
    expect(page).to_have_url(re.compile(r"[?&]views=8\b"))
    assert_shown(page, answer_of(api, (EXAMPLES / "spiral.jpg").read_bytes(), views=8))
