"""Many galaxies at once: two hundred with five broken ones, sorted, filtered, opened, saved."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browsing import Watched
from tests.page.conftest import BROKEN, PICTURES
from tests.page.looking import answer_of, assert_shown, drop, wait_for_answer
from tests.servers import Process

ALL = "all galaxies"


@pytest.fixture(scope="module")
def answers(night: Path, page_service: Process) -> dict[str, dict[str, Any]]:
    """Ask the service of each of those that it can read."""
    told = {}
    with httpx.Client(base_url=page_service.url, timeout=60) as api:
        for file in sorted(night.glob("galaxy-*.jpg")):
            told[file.name] = answer_of(api, file.read_bytes())
    return told


@pytest.fixture(scope="module")
def gallery(browser: Browser, page_service: Process, night: Path) -> Iterator[Page]:
    """Drop the folder, and wait until it is scored whole."""
    watched = Watched(browser, page_service.url)
    # An empty file, two texts, and two pictures that break off.
    watched.expect(r"status of 4(15|22|00) ")
    page = watched.open(viewport={"width": 1200, "height": 900})
    drop(page, night)
    expect(page.locator("#gallery")).to_be_visible()
    expect(page.locator("#gallery-progress")).to_have_js_property("value", PICTURES)
    yield page
    watched.close()


@pytest.fixture(autouse=True)
def anew(gallery: Page) -> None:
    """Begin each test with all that there is, in the order given."""
    if gallery.locator("#back").is_visible():
        gallery.locator("#back").click()
    gallery.locator("#gallery-filter").select_option(ALL)
    gallery.locator("#gallery-sort").select_option("order")
    gallery.locator("#gallery-direction").select_option("up")


def names(page: Page) -> list[str]:
    # What is out of sight has no inner text.
    found: list[str] = page.locator("#gallery-grid .name").all_text_contents()
    return found


def on_path(answers: dict[str, dict[str, Any]], *wanted: str) -> set[str]:
    return {name for name, answer in answers.items() if set(wanted) <= set(answer["path"])}


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_all_are_there_and_those_that_failed_are_marked(gallery: Page) -> None:
    assert gallery.locator("#gallery-grid [data-status]").count() == PICTURES
    assert gallery.locator("#gallery-grid [data-status=ok]").count() == PICTURES - BROKEN
    failed = gallery.locator("#gallery-grid [data-status=failed]")
    assert failed.count() == BROKEN
    for one in failed.all():
        # Not by colour alone.
        expect(one).to_contain_text("failed")
    expect(gallery.locator("#gallery-words")).to_have_text("195 of 200 scored, 5 failed")
    assert gallery.locator("#gallery-progress").get_attribute("max") == str(PICTURES)
    gallery.locator("#gallery-why").click()
    expect(gallery.locator("#gallery-failures")).to_be_visible()
    expect(gallery.locator("#gallery-failures li")).to_have_count(BROKEN)


@pytest.mark.parametrize("answer", ["Class1.1", "Class4.1", "Class8.1"])
def test_it_is_sorted_by_any_score(gallery: Page, answers: dict[str, dict[str, Any]], answer: str) -> None:
    for way in ("down", "up"):
        gallery.locator("#gallery-sort").select_option(answer)
        gallery.locator("#gallery-direction").select_option(way)
        shown = names(gallery)
        scores = [answers[name]["scores"][answer] for name in shown[: PICTURES - BROKEN]]
        assert scores == sorted(scores, reverse=way == "down")
        assert all(name.startswith("broken") for name in shown[PICTURES - BROKEN :])


def test_every_score_can_be_chosen(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    offered = gallery.locator("#gallery-sort option").evaluate_all("options => options.map(({ value }) => value)")
    assert set(offered) >= set(answers["galaxy-000.jpg"]["scores"])


def test_only_what_took_a_path_is_shown(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    for words, wanted in (
        ("barred spirals with two arms", ("Class3.1", "Class4.1", "Class11.2")),
        ("smooth and round", ("Class1.1", "Class7.1")),
        ("spiral galaxies", ("Class4.1",)),
    ):
        expected = on_path(answers, *wanted)
        gallery.locator("#gallery-filter").select_option(words)
        expect(gallery.locator("#gallery-count")).to_contain_text(f"{len(expected)} of {PICTURES}")
        assert set(names(gallery)) == expected
    gallery.locator("#gallery-filter").select_option(ALL)
    assert len(names(gallery)) == PICTURES


def test_answers_of_one_s_own_choice(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    gallery.locator("#gallery-filter").select_option("own")
    for answer in ("Class6.2", "Class1.2"):
        gallery.locator(f"#gallery-builder input[value='{answer}']").check()
    expected = on_path(answers, "Class6.2", "Class1.2")
    assert 0 < len(expected) < PICTURES - BROKEN
    expect(gallery.locator("#gallery-count")).to_contain_text(f"{len(expected)} of {PICTURES}")
    assert set(names(gallery)) == expected


def test_the_table_as_csv(gallery: Page, answers: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path = saved(gallery, "#save-csv", tmp_path)
    assert path.suffix == ".csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = {Path(row["name"]).name: row for row in csv.DictReader(file)}
    assert len(rows) == PICTURES
    for name, row in rows.items():
        if name.startswith("broken"):
            assert row["status"] == "error"
            assert row["error_code"]
            assert row["Class1.1"] == ""
        else:
            answer = answers[name]
            assert row["status"] == "ok"
            assert row["path"].split() == answer["path"]
            assert row["summary"] == answer["summary"]
            for part, suffix in (
                ("scores", ""),
                ("uncertainty", "_uncertainty"),
                ("uncertainty_95", "_uncertainty_95"),
            ):
                assert {column: float(row[column + suffix]) for column in answer[part]} == pytest.approx(
                    answer[part], abs=1e-5
                )


def test_the_table_as_json_of_what_is_shown(gallery: Page, answers: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    gallery.locator("#gallery-filter").select_option("spiral galaxies")
    gallery.locator("#gallery-sort").select_option("Class4.1")
    rows = json.loads(saved(gallery, "#save-json", tmp_path).read_text("utf-8"))
    assert [Path(row["name"]).name for row in rows] == names(gallery)
    assert {Path(row["name"]).name for row in rows} == on_path(answers, "Class4.1")
    for row in rows:
        assert row["classification"]["scores"] == pytest.approx(answers[Path(row["name"]).name]["scores"], abs=1e-5)


def test_one_is_opened_and_come_back_from(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    gallery.locator("#gallery-sort").select_option("Class1.1")
    before = names(gallery)
    cell = gallery.locator("#gallery-grid [data-status=ok]").nth(40)
    name = cell.locator(".name").text_content()
    cell.click()
    wait_for_answer(gallery)
    assert_shown(gallery, answers[name])
    gallery.locator("#back").click()
    expect(gallery.locator("#gallery-grid")).to_be_visible()
    assert names(gallery) == before
    gallery.go_back()
    wait_for_answer(gallery)
    gallery.go_back()
    expect(gallery.locator("#gallery-grid")).to_be_visible()
    assert names(gallery) == before


def test_the_keyboard_goes_from_one_to_the_next(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    first = gallery.locator("#gallery-grid [data-status=ok]").first
    first.focus()
    gallery.keyboard.press("ArrowRight")
    focused = gallery.evaluate("document.activeElement.querySelector('.name').textContent")
    assert focused == gallery.locator("#gallery-grid [data-status=ok] .name").nth(1).text_content()
    gallery.keyboard.press("Enter")
    wait_for_answer(gallery)
    assert_shown(gallery, answers[focused])
    gallery.locator("#back").click()
