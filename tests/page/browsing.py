"""A real browser, and one who looks over its shoulder: what no page may do is noted, whatever the test is about.

What is waited for is an `expect`. Playwright's ``wait_for_function`` has the page evaluate text at each look after the
first, which the page's policy forbids: it passes where that is there at once, and fails on a busy machine.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PATIENCE_MS = 60_000

_REPORTS = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
  console.error(`against the policy: ${violatedDirective} ${blockedURI} at ${sourceFile}:${lineNumber}`));
addEventListener("unhandledrejection", ({ reason }) => console.error(`not handled: ${reason?.stack ?? reason}`));
const shifts = [];
globalThis.shiftedSince = (begin) => shifts.filter(([at]) => at > begin);
new PerformanceObserver((list) => {
  for (const { startTime, value, hadRecentInput, sources } of list.getEntries()) {
    const names = sources.map(({ node, previousRect, currentRect }) =>
      `${node?.id || node?.className || node?.nodeName}: ${previousRect.top} -> ${currentRect.top}`);
    if (!hadRecentInput) shifts.push([startTime, value, ...names]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""Is there before anything of a page is. What of it jumped while nobody did anything is in `shiftedSince`."""

_INSIDE = ("blob:", "data:", "about:")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium.

    While it runs, there is an event loop in this thread, so that tests of other modules can't have one of their own.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """Opens pages of one service, and notes what they must not do.

    Attributes
    ----------
    complaints
        Errors on the console, exceptions, reports of the Content-Security-Policy, requests to other hosts.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.complaints: list[str] = []
        self._browser, self._url = browser, url
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []

    def open(self, path: str = "/", **options: Any) -> Page:  # noqa: ANN401 (Playwright's own)
        """Go to a page in a context of its own: no cache, no storage.

        Parameters
        ----------
        path
        options
            Of the context: ``viewport``, ``color_scheme``, …
        """
        context = self._browser.new_context(base_url=self._url, locale="en-GB", **options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self._url)
        context.add_init_script(_REPORTS)
        context.on("console", self._on_console)
        context.on("request", self._on_request)
        context.on("weberror", lambda error: self.complaints.append(f"exception: {error.error}"))
        page = context.new_page()
        page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        """Have complaints that match be part of this test: at least one has to come."""
        self._expected.append(pattern)

    def expect_status(self, status: int) -> None:
        """Have a request be refused, which Chromium itself writes on the console."""
        self.expect(rf"Failed to load resource: the server responded with a status of {status} ")

    def close(self) -> None:
        """Close all pages, and say what was wrong with them."""
        for context in self._contexts:
            context.close()
        wrong = [each for each in self.complaints if not any(re.search(pattern, each) for pattern in self._expected)]
        assert not wrong, "\n".join(wrong)
        for pattern in self._expected:
            assert any(re.search(pattern, each) for each in self.complaints), f"nothing came like {pattern!r}"

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(_INSIDE) and urlsplit(request.url).netloc != urlsplit(self._url).netloc:
            self.complaints.append(f"asked of another host: {request.url}")


def assert_accessible(page: Page) -> None:
    """Have axe-core find nothing."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def be_patient() -> None:
    """Have assertions about pages wait as long as a busy machine needs."""
    expect.set_options(timeout=PATIENCE_MS)
