"""Who looks over the browser's shoulder sees what it is there to see: else no test in a browser could fail for it."""

import pytest
from playwright.sync_api import Browser

from tests.page.browsing import Watched
from tests.servers import Process


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.error('on the console')", "on the console"),
        ("setTimeout(() => { throw new Error('thrown') })", "thrown"),
        ("Promise.reject(new Error('rejected'))", "not handled: Error: rejected"),
        ("document.body.setAttribute('style', 'color: red')", "against the policy: style-src"),
        ("new Image().src = 'http://127.0.0.1:9/elsewhere.png'", "against the policy: img-src"),
    ],
)
def test_what_a_page_must_not_do_is_noted(browser: Browser, page_service: Process, script: str, told: str) -> None:
    watched = Watched(browser, page_service.url)
    page = watched.open()
    with page.expect_console_message(lambda message: "done" in message.text):
        page.evaluate(f"{{ {script}; setTimeout(() => console.log('done'), 50) }}")
    with pytest.raises(AssertionError, match=told):
        watched.close()


def test_a_page_of_another_host_is_noted(browser: Browser, page_service: Process) -> None:
    watched = Watched(browser, page_service.url)
    page = watched.open()
    page.context.route("http://elsewhere.example/**", lambda route: route.fulfill(body="hello"))
    page.goto("http://elsewhere.example/")
    with pytest.raises(AssertionError, match="another host: http://elsewhere"):
        watched.close()


def test_what_was_expected_has_to_come(browser: Browser, page_service: Process) -> None:
    watched = Watched(browser, page_service.url)
    watched.open()
    watched.expect("an error")
    with pytest.raises(AssertionError, match="nothing came like"):
        watched.close()
