"""Who looks at something else meanwhile sees that: nothing that comes late is shown for it."""

from playwright.sync_api import expect

from tests.page.browsing import Watched
from tests.page.looking import EXAMPLES, drop, wait_for_answer

FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

HOLD_FIRST_ANSWER = """() => {
  const { fetch } = globalThis;
  let first = true;
  globalThis.fetch = async (url, options) => {
    const hold = first && String(url).includes("/classify");
    if (hold) first = false;
    const answer = await fetch(url, options);
    if (hold) await new Promise((goOn) => {
      globalThis.goOn = goOn;
      document.documentElement.dataset.held = "true";
    });
    return answer;
  };
}"""

HOLD_DECODING = """() => {
  const { decode } = HTMLImageElement.prototype;
  HTMLImageElement.prototype.decode = function () {
    return decode.call(this).then(() => new Promise((goOn) => {
      globalThis.goOn = goOn;
      document.documentElement.dataset.held = "true";
    }));
  };
}"""


def test_an_answer_that_comes_late_is_not_shown(watched: Watched) -> None:
    page = watched.open()
    page.evaluate(HOLD_FIRST_ANSWER)
    drop(page, EXAMPLES / "spiral.jpg")
    expect(page.locator("html")).to_have_attribute("data-held", "true")
    drop(page, EXAMPLES / "smooth.jpg")
    expect(page.locator("#facts")).to_contain_text("smooth.jpg")
    wait_for_answer(page)
    said = page.locator("#summary").inner_text()
    page.evaluate("goOn()")
    page.evaluate(FRAMES)
    expect(page.locator("#facts")).to_contain_text("smooth.jpg")
    assert page.locator("#summary").inner_text() == said
    expect(page.locator("#picture img")).to_have_attribute("alt", "What was looked at: smooth.jpg")


def test_a_picture_that_is_decoded_late_is_not_shown(watched: Watched) -> None:
    page = watched.open()
    page.evaluate(HOLD_DECODING)
    page.route("**/classify*", lambda _: None)
    page.route("**/classify/batch*", lambda _: None)
    drop(page, EXAMPLES / "spiral.jpg")
    expect(page.locator("html")).to_have_attribute("data-held", "true")
    # What comes now has no picture before its answer.
    with page.expect_request("**/classify/batch*"):
        page.evaluate(
            """() => {
              document.querySelector("#url").value = "https://elsewhere.example/galaxy.jpg";
              document.querySelector("#by-url").requestSubmit();
            }"""
        )
    page.evaluate("goOn()")
    page.evaluate(FRAMES)
    expect(page.locator("body")).to_have_attribute("data-state", "looking")
    assert page.locator("#picture img").is_hidden()
