"""Texts that something went wrong with."""

from __future__ import annotations

import pytest
from tests.checks.conftest import MakePool

from fastlstm.checks.corpus import tokenize_corpus
from fastlstm.checks.text_quality import find_text_issues

PLAIN = "a perfectly plain sentence about a film"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (PLAIN, []),
        ("line one<br />line two<br>line three", []),
        ("5 < 6 and R&B; AT&T", []),
        ("ok", ["very short"]),
        ("\u200b", ["very short", "hardly any letters"]),
        ("10/10 !!! :-) 2004", ["hardly any letters"]),
        ("हिन्दी में लिखा हुआ वाक्य", []),
        ("<p>a film about it</p>", ["HTML"]),
        ('a <a href="x">link to it</a>', ["HTML"]),
        ("it&#39;s a film", ["HTML"]),
        ("rock &amp; roll film", ["HTML"]),
        ("a filmâ€™s very end", ["broken characters"]),
        ("a cafÃ© in a film", ["broken characters"]),
        ("a caf\ufffd in a film", ["broken characters"]),
        ("SÃO PAULO in a film", []),
    ],
)
def test_each_kind_is_told_from_plain_text(text: str, kinds: list[str], make_pool: MakePool) -> None:
    texts = make_pool(training=[(PLAIN, "x"), (PLAIN, "y")], test=[(text, "x")])
    found = find_text_issues(texts, tokenize_corpus(texts).lengths, most=5)
    assert [blemish.kind for blemish in found] == kinds
    for blemish in found:
        assert blemish.texts == {"training": 0, "test": 1}
        assert [(example.part, example.record) for example in blemish.examples] == [("test", 1)]


def test_an_example_shows_the_place(make_pool: MakePool) -> None:
    texts = make_pool(training=[(f"{'word ' * 200}<i>here</i>{' word' * 200}", "x"), (PLAIN, "y")])
    (blemish,) = find_text_issues(texts, tokenize_corpus(texts).lengths, most=1)
    assert "<i>here</i>" in blemish.examples[0].text
