"""Recommendations for each finding, and none without a problem."""

from __future__ import annotations

import pytest

from fastlstm.checks import recommendations as recommend
from fastlstm.checks.duplicates import Duplicates, Overlap
from fastlstm.checks.label_noise import LabelNoise, judge_is_reliable
from fastlstm.checks.languages import Languages
from fastlstm.checks.statistics import LengthPercentiles, Lengths, Truncation, Vocabulary
from fastlstm.checks.text_quality import BROKEN_CHARACTERS, FEW_LETTERS, HTML, VERY_SHORT, ClassCounts, TextIssue


def parts(**classes: dict[str, int]) -> dict[str, ClassCounts]:
    return {name: ClassCounts(name, sum(counts.values()), counts) for name, counts in classes.items()}


def noise(agreement: float, suspect: int, unchecked: int = 0) -> LabelNoise:
    is_reliable = judge_is_reliable(agreement, 0.5, 1000)
    return LabelNoise(1000, unchecked, agreement, 0.5, is_reliable, {"training": suspect}, (), (), ())


def lengths(truncated: float) -> Lengths:
    percentiles = LengthPercentiles(50, 1, 5, 25, 50, 75, 95, 1234, 2000)
    truncation = Truncation("tutorial", 500, "end", truncated, truncated / 2)
    return Lengths({"training": percentiles}, (truncation,), (1,), 1)


def vocabulary(unknown: float, unseen: float, sufficient_size: int = 300) -> Vocabulary:
    return Vocabulary(
        200, 200, 400, 9, {"training": 0, "test": unknown}, {"training": 0, "test": unseen}, sufficient_size, ()
    )


def codes(recommendations: recommend.Recommendations) -> list[str]:
    return [recommendation.code for recommendation in recommendations]


def assert_contains(recommendation: recommend.Recommendation, *values: str) -> None:
    """Assert that the text contains the values."""
    for value in values:
        assert value in recommendation.text


def test_dataset_without_problems_has_no_recommendations() -> None:
    even = parts(training={"a": 50, "b": 40}, test={"a": 5, "b": 4})
    assert recommend.recommend_for_classes(even) == ()
    duplicates = Duplicates(9, {"training": 0, "test": 0}, (), 0, 0, (), ())
    assert recommend.recommend_for_duplicates(duplicates, even) == ()
    assert recommend.recommend_for_labels(noise(0.95, 0)) == ()
    assert recommend.recommend_for_lengths(lengths(0.001)) == ()
    assert recommend.recommend_for_vocabulary(vocabulary(0.01, 0.01)) == ()
    languages = Languages({"Latin": 5, "no letters": 1}, {"en": 5, "unsure": 1}, ())
    assert recommend.recommend_for_languages(languages) == ()
    assert recommend.recommend_for_text_issues(()) == ()


def test_imbalanced_small_and_missing_classes_have_recommendations() -> None:
    result = recommend.recommend_for_classes(
        parts(training={"a": 300, "b": 19, "c": 50}, test={"a": 3, "b": 1, "c": 0})
    )
    assert codes(result) == ["imbalanced-classes", "small-classes", "missing-classes"]
    assert_contains(result[0], "a has 15.8 times", " b:")
    assert_contains(result[1], "20 ", " b:")
    assert_contains(result[2], "test", " c:")


def test_class_names_that_differ_in_case_have_a_recommendation() -> None:
    (result,) = recommend.recommend_for_classes(parts(training={"Good": 30, "good": 30, "bad": 30}))
    assert result.code == "same-class-names"
    assert_contains(result, "Good, good")


def test_many_classes_are_abbreviated() -> None:
    (result,) = recommend.recommend_for_classes(parts(training={f"class {k}": 1 for k in range(8)}))
    assert_contains(result, "class 0, class 1, class 2, class 3, class 4 and 3 more")


