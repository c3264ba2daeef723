"""The page in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Serve  # noqa: F401 -- skips where the extra is missing

from fastlstm.pretrained import DEFAULT_CLASSIFIER, bundled_model

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; CHROMIUM names one")
Opened = Callable[..., Any]
TEXT = "This movie was fantastic! <b>Not</b> bad at all, 很好看 👍🏽."


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the bundled model under two names."""
    from tests.helpers.server_process import Server

    folder = str(bundled_model(DEFAULT_CLASSIFIER))
    started = Server(["-m", f"one={folder}", "-m", f"two={folder}"], {**os.environ})
    yield started.address
    started.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Opened]:
    """Opens the page in a browser with these options. A fault on it, or a request elsewhere, fails the test."""
    faults: list[str] = []
    contexts: list[Any] = []
    own = address, "data:"

    def open_page(**options: Any) -> Any:
        contexts.append(browser.new_context(**{"locale": "en-US", **options}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(own) else faults.append(request.url))
        page.goto(address)
        page.wait_for_selector("#models input")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def until(page: Any, condition: str) -> None:
    """Waits for a condition in JavaScript. Playwright's own way evaluates it where the policy forbids that."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came to {condition}")


def test_the_answer_moves_as_one_types(opened: Opened) -> None:
    page = opened()
    page.keyboard.type("This movie was fant")  # the text has the focus
    page.wait_for_selector(".answer .verdict output")
    before = page.inner_text(".verdict output")
    page.keyboard.type("astic!")
    until(page, f"document.querySelector('.verdict output').textContent !== {before!r}")
    assert page.inner_text(".verdict output").startswith("positive ")


def test_each_token_is_coloured_and_the_text_is_no_markup(opened: Opened) -> None:
    page = opened()
    page.fill("#text", TEXT)
    page.wait_for_selector(".tokens span")
    assert page.inner_text(".tokens").replace(" ", "") == TEXT.replace(" ", "")
    tokens = page.eval_on_selector_all(".tokens span", "spans => spans.map(span => span.textContent)")
    assert {"fantastic", "很", "bad"} <= set(tokens)
    colours = page.eval_on_selector_all(
        ".tokens span", "spans => spans.map(span => getComputedStyle(span).backgroundColor)"
    )
    assert len(set(colours)) > 3
    assert page.query_selector(".tokens b") is None
    assert page.eval_on_selector_all("tbody tr", "rows => rows.length") == 10


def test_gates_are_drawn_of_any_unit_and_by_keyboard(opened: Opened) -> None:
    page = opened()
    page.fill("#text", TEXT)
    page.wait_for_selector(".answer summary")
    page.focus(".answer summary")
    page.keyboard.press("Enter")
    page.wait_for_selector(".gates[aria-label]")
    before = page.get_attribute(".gates", "aria-label")
    page.fill(".unit", "7")
    until(page, f"document.querySelector('.gates').getAttribute('aria-label') !== {before!r}")
    assert page.eval_on_selector(
        ".gates", "canvas => canvas.getContext('2d').getImageData(0, 0, 900, 260).data.some(value => value)"
    )


def test_models_stand_side_by_side(opened: Opened) -> None:
    page = opened(viewport={"width": 1200, "height": 900})
    page.fill("#text", TEXT)
    page.check("#models input >> nth=1")
    page.wait_for_selector(".answer >> nth=1 >> .verdict")
    first, second = page.eval_on_selector_all(
        ".answer", "all => all.map(one => one.getBoundingClientRect().toJSON())"
    )
    assert first["top"] == second["top"]
    page.uncheck("#models input >> nth=0")
    until(page, "document.querySelectorAll('.answer').length === 1")
    assert page.inner_text(".answer h2") == "two"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1200, "dark")])
def test_it_fits_a_phone_and_the_dark(opened: Opened, width: int, scheme: str) -> None:
    page = opened(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page.fill("#text", TEXT + " " + "x" * 300)
    page.wait_for_selector(".tokens span")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_it_speaks_chinese_where_the_browser_does_and_when_asked(opened: Opened) -> None:
    page = opened(locale="zh-CN")
    assert page.inner_text("label[for=text]") == "输入或粘贴一段文本"
    assert page.get_attribute("html", "lang") == "zh-CN"
    page.click("#language")
    assert page.inner_text("label[for=text]") == "Type or paste a text"


def test_an_empty_text_has_no_answer(opened: Opened) -> None:
    page = opened()
    page.fill("#text", TEXT)
    page.wait_for_selector(".answer")
    page.fill("#text", "  ")
    until(page, "document.querySelectorAll('.answer').length === 0")


def test_a_token_is_asked_for_where_the_server_wants_one(browser: Any) -> None:
    from tests.helpers.server_process import Server

    folder = Path(str(bundled_model(DEFAULT_CLASSIFIER)))
    started = Server(["-m", str(folder)], {**os.environ, "FASTLSTM_TOKEN": "sesame"})
    try:
        page = browser.new_context(locale="en-US").new_page()
        page.goto(started.address)
        page.wait_for_selector("#token-row:not([hidden])")
        assert page.inner_text("#status") == "The server wants a token."
        page.fill("#token", "sesame")
        page.press("#token", "Enter")
        page.wait_for_selector("#models input")
        page.fill("#text", TEXT)
        page.wait_for_selector(".answer .verdict")
    finally:
        started.stop()
