"""What is measured of the page: the first paint with nothing kept, and the time from a drop to the answer drawn."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.failures import NotMeasuredError
from benchmarks.serving import serving
from benchmarks.systems import service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PATIENCE_MS = 60_000

_PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
  for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") done(startTime);
}).observe({ type: "paint", buffered: true }))"""

_WATCH = """() => {
  globalThis.drawn = new Promise((done) => {
    let dropped = null;
    addEventListener("drop", () => (dropped = performance.now()), { capture: true, once: true });
    // A change of this very drop, and not what is left of an earlier one.
    const before = document.querySelector("#tree svg");
    const look = new MutationObserver(() => {
      const tree = document.querySelector("#tree svg");
      if (dropped === null || document.body.dataset.state !== "answered" || !tree || tree === before) return;
      look.disconnect();
      // The first frame with it is on the screen when the next one begins.
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - dropped)));
    });
    look.observe(document.body, { subtree: true, childList: true, attributes: true });
  });
}"""
"""Is called before a drop; `drawn` is then the milliseconds from the drop to the frame that shows the answer."""


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Start Debian's Chromium; NotMeasuredError if there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        msg = "there is no Chromium (on Debian: apt install chromium)"
        raise NotMeasuredError(msg)
    try:
        # Only who measures the page needs it: the other benchmarks run without.
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = "Playwright is not installed (pip install playwright)"
        raise NotMeasuredError(msg) from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        try:
            yield browser
        finally:
            browser.close()


def measure(images: Sequence[bytes], rounds: int, drops: int) -> tuple[str, list[float], list[float], list[float]]:
    """Open the page so many times with nothing kept of it, and drop galaxies on it each time.

    Parameters
    ----------
    images
        JPEGs; each drop is of the next one.
    rounds
        How often the page is opened.
    drops
        How many galaxies are dropped on it then.

    Returns
    -------
    browser
        Its release.
    paints, first, others
        Milliseconds: to the first contentful paint; from the drop to the answer drawn, of the first galaxy of each
        round, and of those after it.

    Raises
    ------
    NotMeasuredError
        If there is no browser, or the service does not come up.
    """
    paints: list[float] = []
    answers: list[list[float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="drops") as folder,
        serving(service("int8", "cpu"), images[0]) as server,
        chromium() as browser,
    ):
        files = []
        for number, image in enumerate(images):
            files.append(Path(folder) / f"{number}.jpg")
            files[-1].write_bytes(image)
        # The first time, browser and service meet all their code; it is not counted.
        for number in range(rounds + 1):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(_PATIENCE_MS)
            page = context.new_page()
            page.goto(server.url)
            painted = float(page.evaluate(_PAINTED))
            begin = number * drops
            took = [_drop(page, files[(begin + each) % len(files)]) for each in range(drops)]
            context.close()
            if number:
                paints.append(painted)
                answers.append(took)
        version = browser.version
    return version, paints, [took[0] for took in answers], [each for took in answers for each in took[1:]]


def _drop(page: "Page", file: Path) -> float:
    """Drop a file as a file manager does; return the milliseconds until the answer is drawn."""
    box = page.locator("#drop").bounding_box()
    if box is None:
        msg = "the page has nowhere to drop a galaxy"
        raise NotMeasuredError(msg)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    page.evaluate(_WATCH)
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    session.detach()
    return float(page.evaluate("drawn"))
