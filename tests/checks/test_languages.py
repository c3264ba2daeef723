"""Scripts and languages."""

from __future__ import annotations

import sys

import pytest
from tests.checks.conftest import MakePool, Rows

from fastlstm.checks.languages import NO_LETTERS, UNSURE, find_languages, script_of

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
def test_a_text_s_script_is_that_of_most_of_its_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_languages_are_told_with_the_extra(make_pool: MakePool) -> None:
    found = find_languages(make_pool(training=ROWS), most=10)
    assert found.scripts == {"Latin": 3, "Han": 1, NO_LETTERS: 1}
    assert found.languages == {"en": 2, "fr": 1, "zh": 1, UNSURE: 1}
    assert [example.record for example in found.others] == [3, 4]
    assert [example.record for example in find_languages(make_pool(training=ROWS), most=1).others] == [3]


def test_without_the_extra_scripts_are_told(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    found = find_languages(make_pool(training=ROWS), most=10)
    assert found.scripts == {"Latin": 3, "Han": 1, NO_LETTERS: 1}
    assert found.languages is None
    assert [example.record for example in found.others] == [4]


def test_texts_too_short_to_tell_are_in_no_other_language(make_pool: MakePool) -> None:
    found = find_languages(make_pool(training=[("ok", "x"), ("!", "y")]), most=10)
    assert found.languages == {UNSURE: 2}
    assert found.others == ()
