"""Texts that occur more than once."""

from __future__ import annotations

from tests.helpers.corpora import Rows, corpus_from_rows

from fastlstm.checks.duplicates import (
    MAX_EXAMPLES_PER_TEXT,
    Duplicates,
    Overlap,
    duplicate_groups,
    find_duplicates,
)


def find(max_examples: int = 10, **parts: Rows) -> Duplicates:
    corpus = corpus_from_rows(**parts)
    return find_duplicates(corpus, duplicate_groups(corpus.texts), max_examples)


def test_case_white_space_and_line_breaks_do_not_matter() -> None:
    texts = ["Good film", "good  FILM\n", "good<br />film", "good film!", "Cafe\u0301", "caf\u00e9"]
    assert duplicate_groups(texts).tolist() == [0, 0, 0, 1, 2, 2]


def test_repetitions_are_counted_within_and_across_parts() -> None:
    duplicates = find(
        training=[("a", "x"), ("A", "x"), ("b", "y"), ("c", "y")],
        validation=[("b", "y"), ("d", "x")],
        test=[("c", "y"), ("B ", "y"), ("e", "x"), ("e", "x"), ("d", "x")],
    )
    assert duplicates.distinct == 5
    assert duplicates.within == {"training": 1, "validation": 0, "test": 1}
    assert duplicates.across == (
        Overlap("validation", ("training",), texts=1, identical=1),
        Overlap("test", ("training", "validation"), texts=3, identical=2),
    )
    assert (duplicates.contradictions, duplicates.contradicting_texts, duplicates.contradicting) == (0, 0, ())
    assert [text.times for text in duplicates.repeated] == [3, 2, 2, 2, 2]
    assert [(e.part, e.location) for e in duplicates.repeated[0].examples] == [
        ("training", 3), ("validation", 1), ("test", 2),
    ]  # fmt: skip


def test_contradiction_is_counted_and_every_label_is_shown() -> None:
    rows = [("same", "x")] * 9 + [("same", "y"), ("other", "x"), ("other", "x"), ("once", "y")]
    duplicates = find(training=rows)
    assert (duplicates.contradictions, duplicates.contradicting_texts) == (1, 10)
    (contradiction,) = duplicates.contradicting
    assert contradiction.times == 10
    assert len(contradiction.examples) == MAX_EXAMPLES_PER_TEXT
    assert {example.label for example in contradiction.examples} == {"x", "y"}
    assert [text.times for text in duplicates.repeated] == [2]


def test_examples_are_limited_and_the_most_frequent_come_first() -> None:
    rows = [(f"text {k}", "x") for k in range(4) for _ in range(k + 1)] + [("y", "y")]
    duplicates = find(max_examples=2, training=rows)
    assert [(text.times, text.examples[0].text) for text in duplicates.repeated] == [(4, "text 3"), (3, "text 2")]


def test_distinct_texts_have_no_duplicates() -> None:
    duplicates = find(training=[("a", "x"), ("b", "y")], test=[("c", "x")])
    assert (duplicates.across, duplicates.repeated, duplicates.contradicting) == ((), (), ())
