"""Labels that look wrong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.checks.conftest import MakePool, Rows

from fastlstm.checks.duplicates import duplicate_groups
from fastlstm.checks.label_noise import (
    BINS,
    FOLDS,
    Confusion,
    LabelNoise,
    assign_folds,
    find_label_noise,
    find_suspects,
    out_of_fold_probabilities,
)
from fastlstm.training.linear import baseline_probabilities, count_ngrams

WORDS = {"good": "great superb moving", "bad": "awful boring dull", "so-so": "plain middling fair"}


def rows(texts: int, classes: int = 2) -> Rows:
    """Different texts whose words tell their class."""
    names = list(WORDS)[:classes]
    return [(f"{WORDS[names[i % classes]]} film number {i}", names[i % classes]) for i in range(texts)]


def judged(make_pool: MakePool, most: int = 5, **parts: Rows) -> LabelNoise | None:
    texts = make_pool(**parts)
    return find_label_noise(texts, duplicate_groups(texts.texts), most)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_wrong_label_is_found_in_every_part_and_named_first(make_pool: MakePool, classes: int) -> None:
    training, test = rows(60, classes), rows(90, classes)[60:]
    training[3] = (training[3][0], "bad" if training[3][1] == "good" else "good")
    test[4] = (test[4][0], "bad" if test[4][1] == "good" else "good")
    found = judged(make_pool, training=training, test=test)
    assert found is not None
    assert {(d.example.part, d.example.record) for d in found.doubts[:2]} == {("training", 4), ("test", 5)}
    for doubt in found.doubts[:2]:
        assert doubt.instead != doubt.example.label
        assert doubt.probability < 0.5 < doubt.probability_instead
    assert (found.judged, found.left_out, found.suspect) == (90, 0, {"training": 1, "test": 1})
    assert sum(confusion.texts for confusion in found.confusions) == 2
    if classes == 3:
        assert Confusion("bad", "good", 1) in found.confusions
    assert found.agreement == pytest.approx(88 / 90)
    assert sum(found.histogram) == 90
    assert len(found.histogram) == BINS


def test_right_labels_are_not_doubted(make_pool: MakePool) -> None:
    found = judged(make_pool, training=rows(40))
    assert found is not None
    assert (found.agreement, found.majority, found.suspect) == (1, 0.5, {"training": 0})
    assert (found.doubts, found.confusions) == ((), ())


def test_doubts_come_surest_first_and_no_more_than_asked_for(make_pool: MakePool) -> None:
    training = rows(60)
    for i in (0, 2, 4):
        training[i] = (training[i][0], "bad")
    all_of_them = judged(make_pool, training=training)
    some = judged(make_pool, most=2, training=training)
    assert all_of_them is not None
    assert some is not None
    probabilities = [doubt.probability for doubt in all_of_them.doubts]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities)
    assert some.doubts == all_of_them.doubts[:2]
    assert some.confusions == all_of_them.confusions


def test_the_same_texts_are_judged_the_same_every_time(make_pool: MakePool) -> None:
    assert judged(make_pool, training=rows(50, 3)) == judged(make_pool, training=rows(50, 3))


def test_small_classes_are_left_out_and_with_fewer_than_two_others_nothing_is_judged(make_pool: MakePool) -> None:
    few: Rows = [(f"plain film {i}", "so-so") for i in range(FOLDS - 1)]
    found = judged(make_pool, training=few + rows(40))
    assert found is not None
    assert (found.judged, found.left_out, found.agreement) == (40, FOLDS - 1, 1)
    assert judged(make_pool, training=few + rows(40)[::2]) is None


def test_a_class_of_one_text_many_times_is_small(make_pool: MakePool) -> None:
    assert judged(make_pool, training=[("plain", "so-so")] * 20 + rows(40)[::2]) is None


def test_like_texts_share_a_fold_and_every_class_is_in_each() -> None:
    generator = np.random.default_rng(0)
    groups = np.unique(generator.integers(0, 60, 200), return_inverse=True)[1]
    truth = groups % 3
    folds = assign_folds(groups, truth)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    for k in range(3):
        counts = np.bincount(
            assign_folds(np.arange(61), np.arange(61) % 3)[np.arange(61) % 3 == k], minlength=FOLDS
        )
        assert counts.max() - counts.min() <= 1
    assert sorted(set(folds)) == list(range(FOLDS))


def test_a_text_is_judged_by_what_the_baseline_learns_from_the_other_folds() -> None:
    texts = [text for text, _ in rows(20)]
    truth = np.arange(20) % 2
    folds = np.arange(20) // 4
    came = out_of_fold_probabilities(texts, truth, folds)
    _, counts = count_ngrams(texts)
    rest = folds != 2
    expected = baseline_probabilities(counts[rest], truth[rest], counts[~rest], 2)
    np.testing.assert_array_equal(came[~rest], expected)
    np.testing.assert_allclose(came.sum(axis=1), 1)


def test_suspects_are_counted_by_confident_learning() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.45, 0.55], [0.9, 0.1]])
    truth = np.array([0, 0, 0, 1, 1, 1])
    # On average 0's texts have 0.567 for 0, and 1's have 0.483 for 1: the third and the last text are suspect.
    assert find_suspects(probabilities, truth).tolist() == [0, 0, 1, 1, 1, 0]
    assert find_suspects(np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([0, 1])).tolist() == [0, 1]


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from fastlstm.errors import MissingDependencyError\n"
        "try:\n    import fastlstm.checks.label_noise\n"
        "except MissingDependencyError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "fastlstm[train]" in done.stdout
