"""Suspect labels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.helpers.corpora import Rows, corpus_from_rows

from fastlstm.checks.duplicates import duplicate_groups
from fastlstm.checks.label_noise import (
    FOLDS,
    HISTOGRAM_BINS,
    Confusion,
    LabelNoise,
    assign_folds,
    find_label_noise,
    judge_is_reliable,
    out_of_fold_probabilities,
    suspected_classes,
)
from fastlstm.training.linear import baseline_probabilities, count_ngrams

WORDS = {"good": "great superb moving", "bad": "awful boring dull", "so-so": "plain middling fair"}


def make_rows(texts: int, classes: int = 2) -> Rows:
    """Return distinct texts whose words determine their class."""
    names = list(WORDS)[:classes]
    return [(f"{WORDS[names[i % classes]]} film number {i}", names[i % classes]) for i in range(texts)]


def find(max_examples: int = 5, **parts: Rows) -> LabelNoise | None:
    corpus = corpus_from_rows(**parts)
    return find_label_noise(corpus, duplicate_groups(corpus.texts), max_examples)


@pytest.mark.parametrize("classes", [2, 3])
def test_wrong_label_is_found_in_every_part_and_comes_first(classes: int) -> None:
    training, test = make_rows(60, classes), make_rows(90, classes)[60:]
    training[3] = (training[3][0], "bad" if training[3][1] == "good" else "good")
    test[4] = (test[4][0], "bad" if test[4][1] == "good" else "good")
    noise = find(training=training, test=test)
    assert noise is not None
    first = noise.suspect_labels[:2]
    assert {(s.example.part, s.example.location) for s in first} == {("training", 4), ("test", 5)}
    for suspect in first:
        assert suspect.suggested != suspect.example.label
        assert suspect.probability < 0.5 < suspect.suggested_probability
    assert (noise.checked, noise.unchecked, noise.suspect) == (90, 0, {"training": 1, "test": 1})
    assert sum(confusion.texts for confusion in noise.confusions) == 2
    if classes == 3:
        assert Confusion("bad", "good", 1) in noise.confusions
    assert noise.agreement == pytest.approx(88 / 90)
    assert sum(noise.histogram) == 90
    assert len(noise.histogram) == HISTOGRAM_BINS


def test_correct_labels_are_not_suspect() -> None:
    noise = find(training=make_rows(40))
    assert noise is not None
    assert (noise.agreement, noise.majority, noise.suspect) == (1, 0.5, {"training": 0})
    assert (noise.suspect_labels, noise.confusions) == ((), ())


@pytest.mark.parametrize("classes", [2, 3])
def test_suspect_labels_are_limited_and_the_surest_come_first(classes: int) -> None:
    training = make_rows(90, classes)
    for i in (0, 2, 3, 4, 5, 8):
        others = [name for name in list(WORDS)[:classes] if name != training[i][1]]
        training[i] = (training[i][0], others[i % len(others)])
    all_noise = find(max_examples=50, training=training)
    limited = find(max_examples=2, training=training)
    assert all_noise is not None
    assert limited is not None
    probabilities = [suspect.suggested_probability for suspect in all_noise.suspect_labels]
    assert len(probabilities) == sum(all_noise.suspect.values()) >= 6
    assert probabilities == sorted(probabilities, reverse=True)
    assert limited.suspect_labels == all_noise.suspect_labels[:2]
    assert limited.confusions == all_noise.confusions


def test_weak_judge_suspects_no_label() -> None:
    generator = np.random.default_rng(0)
    rows = [(text, str(generator.choice([label, "good", "bad"]))) for text, label in make_rows(300)]
    noise = find(training=rows)
    assert noise is not None
    assert 0.55 < noise.agreement < 0.75
    assert not noise.is_reliable
    assert (noise.suspect, noise.confusions, noise.suspect_labels) == ({"training": 0}, (), ())
    assert sum(noise.histogram) == 300


@pytest.mark.parametrize(
    ("agreement", "majority", "texts", "is_reliable"),
    [
        (0.68, 0.5, 300, False),
        (0.8, 0.5, 300, True),
        (0.8, 0.1, 300, True),
        (0.7, 0.1, 300, False),
        (0.95, 0.92, 300, False),
        (0.99, 0.92, 3000, True),
        (1.0, 0.5, 3, False),
    ],
)
def test_judge_is_reliable_if_it_is_right_often_and_beats_the_majority(
    agreement: float, majority: float, texts: int, is_reliable: bool
) -> None:
    assert judge_is_reliable(agreement, majority, texts) == is_reliable


def test_result_is_reproducible() -> None:
    assert find(training=make_rows(50, 3)) == find(training=make_rows(50, 3))


def test_small_classes_are_not_checked() -> None:
    few: Rows = [(f"plain film {i}", "so-so") for i in range(FOLDS - 1)]
    noise = find(training=few + make_rows(40))
    assert noise is not None
    assert (noise.checked, noise.unchecked, noise.agreement) == (40, FOLDS - 1, 1)


def test_fewer_than_two_large_classes_give_no_result() -> None:
    few: Rows = [(f"plain film {i}", "so-so") for i in range(FOLDS - 1)]
    assert find(training=few + make_rows(40)[::2]) is None


def test_class_of_one_repeated_text_is_small() -> None:
    assert find(training=[("plain", "so-so")] * 20 + make_rows(40)[::2]) is None


def test_equal_texts_share_a_fold() -> None:
    generator = np.random.default_rng(0)
    groups = np.unique(generator.integers(0, 60, 200), return_inverse=True)[1]
    folds = assign_folds(groups, groups % 3)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    assert sorted(set(folds)) == list(range(FOLDS))


@pytest.mark.parametrize("k", range(3))
def test_classes_are_spread_evenly_over_the_folds(k: int) -> None:
    groups, targets = np.arange(61), np.arange(61) % 3
    counts = np.bincount(assign_folds(groups, targets)[targets == k], minlength=FOLDS)
    assert counts.max() - counts.min() <= 1


def test_probabilities_of_a_fold_come_from_the_other_folds() -> None:
    texts = [text for text, _ in make_rows(20)]
    targets = np.arange(20) % 2
    folds = np.arange(20) // 4
    probabilities = out_of_fold_probabilities(texts, targets, folds)
    _, counts = count_ngrams(texts)
    others = folds != 2
    expected = baseline_probabilities(counts[others], targets[others], counts[~others], 2)
    np.testing.assert_array_equal(probabilities[~others], expected)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_suspected_classes_follow_confident_learning() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.45, 0.55], [0.9, 0.1]])
    targets = np.array([0, 0, 0, 1, 1, 1])
    # The thresholds are 0.567 for class 0 and 0.483 for class 1: the third and the last label are suspect.
    assert suspected_classes(probabilities, targets).tolist() == [0, 0, 1, 1, 1, 0]
    assert suspected_classes(np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([0, 1])).tolist() == [0, 1]


def test_import_without_the_extra_raises_missing_dependency_error() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from fastlstm.errors import MissingDependencyError\n"
        "try:\n    import fastlstm.checks.label_noise\n"
        "except MissingDependencyError as error:\n    print(error.extra)"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert process.stdout == "train\n"
