"""Where the network looked: laid over the picture for the answer that is pointed at."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.page.browsing import Watched
from tests.page.looking import EXAMPLES, answer_of, drop, open_example, tab_to, wait_for_answer
from tests.servers import Process, serving

ANSWER = "Class4.1"


def drawn(page: Page) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return what is drawn over the picture: uint8 [height, width, 4]."""
    url: str = page.locator("#overlay").evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def covered(page: Page) -> tuple[float, float, float, float]:
    """Return what part of the picture it lies on, in pixels of the picture."""
    return tuple(
        page.evaluate(
            """() => {
              const image = document.querySelector("#picture img");
              const over = document.querySelector("#overlay").getBoundingClientRect();
              const under = image.getBoundingClientRect();
              const scale = image.naturalWidth / under.width;
              const shown = [over.left - under.left, over.top - under.top, over.width, over.height];
              return shown.map((each) => each * scale);
            }"""
        )
    )


def assert_drawn(page: Page, api: httpx.Client, image: bytes, answer: str) -> None:
    """Hold what is drawn against what the service says."""
    overlay = page.locator("#overlay")
    expect(overlay).to_be_visible()
    expect(overlay).to_have_attribute("data-answer", answer)
    # Of all views, since of one alone the map is uneven.
    explanation: Any = answer_of(api, image, explain=answer, detail="scores", views=8)["explanation"]
    evidence = np.asarray(Image.open(io.BytesIO(base64.b64decode(explanation["png"]))), float)
    pixels = drawn(page).astype(float)
    assert pixels.shape[:2] == evidence.shape
    # Where there is most evidence it glows most, and where there is none it is darkest.
    glow = np.where(pixels[..., :3].any(axis=-1), pixels[..., 3], -pixels[..., 3])
    if evidence.any():
        assert np.corrcoef(glow.ravel(), evidence.ravel())[0, 1] > 0.95
    else:
        assert np.ptp(glow) == 0
    box = explanation["box"]
    assert covered(page) == pytest.approx((box["left"], box["top"], box["width"], box["height"]), abs=1.5)


def asked_by(page: Page) -> list[str]:
    """Return where it is noted which explanations a page asks for."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url) if "explain=" in request.url else None)
    return urls


def test_the_answer_that_is_pointed_at(watched: Watched, api: httpx.Client) -> None:
    page = watched.open(viewport={"width": 1280, "height": 900})
    urls = asked_by(page)
    open_example(page)
    # Nothing is asked for before anything is pointed at.
    assert urls == []
    branch = page.locator(f"#tree path.answer[data-answer='{ANSWER}']")
    branch.hover()
    assert_drawn(page, api, (EXAMPLES / "spiral.jpg").read_bytes(), ANSWER)
    expect(page.locator("#legend")).to_contain_text("spiral arms")
    page.locator("#tree-title").hover()
    expect(page.locator("#overlay")).to_be_hidden()
    # It is asked for once.
    branch.hover()
    expect(page.locator("#overlay")).to_be_visible()
    assert len(urls) == 1


def test_the_answer_that_the_keyboard_is_on(watched: Watched, api: httpx.Client) -> None:
    page = watched.open(viewport={"width": 1280, "height": 900})
    open_example(page)
    # What scrolls below a mouse is pointed at by it.
    page.mouse.move(1, 1)
    tab_to(page, "g.question[data-question=Q1]")
    assert_drawn(page, api, (EXAMPLES / "spiral.jpg").read_bytes(), "Class1.2")
    page.keyboard.press("ArrowUp")
    assert_drawn(page, api, (EXAMPLES / "spiral.jpg").read_bytes(), "Class1.1")


def test_an_answer_that_is_chosen_stays(watched: Watched, api: httpx.Client) -> None:
    page = watched.open(viewport={"width": 1280, "height": 900})
    open_example(page)
    page.locator(f"#scores tr[data-answer='{ANSWER}'] button.look").click()
    page.locator("#scores-title").hover()
    assert_drawn(page, api, (EXAMPLES / "spiral.jpg").read_bytes(), ANSWER)
    expect(page.locator(f"#scores tr[data-answer='{ANSWER}'] button.look")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#overlay")).to_be_hidden()


@pytest.mark.parametrize("name", ["wide.png", "turned.jpg", "clear.png"])
def test_a_picture_that_is_not_square(watched: Watched, api: httpx.Client, tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    if name == "turned.jpg":
        # By a quarter, so that it is shown higher than wide.
        exif[0x0112] = 6
    with Image.open(EXAMPLES / "spiral.jpg") as whole:
        picture = whole.crop((0, 80, 424, 344))
        if name == "clear.png":
            picture.putalpha(200)
        picture.save(tmp_path / name, exif=exif)
    page = watched.open(viewport={"width": 1280, "height": 900})
    drop(page, tmp_path / name)
    wait_for_answer(page)
    shown = page.locator("#picture img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert shown == ([264, 424] if name == "turned.jpg" else [424, 264])
    page.locator(f"#scores tr[data-answer='{ANSWER}'] button.look").click()
    assert_drawn(page, api, (tmp_path / name).read_bytes(), ANSWER)


def test_another_picture_has_nothing_over_it(watched: Watched) -> None:
    page = watched.open(viewport={"width": 1280, "height": 900})
    open_example(page)
    page.locator(f"#scores tr[data-answer='{ANSWER}'] button.look").click()
    expect(page.locator("#overlay")).to_be_visible()
    open_example(page, "smooth")
    expect(page.locator("#overlay")).to_be_hidden()


def test_a_network_that_cannot_say(browser: Browser, model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(model_folder)) as process:
        watched = Watched(browser, process.url)
        page = watched.open(viewport={"width": 1280, "height": 900})
        urls = asked_by(page)
        open_example(page)
        page.locator("#tree g.question .bar").first.hover()
        expect(page.locator("#tip")).to_be_visible()
        assert page.locator("#scores button.look").count() == 0
        assert urls == []
        watched.close()


def test_the_model_that_ships_can_say(page_service: Process) -> None:
    assert httpx.get(f"{page_service.url}/model").json()["explainable"] is True
