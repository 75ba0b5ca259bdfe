"""Each way in: what is drawn is what the service says of that picture."""

import base64
import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.galaxies import png
from tests.image_host import IMAGES, ImageHost
from tests.page.browsing import Watched
from tests.page.looking import EXAMPLES, answer_of, assert_shown, drop, open_example, wait_for_answer

PUT_ON_THE_CLIPBOARD = """async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


@pytest.mark.parametrize("name", ["spiral", "edge-on", "smooth", "merger"])
def test_a_file_that_is_dropped(watched: Watched, api: httpx.Client, name: str) -> None:
    page = watched.open()
    drop(page, EXAMPLES / f"{name}.jpg")
    wait_for_answer(page)
    assert_shown(page, answer_of(api, (EXAMPLES / f"{name}.jpg").read_bytes()))
    assert page.locator("#picture img").evaluate("image => image.naturalWidth") == 424


def test_a_file_that_is_chosen(watched: Watched, api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(png())
    page = watched.open()
    page.locator("#file").set_input_files(tmp_path / "mine.png")
    wait_for_answer(page)
    assert_shown(page, answer_of(api, png()))
    expect(page.locator("#facts")).to_contain_text("mine.png")


def test_a_picture_that_is_pasted(watched: Watched, api: httpx.Client) -> None:
    page = watched.open()
    page.evaluate(PUT_ON_THE_CLIPBOARD, base64.b64encode(png(3)).decode())
    page.keyboard.press("Control+V")
    wait_for_answer(page)
    # The browser encodes it anew; its pixels are the same.
    assert_shown(page, answer_of(api, png(3)))


def test_an_address_that_is_pasted(watched: Watched, api: httpx.Client, images: ImageHost) -> None:
    page = watched.open()
    page.evaluate("text => navigator.clipboard.writeText(text)", f"{images.url}/galaxy/2")
    page.keyboard.press("Control+V")
    wait_for_answer(page)
    assert_shown(page, answer_of(api, IMAGES[2]))


def test_an_address_that_is_typed(watched: Watched, api: httpx.Client, images: ImageHost) -> None:
    page = watched.open()
    page.locator("#url").fill(f"{images.url}/galaxy/5")
    page.keyboard.press("Enter")
    wait_for_answer(page)
    assert_shown(page, answer_of(api, IMAGES[5]))
    # The picture comes through the service: the browser asks no other host.
    assert page.locator("#picture img").evaluate("image => image.naturalWidth") == 64


@pytest.mark.parametrize(("ra", "dec"), [("202.4695", "47.1952"), ("13:29:52.68", "+47:11:42.7")])
def test_a_position(watched: Watched, api: httpx.Client, images: ImageHost, ra: str, dec: str) -> None:
    page = watched.open()
    asked: list[str] = []

    def cutout(route: Route) -> None:
        # The surveys can't be reached from tests; all the rest is as it is.
        asked.append(route.request.url)
        told = {"url": f"{images.url}/galaxy/3", "survey": "legacy", "warning": "outside the survey, perhaps"}
        route.fulfill(content_type="application/json", body=json.dumps(told))

    page.route("**/cutout?*", cutout)
    page.locator("#ra").fill(ra)
    page.locator("#dec").fill(dec)
    page.locator("#survey").select_option("legacy")
    page.locator("#dec").press("Enter")
    wait_for_answer(page)
    assert_shown(page, answer_of(api, IMAGES[3]))
    (url,) = asked
    query = httpx.URL(url).params
    assert (float(query["ra"]), float(query["dec"])) == pytest.approx((202.4695, 47.1952), abs=1e-4)
    assert query["survey"] == "legacy"
    expect(page.locator("#survey-note")).to_have_text("Outside the survey, perhaps.")


def test_what_is_no_position_is_said_before_anything_is_asked(watched: Watched) -> None:
    page = watched.open()
    page.locator("#ra").fill("where it is")
    page.locator("#dec").fill("47")
    page.locator("#dec").press("Enter")
    assert page.locator("#ra").evaluate("field => field.validity.customError")
    expect(page.locator("body")).to_have_attribute("data-state", "start")


@pytest.mark.parametrize("name", sorted(file.stem for file in EXAMPLES.glob("*.jpg")))
def test_an_example(watched: Watched, api: httpx.Client, name: str) -> None:
    page = watched.open()
    open_example(page, name)
    assert_shown(page, answer_of(api, (EXAMPLES / f"{name}.jpg").read_bytes()))
    if name == "no-galaxy":
        expect(page.locator("#warning")).to_contain_text("does not look like")
    else:
        expect(page.locator("#warning")).to_be_hidden()
