"""Texts that stand more than once."""

from __future__ import annotations

from tests.checks.conftest import MakePool

from fastlstm.checks.duplicates import SHOWN_OF_ONE, Overlap, duplicate_groups, find_duplicates


def test_case_white_space_and_line_breaks_make_no_other_text() -> None:
    texts = ["Good film", "good  FILM\n", "good<br />film", "good film!", "Cafe\u0301", "caf\u00e9"]
    assert duplicate_groups(texts).tolist() == [0, 0, 0, 1, 2, 2]


def test_repeats_are_counted_within_and_across_parts(make_pool: MakePool) -> None:
    texts = make_pool(
        training=[("a", "x"), ("A", "x"), ("b", "y"), ("c", "y")],
        validation=[("b", "y"), ("d", "x")],
        test=[("c", "y"), ("B ", "y"), ("e", "x"), ("e", "x"), ("d", "x")],
    )
    found = find_duplicates(texts, duplicate_groups(texts.texts), most=10)
    assert found.different == 5
    assert found.within == {"training": 1, "validation": 0, "test": 1}
    assert found.across == (
        Overlap("validation", ("training",), texts=1, to_the_letter=1),
        Overlap("test", ("training", "validation"), texts=3, to_the_letter=2),
    )
    assert (found.conflicts, found.conflicting, found.contradicting) == (0, 0, ())
    assert [repeated.times for repeated in found.repeated] == [3, 2, 2, 2, 2]
    assert [(e.part, e.record) for e in found.repeated[0].examples] == [
        ("training", 3), ("validation", 1), ("test", 2),
    ]  # fmt: skip


def test_a_text_with_two_labels_is_a_conflict_and_both_labels_are_shown(make_pool: MakePool) -> None:
    rows = [("same", "x")] * 9 + [("same", "y"), ("other", "x"), ("other", "x"), ("once", "y")]
    texts = make_pool(training=rows)
    found = find_duplicates(texts, duplicate_groups(texts.texts), most=10)
    assert (found.conflicts, found.conflicting) == (1, 10)
    (conflict,) = found.contradicting
    assert conflict.times == 10
    assert len(conflict.examples) == SHOWN_OF_ONE
    assert {example.label for example in conflict.examples} == {"x", "y"}
    assert [repeated.times for repeated in found.repeated] == [2]


def test_no_more_examples_come_than_asked_for_the_most_frequent_first(make_pool: MakePool) -> None:
    rows = [(f"text {k}", "x") for k in range(4) for _ in range(k + 1)] + [("y", "y")]
    texts = make_pool(training=rows)
    found = find_duplicates(texts, duplicate_groups(texts.texts), most=2)
    assert [(r.times, r.examples[0].text) for r in found.repeated] == [(4, "text 3"), (3, "text 2")]


def test_different_texts_are_no_finding(make_pool: MakePool) -> None:
    texts = make_pool(training=[("a", "x"), ("b", "y")], test=[("c", "x")])
    found = find_duplicates(texts, duplicate_groups(texts.texts), most=2)
    assert (found.across, found.repeated, found.contradicting) == ((), (), ())
