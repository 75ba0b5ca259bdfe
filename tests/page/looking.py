"""What someone does on the page, and what they see of an answer."""

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

EXAMPLES = Path(__file__).parents[2] / "app" / "page" / "examples"


def drop(page: Page, *files: Path) -> None:
    """Drop files or folders, as from a file manager."""
    box = page.locator("#drop").bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    session.detach()


def wait_for_answer(page: Page) -> None:
    """Wait until an answer is drawn."""
    expect(page.locator("body")).to_have_attribute("data-state", "answered")
    expect(page.locator("#tree svg")).to_be_visible()
    expect(page.locator("#summary")).to_be_visible()


def open_example(page: Page, name: str = "spiral") -> None:
    """Choose one of the example galaxies, and wait for its answer."""
    page.locator(f"#examples button[data-example={name}]").click()
    wait_for_answer(page)


def drawn_path(page: Page) -> set[str]:
    """Return the answers that the tree shows as the likeliest path."""
    drawn: list[str] = page.locator("#tree path.answer.on-path").evaluate_all(
        "paths => paths.map((path) => path.dataset.answer)"
    )
    return set(drawn)


def answer_of(api: httpx.Client, image: bytes, **query: str | int) -> dict[str, object]:
    """Ask the service itself what the page is to show."""
    answered = api.post("/classify", content=image, params=query)
    assert answered.status_code == 200, answered.text
    told: dict[str, object] = answered.json()
    return told


def assert_shown(page: Page, answer: dict[str, object]) -> None:
    """Hold what is drawn against the service's answer: the path, the sentence, and each of the numbers."""
    path, summary, scores = answer["path"], answer["summary"], answer["scores"]
    assert isinstance(path, Sequence)
    assert isinstance(summary, str)
    assert isinstance(scores, dict)
    assert drawn_path(page) == set(path)
    assert summary.endswith(page.locator("#summary").inner_text())
    rows = page.locator("#scores tr[data-answer]")
    cells = dict(
        rows.evaluate_all("rows => rows.map((row) => [row.dataset.answer, row.querySelector('.score').innerText])")
    )
    cells = {answer: cell.strip() for answer, cell in cells.items()}
    assert cells == {answer: f"{score:.3f}" for answer, score in scores.items()}


def tab_to(page: Page, selector: str, most: int = 80) -> None:
    """Press Tab until something is focused."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    msg = f"Tab does not lead to {selector}"
    raise AssertionError(msg)


def problem(status: int, code: str) -> dict[str, object]:
    """Return what the service would refuse a request with, as `Route.fulfill` takes it."""
    body = {
        "type": f"/problems/{code}",
        "title": code,
        "status": status,
        "code": code,
        "detail": "As the test wants it.",
    }
    return {"status": status, "content_type": "application/problem+json", "body": json.dumps(body)}