@pytest.mark.parametrize(
    ("texts", "identical", "degree"), [(123, "all identical", "slightly"), (900, "123 identical", "too")]
)
def test_overlapping_parts_have_a_recommendation(texts: int, identical: str, degree: str) -> None:
    overlap = Overlap("test", ("training", "validation"), texts, 123)
    duplicates = Duplicates(9, {"training": 0, "test": 0}, (overlap,), 0, 0, (), ())
    (result,) = recommend.recommend_for_duplicates(duplicates, parts(training={"a": 9}, test={"a": 25_000}))
    assert result.code == "overlapping-parts"
    assert_contains(result, f"{texts} of 25,000 test", "training or validation", identical, degree)


def test_repeated_texts_and_contradictions_have_recommendations() -> None:
    duplicates = Duplicates(9, {"training": 1, "validation": 0, "test": 2000}, (), 3, 7, (), ())
    result = recommend.recommend_for_duplicates(duplicates, parts(training={"a": 9}))
    assert codes(result) == ["repeated-training-texts", "repeated-evaluation-texts", "contradicting-labels"]
    assert_contains(result[0], "1 repeated text in training")
    assert_contains(result[1], "0 repeated texts in validation", "2,000 repeated texts in test")
    assert_contains(result[2], "3 distinct texts", "7 ")


def test_suspect_labels_have_a_recommendation_if_the_baseline_is_good_enough() -> None:
    (result,) = recommend.recommend_for_labels(noise(0.9, 20))
    assert result.code == "suspect-labels"
    assert_contains(result, "20 ", "2.0%")
    (weak,) = recommend.recommend_for_labels(noise(0.68, 0))
    assert weak.code == "weak-baseline"
    assert_contains(weak, "68.00%", "50.0%", "75%")


def test_unchecked_labels_have_a_recommendation() -> None:
    (result,) = recommend.recommend_for_labels(noise(0.9, 0, unchecked=1))
    assert result.code == "unchecked-labels"
    assert_contains(result, "1 label ", "5 ")
    assert codes(recommend.recommend_for_labels(None)) == ["too-few-texts"]


def test_truncated_texts_have_a_recommendation_with_a_larger_limit() -> None:
    (result,) = recommend.recommend_for_lengths(lengths(0.2))
    assert result.code == "truncated-texts"
    assert_contains(result, "20.0%", "500", "10.0%", "1234", "99%")


def test_unknown_and_unseen_words_have_recommendations() -> None:
    result = recommend.recommend_for_vocabulary(vocabulary(0.1, 0.06))
    assert codes(result) == ["small-vocabulary", "unseen-words"]
    assert_contains(result[0], "10.0%", "test", "300", "98%")
    assert_contains(result[1], "6.0%", "test")
    assert recommend.recommend_for_vocabulary(vocabulary(0.1, 0.01, sufficient_size=150)) == ()


def test_mixed_languages_have_a_recommendation() -> None:
    languages = Languages({"Latin": 9}, {"en": 5, "unsure": 4, "fr": 2, "de": 1}, ())
    (result,) = recommend.recommend_for_languages(languages)
    assert result.code == "mixed-languages"
    assert_contains(result, "3 texts", "en", "fr 2, de 1")
    assert recommend.recommend_for_languages(Languages({"no letters": 1}, {"unsure": 1}, ())) == ()


def test_without_language_detection_the_extra_is_recommended() -> None:
    scripts, extra = recommend.recommend_for_languages(Languages({"Latin": 5, "Han": 1}, None, ()))
    assert (scripts.code, extra.code) == ("mixed-languages", "no-language-detection")
    assert_contains(scripts, "1 text ", "Latin", "Han 1")
    assert_contains(extra, "pip install 'fastlstm[language]'")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (VERY_SHORT, "very-short-texts"),
        (FEW_LETTERS, "few-letters"),
        (HTML, "html"),
        (BROKEN_CHARACTERS, "broken-characters"),
    ],
)
def test_every_kind_of_text_issue_has_a_recommendation(kind: str, code: str) -> None:
    (result,) = recommend.recommend_for_text_issues([TextIssue(kind, {"training": 1000, "test": 1}, ())])
    assert result.code == code
    assert_contains(result, "1,001 texts")


def test_a_class_that_no_text_has_is_small() -> None:
    result = recommend.recommend_for_classes(parts(training={"bad": 0, "good": 30}))
    assert "small-classes" in codes(result)
