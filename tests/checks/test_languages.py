"""Scripts and languages of texts."""

from __future__ import annotations

import sys

import pytest
from tests.helpers.corpora import Rows, corpus_from_rows

from fastlstm.checks.languages import NO_LETTERS, UNSURE, find_languages, text_script

ENGLISH = "The plot made no sense at all, and the acting was as weak as the music was loud."
FRENCH = "C'est un très bon film que je recommande à tout le monde sans aucune hésitation."
ROWS: Rows = [
    (ENGLISH, "x"),
    (f"{ENGLISH} Really.", "y"),
    (FRENCH, "x"),
    ("这部电影非常好看，我很喜欢这个故事", "y"),
    ("1/10", "x"),
]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a film", "Latin"),
        ("10/10 !!!", NO_LETTERS),
        ("très bien", "Latin"),
        ("好电影 ok", "Han"),
        ("Отличный film", "Cyrillic"),
        ("とてもいい映画", "Hiragana"),
        ("\uff21\uff22", "Latin"),
        ("…", NO_LETTERS),
    ],
)
def test_script_of_a_text_is_that_of_most_letters(text: str, script: str) -> None:
    assert text_script(text) == script


def test_languages_are_detected_with_the_extra() -> None:
    languages = find_languages(corpus_from_rows(training=ROWS), max_examples=10)
    assert languages.scripts == {"Latin": 3, "Han": 1, NO_LETTERS: 1}
    assert languages.languages == {"en": 2, "fr": 1, "zh": 1, UNSURE: 1}
    assert [example.location for example in languages.minority_examples] == [3, 4]
    limited = find_languages(corpus_from_rows(training=ROWS), max_examples=1)
    assert [example.location for example in limited.minority_examples] == [3]


def test_only_scripts_are_detected_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    languages = find_languages(corpus_from_rows(training=ROWS), max_examples=10)
    assert languages.scripts == {"Latin": 3, "Han": 1, NO_LETTERS: 1}
    assert languages.languages is None
    assert [example.location for example in languages.minority_examples] == [4]


def test_very_short_texts_are_unsure_and_not_a_minority() -> None:
    languages = find_languages(corpus_from_rows(training=[("ok", "x"), ("!", "y")]), max_examples=10)
    assert languages.languages == {UNSURE: 2}
    assert languages.minority_examples == ()
