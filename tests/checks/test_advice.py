"""What is advised, and when nothing is."""

from __future__ import annotations

import pytest

from fastlstm.checks import advice
from fastlstm.checks.duplicates import Duplicates, Overlap
from fastlstm.checks.label_noise import LabelNoise
from fastlstm.checks.languages import Languages
from fastlstm.checks.lengths import Lengths, Percentiles, TruncationShare
from fastlstm.checks.text_quality import ClassCounts, TextIssue
from fastlstm.checks.vocabulary import Vocabulary


def parts(**classes: dict[str, int]) -> dict[str, ClassCounts]:
    return {name: ClassCounts(name, sum(counts.values()), counts) for name, counts in classes.items()}


def noise(agreement: float, suspect: int, left_out: int = 0) -> LabelNoise:
    return LabelNoise(1000, left_out, agreement, 0.5, {"training": suspect}, (), (), ())


def lengths(texts: float) -> Lengths:
    at = Percentiles(50, 1, 5, 25, 50, 75, 95, 1234, 2000)
    return Lengths({"training": at}, (TruncationShare("tutorial", 500, "end", texts, texts / 2),), (1,), 1)


def vocabulary(unknown: float, unseen: float, enough: int = 300) -> Vocabulary:
    return Vocabulary(
        200, 200, 400, 9, {"training": 0, "test": unknown}, {"training": 0, "test": unseen}, enough, ()
    )


def test_all_well_is_no_advice() -> None:
    even = parts(training={"a": 50, "b": 40}, test={"a": 5, "b": 4})
    assert advice.on_classes(even) == ()
    assert advice.on_duplicates(Duplicates(9, {"training": 0, "test": 0}, (), 0, 0, (), ()), even) == ()
    assert advice.on_label_noise(noise(0.95, 0)) == ()
    assert advice.on_lengths(lengths(0.001)) == ()
    assert advice.on_vocabulary(vocabulary(0.01, 0.01)) == ()
    assert advice.on_languages(Languages({"Latin": 5, "no letters": 1}, {"en": 5, "unsure": 1}, ())) == ()
    assert advice.on_blemishes(()) == ()


def test_uneven_small_and_missing_classes_are_told() -> None:
    said = advice.on_classes(parts(training={"a": 300, "b": 19, "c": 50}, test={"a": 3, "b": 1, "c": 0}))
    assert len(said) == 3
    assert said[0].startswith("a has 15.8 times the training texts of b: go by macro F1")
    assert said[1].startswith("fewer than 20 training texts of b: ")
    assert said[2].startswith("no test text of c: ")
    cases = advice.on_classes(parts(training={"Good": 30, "good": 30, "bad": 30}))
    assert cases == ("Good, good differ in upper and lower case alone: make them one class",)
    many = {f"class {k}": 1 for k in range(8)}
    assert "class 0, class 1, class 2, class 3, class 4 and 3 more:" in advice.on_classes(parts(training=many))[0]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (123, "(all to the letter); figures on test are a little flattering;"),
        (900, "(123 to the letter); figures on test are flattering;"),
    ],
)
def test_texts_that_stand_in_training_too_flatter_the_figures(texts: int, words: str) -> None:
    overlap = Overlap("test", ("training", "validation"), texts, 123)
    found = Duplicates(9, {"training": 0, "test": 0}, (overlap,), 0, 0, (), ())
    (said,) = advice.on_duplicates(found, parts(training={"a": 9}, test={"a": 25_000}))
    assert said.startswith(f"also in training or validation: {texts} of 25,000 test texts {words}")


def test_repeats_and_contradictions_are_told() -> None:
    found = Duplicates(9, {"training": 1, "validation": 0, "test": 2000}, (), 3, 7, (), ())
    training, others, conflicts = advice.on_duplicates(found, parts(training={"a": 9}))
    assert training.startswith("1 repeat in training: ")
    assert others.startswith("0 repeats in validation and 2,000 repeats in test: ")
    assert conflicts.startswith("contradicting labels: 3 different texts, 7 with their repeats; ")


def test_doubts_count_only_where_the_folds_know_something() -> None:
    assert advice.on_label_noise(noise(0.9, 20))[0].startswith("labels that look wrong: about 20 (2.0%); ")
    (said,) = advice.on_label_noise(noise(0.54, 20))
    assert "hardly better than guessing (right 54.0%, always saying the most frequent class 50.0%)" in said
    assert advice.on_label_noise(noise(0.9, 0, left_out=1)) == (
        "1 text not judged: a class has fewer than 5 different texts",
    )
    assert advice.on_label_noise(None)[0].startswith("too few texts to judge labels by")


def test_a_limit_that_cuts_much_comes_with_one_that_does_not() -> None:
    (said,) = advice.on_lengths(lengths(0.2))
    assert said.startswith("20.0% of texts are longer than 500 tokens, and 10.0% of all tokens are never read: ")
    assert "--max-tokens 1234 reads 99% of texts whole" in said


def test_unknown_words_come_with_a_larger_vocabulary_and_unseen_ones_without() -> None:
    larger, more_texts = advice.on_vocabulary(vocabulary(0.1, 0.06))
    assert "10.0% of the test tokens are read as unknown: --vocabulary-size 300 knows 98%" in larger
    assert more_texts.startswith("6.0% of the test tokens stand nowhere in training")
    assert advice.on_vocabulary(vocabulary(0.1, 0.01, enough=150)) == ()


def test_other_languages_are_told_or_how_to_tell_them() -> None:
    (said,) = advice.on_languages(Languages({"Latin": 9}, {"en": 5, "unsure": 4, "fr": 2, "de": 1}, ()))
    assert said.startswith("not in en: 3 texts (fr 2, de 1); ")
    scripts, extra = advice.on_languages(Languages({"Latin": 5, "Han": 1}, None, ()))
    assert scripts.startswith("not in Latin: 1 text (Han 1); ")
    assert "pip install 'fastlstm[language]'" in extra
    assert advice.on_languages(Languages({"no letters": 1}, {"unsure": 1}, ())) == ()


@pytest.mark.parametrize("kind", ["very short", "hardly any letters", "HTML", "broken characters"])
def test_every_blemish_has_its_advice(kind: str) -> None:
    assert advice.on_blemishes([TextIssue(kind, {"training": 1000, "test": 1}, ())])[0].startswith(
        "1,001 texts with "
    )
