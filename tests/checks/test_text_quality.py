"""Class counts and text issues."""

from __future__ import annotations

import pytest
from tests.helpers.corpora import corpus_from_rows

from fastlstm.checks.corpus import Corpus, tokenize_corpus
from fastlstm.checks.text_quality import (
    BROKEN_CHARACTERS,
    FEW_LETTERS,
    HTML,
    VERY_SHORT,
    ClassCounts,
    TextIssue,
    count_classes,
    find_text_issues,
)

PLAIN = "a perfectly plain sentence about a film"


def find(corpus: Corpus, max_examples: int = 5) -> tuple[TextIssue, ...]:
    return find_text_issues(corpus, tokenize_corpus(corpus).lengths, max_examples)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (PLAIN, []),
        ("line one<br />line two<br>line three", []),
        ("5 < 6 and R&B; AT&T", []),
        ("ok", [VERY_SHORT]),
        ("\u200b", [VERY_SHORT, FEW_LETTERS]),
        ("10/10 !!! :-) 2004", [FEW_LETTERS]),
        ("हिन्दी में लिखा हुआ वाक्य", []),
        ("<p>a film about it</p>", [HTML]),
        ('a <a href="x">link to it</a>', [HTML]),
        ("it&#39;s a film", [HTML]),
        ("rock &amp; roll film", [HTML]),
        ("a filmâ€™s very end", [BROKEN_CHARACTERS]),
        ("a cafÃ© in a film", [BROKEN_CHARACTERS]),
        ("a caf\ufffd in a film", [BROKEN_CHARACTERS]),
        ("SÃO PAULO in a film", []),
    ],
)
def test_each_kind_of_issue_is_found(text: str, kinds: list[str]) -> None:
    issues = find(corpus_from_rows(training=[(PLAIN, "x"), (PLAIN, "y")], test=[(text, "x")]))
    assert [issue.kind for issue in issues] == kinds
    for issue in issues:
        assert issue.texts == {"training": 0, "test": 1}
        assert [(example.part, example.location) for example in issue.examples] == [("test", 1)]


def test_example_shows_the_position_of_the_issue() -> None:
    training = [(f"{'word ' * 200}<i>here</i>{' word' * 200}", "x"), (PLAIN, "y")]
    (issue,) = find(corpus_from_rows(training=training), max_examples=1)
    assert "<i>here</i>" in issue.examples[0].text


def test_every_training_class_is_counted_in_every_part() -> None:
    corpus = corpus_from_rows(training=[("a", "x"), ("b", "y"), ("c", "y")], test=[("d", "y")])
    assert count_classes(corpus) == {
        "training": ClassCounts("dataset", 3, {"x": 1, "y": 2}),
        "test": ClassCounts("dataset", 1, {"x": 0, "y": 1}),
    }
