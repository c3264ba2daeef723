"""The n-gram baseline, the n-gram part of a classifier, and logistic regression on features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from tests.helpers.training import fit_one
from threadpoolctl import threadpool_info, threadpool_limits

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.text.ngrams import extract_ngrams
from fastlstm.training import linear
from fastlstm.training.linear import (
    MIN_TEXTS_FOR_PRUNING,
    baseline_report,
    fit_logistic,
    fit_wide,
    ngram_matrix,
    regression_by_pytorch,
)

GOOD, BAD = 2, 3
FILLER = range(5, 40)


@pytest.mark.parametrize(
    "words", [{"great": "good", "dull": "bad"}, {"great": "good", "dull": "bad", "plain": "so-so"}], ids=len
)
def test_baseline_separates_classes_by_words(words: Mapping[str, str]) -> None:
    texts = [f"{word} film number {i}" for i in range(9) for word in words]
    dataset = Dataset(texts, [words[text.split()[0]] for text in texts])
    report = baseline_report(dataset, dataset, tuple(dataset.class_names))
    assert report.accuracy == 1
    assert report.loss < 0.7


def test_baseline_separates_classes_by_word_pairs() -> None:
    pairs = Dataset(["not good", "good not", "not bad", "bad not"] * 5, ["0", "1", "1", "0"] * 5)
    assert baseline_report(pairs, pairs, ("0", "1")).accuracy == 1


def test_each_chinese_character_is_a_word_of_the_baseline() -> None:
    training = Dataset([f"这部电影很{word}看{end}" for word in "好坏" for end in "吧呢啊吗"], ["1"] * 4 + ["0"] * 4)
    test = Dataset(["我觉得很好玩", "我觉得很坏的"], ["1", "0"])
    assert baseline_report(training, test, ("0", "1")).accuracy == 1


def test_baseline_accepts_many_texts_without_a_common_word() -> None:
    texts = [f"word{i}" for i in range(MIN_TEXTS_FOR_PRUNING)]
    dataset = Dataset(texts, ["0", "1"] * (MIN_TEXTS_FOR_PRUNING // 2))
    assert baseline_report(dataset, dataset, ("0", "1")).texts == MIN_TEXTS_FOR_PRUNING


def test_unknown_label_raises_data_error() -> None:
    dataset = Dataset(["a", "b"], ["0", "1"])
    with pytest.raises(DataError) as raised:
        baseline_report(dataset, Dataset(["a"], ["2"]), ("0", "1"))
    assert (raised.value.code, raised.value.label) == ("unknown-label", "2")


def make_texts(count: int, class_count: int = 2) -> tuple[list[TokenIds], IndexArray]:
    """Return texts of filler words with one word that determines the class, and the classes."""
    generator = np.random.default_rng(0)
    classes = np.arange(count) % class_count
    texts = []
    for k in classes:
        ids = generator.integers(FILLER.start, FILLER.stop, int(generator.integers(3, 12))).astype(np.int32)
        ids[generator.integers(len(ids))] = GOOD + k
        texts.append(ids)
    return texts, classes.astype(np.int64)


def test_one_logit_separates_two_classes() -> None:
    texts, classes = make_texts(200)
    wide = fit_one(texts[:150], classes[:150], 1, 100)
    assert wide.weight.shape == (len(wide.ngram_ids), 1)
    logits = wide.logits(texts[150:])
    assert ((logits[:, 0] > 0) == (classes[150:] == 1)).mean() > 0.95


def test_each_of_several_classes_has_a_logit() -> None:
    texts, classes = make_texts(240, class_count=3)
    wide = fit_one(texts[:180], classes[:180], 3, 100)
    assert wide.weight.shape == (len(wide.ngram_ids), 3)
    assert wide.bias.shape == (3,)
    assert (wide.logits(texts[180:]).argmax(axis=1) == classes[180:]).mean() > 0.95


def test_strongest_ngrams_are_kept_in_increasing_order() -> None:
    texts, classes = make_texts(200)
    wide = fit_one(texts, classes, 1, 7)
    assert len(wide.ngram_ids) == 7
    assert (np.diff(wide.ngram_ids) > 0).all()
    decisive = {int(n) for word in (GOOD, BAD) for n in extract_ngrams([np.array([word], np.int32)]).ids}
    assert decisive <= set(wide.ngram_ids.tolist())
    unlimited = fit_one(texts, classes, 1, 10**6)
    assert len(unlimited.ngram_ids) == len(np.unique(extract_ngrams(texts).ids))


def test_ngrams_of_a_single_text_are_dropped_from_many_texts() -> None:
    texts, classes = make_texts(MIN_TEXTS_FOR_PRUNING)
    texts[0] = np.array([GOOD, 39, 38, 37, 36], np.int32)
    frequency = np.bincount(extract_ngrams(texts).ids)
    wide = fit_one(texts, classes, 1, 10**6)
    assert set(wide.ngram_ids.tolist()) == set(np.flatnonzero(frequency >= 2).tolist())


def test_fitting_twice_gives_the_same_bits() -> None:
    texts, classes = make_texts(100)
    first, second = (fit_one(texts, classes, 1, 50) for _ in range(2))
    np.testing.assert_array_equal(first.ngram_ids, second.ngram_ids)
    np.testing.assert_array_equal(first.weight, second.weight)


@pytest.mark.parametrize("count", [0, 5])
def test_ngram_matrix_has_ones_where_a_text_contains_an_ngram(count: int) -> None:
    texts, _ = make_texts(9)
    ngrams = extract_ngrams(texts)
    columns = np.unique(ngrams.ids)[:count].astype(np.int32)
    dense = ngram_matrix(ngrams, columns).toarray()
    assert dense.shape == (9, count)
    for i in range(9):
        own = set(ngrams.ids[ngrams.starts[i] : ngrams.starts[i + 1]].tolist())
        assert dense[i].tolist() == [float(n in own) for n in columns.tolist()]


def test_each_penalty_has_a_fit_of_its_own_that_does_not_depend_on_the_others() -> None:
    texts, classes = make_texts(200, class_count=3)
    fits = fit_wide(texts, classes, 3, 10**6, "pairs", inverse_penalties=[0.01, 0.3])
    assert [wide.inverse_penalty for wide in fits] == [0.01, 0.3]
    assert np.square(fits[0].weight).sum() < np.square(fits[1].weight).sum()
    alone = fit_one(texts, classes, 3, 10**6)
    np.testing.assert_array_equal(fits[1].ngram_ids, alone.ngram_ids)
    np.testing.assert_allclose(fits[1].weight, alone.weight, atol=0.02)


def test_balanced_weights_raise_the_bias_of_a_rare_class() -> None:
    texts, _ = make_texts(300)
    classes = (np.arange(300) % 10 == 0).astype(np.int64)
    plain, balanced = (fit_one(texts, classes, 1, 10**6, balanced=balanced).bias for balanced in (False, True))
    assert plain[0] < balanced[0]


@pytest.mark.parametrize("balanced", [False, True])
def test_a_class_that_never_occurs_gets_a_low_bias(balanced: bool) -> None:
    texts, classes = make_texts(300)
    bias = fit_one(texts, classes % 2, 3, 10**6, balanced=balanced).bias
    assert np.isfinite(bias).all()
    assert bias[2] < bias[:2].min()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("inverse_penalty", [1e-3, 1e-1])
@pytest.mark.parametrize("kind", ["dense", "sparse", "PyTorch"])
def test_regression_agrees_with_scikit_learn(kind: str, inverse_penalty: float, balanced: bool) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 23)).astype(np.float32)
    members = features @ generator.normal(size=23) + generator.normal(size=400) > 2
    weights = "balanced" if balanced else None
    expected = LogisticRegression(C=inverse_penalty, class_weight=weights, max_iter=1000, tol=1e-6)
    expected.fit(features, members)
    if kind == "PyTorch":
        actual, bias = regression_by_pytorch(torch.from_numpy(features))(members, inverse_penalty, balanced)
    else:
        matrix = features if kind == "dense" else csr_matrix(features)
        actual, bias = fit_logistic(matrix, members, inverse_penalty, balanced=balanced)
    np.testing.assert_allclose(actual, expected.coef_[0], atol=2e-3)
    assert bias == pytest.approx(expected.intercept_[0], abs=2e-3)


def test_regression_computes_on_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []

    def minimize_and_count(*args: Any, **options: Any) -> Any:
        numbers.extend(part["num_threads"] for part in threadpool_info() if part["user_api"] == "blas")
        return minimize(*args, **options)

    monkeypatch.setattr(linear, "minimize", minimize_and_count)
    with threadpool_limits(2, "blas"):
        fit_logistic(np.eye(4, dtype=np.float32), np.array([True, False, True, False]), 1.0)
    assert set(numbers) == {1}


def test_regression_that_does_not_converge_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear.OPTIMIZER_OPTIONS, "maxiter", 2)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 23)).astype(np.float32)
    weights, _ = fit_logistic(features, features[:, 0] > 0.1, 1e3)
    assert np.abs(weights).argmax() == 0
