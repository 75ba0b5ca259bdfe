"""Many galaxies at once: two hundred with five broken ones, sorted, filtered, opened, saved."""

import csv
import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.galaxies import jpeg
from tests.page.browsing import Watched
from tests.page.looking import answer_of, assert_shown, drop, problem, wait_for_answer
from tests.servers import Process

PICTURES, BROKEN = 200, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two hundred pictures, five of which are broken, each in its own way."""
    folder = tmp_path_factory.mktemp("night") / "survey"
    folder.mkdir()
    for number in range(PICTURES - BROKEN):
        (folder / f"galaxy-{number:03}.jpg").write_bytes(jpeg(number, size=96))
    whole = jpeg(0, size=96)
    broken = [b"", b"This is a text.", whole[: len(whole) // 2], b"\xff\xd8\xff" + bytes(500), b"<html>404</html>"]
    for number, data in enumerate(broken):
        (folder / f"broken-{number}.jpg").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path, page_service: Process) -> dict[str, dict[str, Any]]:
    """Ask the service of each of those that it can read."""
    told = {}
    with httpx.Client(base_url=page_service.url, timeout=60) as api:
        for file in sorted(folder.glob("galaxy-*.jpg")):
            told[file.name] = answer_of(api, file.read_bytes())
    return told


@pytest.fixture(scope="module")
def gallery(browser: Browser, page_service: Process, folder: Path) -> Iterator[Page]:
    """Drop the folder, and wait until it is scored whole."""
    watched = Watched(browser, page_service.url)
    # An empty file, two texts, and two pictures that break off.
    watched.expect(r"status of 4(15|22|00) ")
    page = watched.open(viewport={"width": 1200, "height": 900})
    drop(page, folder)
    expect(page.locator("#gallery")).to_be_visible()
    expect(page.locator("#gallery-progress")).to_have_js_property("value", PICTURES)
    yield page
    watched.close()


@pytest.fixture(autouse=True)
def anew(gallery: Page) -> None:
    """Begin each test with all that there is, in the order given."""
    if gallery.locator("#gallery-clear").is_visible():
        gallery.locator("#gallery-clear").click()
    gallery.locator("#gallery-sort").select_option("order")
    gallery.locator("#gallery-direction").select_option("up")


def names(page: Page) -> list[str]:
    found: list[str] = page.locator("#gallery-grid .name").all_inner_texts()
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
    gallery.locator("#gallery-failures summary").click()
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
        expect(gallery.locator("#gallery-count")).to_contain_text(f"{len(expected)} of {PICTURES} shown")
        assert set(names(gallery)) == expected
    gallery.locator("#gallery-clear").click()
    assert len(names(gallery)) == PICTURES


def test_answers_of_one_s_own_choice(gallery: Page, answers: dict[str, dict[str, Any]]) -> None:
    gallery.locator("#gallery-filter").select_option("answers of your own choice")
    for answer in ("Class6.2", "Class1.2"):
        gallery.locator(f"#gallery-builder input[value='{answer}']").check()
    expected = on_path(answers, "Class6.2", "Class1.2")
    assert 0 < len(expected) < PICTURES - BROKEN
    expect(gallery.locator("#gallery-count")).to_contain_text(f"{len(expected)} of {PICTURES} shown")
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
    name = cell.locator(".name").inner_text()
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
    focused = gallery.evaluate("document.activeElement.querySelector('.name').innerText")
    assert focused == gallery.locator("#gallery-grid .name").nth(names(gallery).index(focused)).inner_text()
    assert focused != first.locator(".name").inner_text()
    gallery.keyboard.press("Enter")
    wait_for_answer(gallery)
    assert_shown(gallery, answers[focused])
    gallery.locator("#back").click()


def test_several_files_that_are_dropped(watched: Watched, folder: Path) -> None:
    page = watched.open()
    drop(page, *sorted(folder.glob("galaxy-00*.jpg")))
    expect(page.locator("#gallery-grid [data-status=ok]")).to_have_count(10)
    expect(page.locator("#gallery-words")).to_have_text("10 of 10 scored")


def test_it_slows_down_when_it_is_asked_to(watched: Watched, folder: Path) -> None:
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
    drop(page, *sorted(folder.glob("galaxy-*.jpg"))[:40])
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
    expect(page.locator("#gallery-words")).to_contain_text("stopped")
    page.locator("#gallery-cancel").click()
    expect(page.locator("#gallery-words")).not_to_contain_text("stopped")
