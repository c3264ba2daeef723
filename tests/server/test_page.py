"""The page in a real browser."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.helpers.server_process import Server

from fastlstm.pretrained import DEFAULT_CLASSIFIER, bundled_model

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium not found; set CHROMIUM to its path")
OpenPage = Callable[..., Any]
TEXT = "This movie was fantastic! <b>I</b> really enjoyed it, 很好看 👍🏽."


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a server of the bundled model under two names."""
    folder = str(bundled_model(DEFAULT_CLASSIFIER))
    server = Server(["-m", f"one={folder}", "-m", f"two={folder}"], {**os.environ})
    yield server.address
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[OpenPage]:
    """A function that opens the page. An error on the page, or a request elsewhere, fails the test.

    `expected_errors` are parts of messages on the console that are not errors of the page.
    """
    errors: list[str] = []
    contexts: list[Any] = []
    allowed = address, "data:"

    def open_with(*, expected_errors: Sequence[str] = (), **options: Any) -> Any:
        def add_error(message: Any) -> None:
            if message.type == "error" and not any(part in message.text for part in expected_errors):
                errors.append(message.text)

        contexts.append(browser.new_context(**{"locale": "en-US", **options}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", add_error)
        page.on("request", lambda request: None if request.url.startswith(allowed) else errors.append(request.url))
        page.goto(address)
        page.wait_for_selector("#models input")
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert errors == []


def wait_until(page: Any, condition: str) -> None:
    """Wait for a JavaScript condition. Playwright's wait_for_function is blocked by the page's policy."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"timeout: {condition}")


def test_prediction_updates_while_typing(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.type("This movie was fant")  # the text area has the focus
    page.wait_for_selector(".result .prediction output")
    before = page.inner_text(".prediction output")
    page.keyboard.type("astic!")
    wait_until(page, f"document.querySelector('.prediction output').textContent !== {before!r}")
    assert page.inner_text(".prediction output").startswith("positive ")


def test_tokens_are_coloured_and_the_text_is_not_parsed_as_html(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", TEXT)
    page.wait_for_selector(".tokens span")
    assert page.inner_text(".tokens").replace(" ", "") == TEXT.replace(" ", "")
    tokens = page.eval_on_selector_all(".tokens span", "spans => spans.map(span => span.textContent)")
    assert {"fantastic", "很", "enjoyed"} <= set(tokens)
    colours = page.eval_on_selector_all(
        ".tokens span", "spans => spans.map(span => getComputedStyle(span).backgroundColor)"
    )
    assert len(set(colours)) > 3
    assert page.query_selector(".tokens b") is None
    assert page.eval_on_selector_all("tbody tr", "rows => rows.length") == 10


def test_gates_of_any_unit_are_drawn_and_reachable_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", TEXT)
    page.wait_for_selector(".result summary")
    page.focus(".result summary")
    page.keyboard.press("Enter")
    page.wait_for_selector(".gates[aria-label]")
    before = page.get_attribute(".gates", "aria-label")
    page.fill(".unit", "7")
    wait_until(page, f"document.querySelector('.gates').getAttribute('aria-label') !== {before!r}")
    assert page.eval_on_selector(
        ".gates", "canvas => canvas.getContext('2d').getImageData(0, 0, 900, 260).data.some(value => value)"
    )


def test_models_are_shown_side_by_side(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 1200, "height": 900})
    page.fill("#text", TEXT)
    page.check("#models input >> nth=1")
    page.wait_for_selector(".result >> nth=1 >> .prediction")
    first, second = page.eval_on_selector_all(
        ".result", "sections => sections.map(section => section.getBoundingClientRect().toJSON())"
    )
    assert first["top"] == second["top"]
    page.uncheck("#models input >> nth=0")
    wait_until(page, "document.querySelectorAll('.result').length === 1")
    assert page.inner_text(".result h2") == "two"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1200, "dark")])
def test_layout_fits_narrow_screens_and_dark_mode(open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page.fill("#text", TEXT + " " + "x" * 300)
    page.wait_for_selector(".tokens span")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_language_follows_the_browser_and_can_be_switched(open_page: OpenPage) -> None:
    page = open_page(locale="zh-CN")
    messages = page.evaluate("MESSAGES")
    assert messages["zh"].keys() == messages["en"].keys()
    assert page.inner_text("label[for=text]") == messages["zh"]["enterText"]
    assert page.get_attribute("html", "lang") == "zh-CN"
    page.click("#language")
    assert page.inner_text("label[for=text]") == messages["en"]["enterText"]
    assert page.get_attribute("html", "lang") == "en"


def colours(page: Any) -> list[str]:
    """Return the background of each token."""
    script = "spans => spans.map(span => getComputedStyle(span).backgroundColor)"
    return list(page.eval_on_selector_all(".tokens span", script))


def strength(colour: str) -> float:
    """Return the opacity of a colour: 0 to 1."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)]
    return numbers[3] if len(numbers) == 4 else 1.0


def test_text_without_known_words_has_no_label_and_a_warning(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", "zqxj qqzzx")
    page.wait_for_selector(".known.warning")
    messages = page.evaluate("MESSAGES.en")
    assert page.inner_text(".prediction output") == messages["noLabel"]
    assert messages["nothingKnown"] in page.inner_text(".known")
    assert page.eval_on_selector_all(".tokens .unknown", "spans => spans.map(span => span.textContent)") == [
        "zqxj",
        "qqzzx",
    ]
    assert page.eval_on_selector_all(".bar", "bars => bars.length") == 2
    page.click("#language")
    wait_until(page, "document.querySelector('.known').textContent.startsWith(MESSAGES.zh.nothingKnown)")
    assert page.inner_text(".prediction output") == page.evaluate("MESSAGES.zh.noLabel")


def test_unknown_words_of_other_texts_are_marked_and_listed(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", "zqxj qqzzx qzxq xqzz $& wonderful")
    page.wait_for_selector(".known.warning")
    assert "zqxj · qqzzx" in page.inner_text(".known")
    assert page.inner_text(".prediction output").startswith("positive ")
    page.fill("#text", "A wonderful film by zqxj.")
    wait_until(page, "!document.querySelector('.known').classList.contains('warning')")
    assert page.inner_text(".known") == page.evaluate("MESSAGES.en.unknownTokens") + "zqxj"
    page.fill("#text", "A wonderful film.")
    page.wait_for_selector(".known", state="hidden")
    assert page.query_selector(".tokens .unknown") is None


def test_colours_have_a_fixed_scale(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", "zqxj qqzzx")
    page.wait_for_selector(".tokens span")
    gibberish = max(map(strength, colours(page)))
    page.fill("#text", "The worst film, horrible and wonderful.")
    wait_until(page, "document.querySelectorAll('.tokens span').length > 5")
    strengths = dict(
        zip(
            page.eval_on_selector_all(".tokens span", "spans => spans.map(span => span.textContent)"),
            map(strength, colours(page)),
            strict=True,
        )
    )
    assert gibberish < 0.3 < 0.6 < strengths["horrible"]


def test_text_that_is_too_long_removes_the_previous_result(open_page: OpenPage) -> None:
    page = open_page(expected_errors=["413"])
    page.fill("#text", TEXT)
    page.wait_for_selector(".result .prediction")
    page.fill("#text", "film " * 5000)
    wait_until(page, "document.querySelectorAll('.result').length === 0")
    assert page.inner_text("#status").startswith(page.evaluate("MESSAGES.en.tooLong"))
    page.fill("#text", "A wonderful film.")
    page.wait_for_selector(".result .prediction")
    wait_until(page, "document.querySelector('#status').textContent === ''")


def test_server_that_is_gone_removes_the_previous_result_and_is_found_again(open_page: OpenPage) -> None:
    page = open_page(expected_errors=["ERR_"])
    page.fill("#text", TEXT)
    page.check("#models input >> nth=1")
    page.wait_for_selector(".result >> nth=1 >> .prediction")
    page.route("**/explain", lambda route: route.abort())
    page.fill("#text", "A horrible film.")
    wait_until(page, "document.querySelectorAll('.result').length === 0")
    assert page.inner_text("#status") == page.evaluate("MESSAGES.en.unreachable")
    page.unroute("**/explain")
    page.fill("#text", "A horrible film indeed.")
    page.wait_for_selector(".result >> nth=1 >> .prediction")
    assert page.inner_text(".result >> nth=0 >> .prediction").startswith("negative ")


def test_result_is_busy_until_the_server_responds(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", TEXT)
    page.wait_for_selector(".result:not([aria-busy]) .prediction")
    held: list[Any] = []
    page.route("**/explain", lambda route: held.append(route))
    page.fill("#text", "A horrible film.")
    page.wait_for_selector(".result[aria-busy=true]")
    wait_until(page, "document.querySelector('#status').textContent === MESSAGES.en.predicting")
    for _ in range(300):
        if held:
            break
        page.wait_for_timeout(20)
    held.pop().continue_()
    page.wait_for_selector(".result:not([aria-busy]) .prediction")
    assert page.inner_text(".prediction output").startswith("negative ")


def test_empty_text_removes_the_results(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#text", TEXT)
    page.wait_for_selector(".result")
    page.fill("#text", "  ")
    wait_until(page, "document.querySelectorAll('.result').length === 0")


def test_page_asks_for_the_token_if_the_server_requires_one(browser: Any) -> None:
    folder = str(bundled_model(DEFAULT_CLASSIFIER))
    server = Server(["-m", folder], {**os.environ, "FASTLSTM_TOKEN": "sesame"})
    try:
        page = browser.new_context(locale="en-US").new_page()
        page.goto(server.address)
        page.wait_for_selector("#token-row:not([hidden])")
        assert page.inner_text("#status") == page.evaluate("MESSAGES.en.tokenRequired")
        page.fill("#token", "sesame")
        page.press("#token", "Enter")
        page.wait_for_selector("#models input")
        page.fill("#text", TEXT)
        page.wait_for_selector(".result .prediction")
    finally:
        server.stop()


def test_api_documentation_renders_without_requests_to_other_servers(browser: Any, address: str) -> None:
    page = browser.new_page()
    urls, errors = list[str](), list[str]()
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/docs")
    page.wait_for_selector("#operations-default-predict_predict_post")
    page.click("#operations-default-predict_predict_post button.opblock-summary-control")
    page.wait_for_selector(".opblock-body .model-example")
    page.close()
    assert [url for url in urls if not url.startswith((address, "data:"))] == []
    assert {f"{address}/openapi.json", f"{address}/docs/assets/swagger-ui-bundle.js"} <= set(urls)
    assert errors == []
