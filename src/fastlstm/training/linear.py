"""Linear models: the n-gram baseline, the n-gram ("wide") part of a classifier, and logistic regression on features.

Both n-gram models are logistic regressions weighted by log-count ratios (Wang & Manning 2012, "Baselines and Bigrams").
The wide part uses hashed n-grams of token ids, so that a saved model stores it as two small arrays. In training, words
share weights through their character n-grams (`characters.py`). The name is that of Cheng et al. (2016), "Wide & Deep
Learning for Recommender Systems".
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from fastlstm._typing import BoolArray, DoubleArray, FloatArray, IndexArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.metrics import Report, evaluate
from fastlstm.nn.threads import one_thread
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, NGramLogits, NGrams, extract_ngrams
from fastlstm.text.segmentation import SEGMENTS
from fastlstm.text.tokenizer import no_words
from fastlstm.training.characters import character_matrix, character_scale

BASELINE_NAME = "logistic regression on words and word pairs"
MIN_TEXTS_FOR_PRUNING = 1000
"""From this number of texts on, n-grams that occur in one text only are dropped, to save memory."""
INVERSE_PENALTIES = (0.03, 0.1, 0.3)
"""scikit-learn's C of the wide part, increasing: validation texts choose one."""
BASELINE_INVERSE_PENALTY = 1.0
"""scikit-learn's C of the baseline."""
OPTIMIZER_OPTIONS = {"maxiter": 200, "maxls": 50, "gtol": 1e-4, "ftol": 64 * float(np.finfo(float).eps)}
"""Options of every regression: those of scikit-learn, with more iterations."""

Regression = Callable[[BoolArray, float, bool], tuple[DoubleArray, float]]
"""(members of the class [n], scikit-learn's C, balanced class weights) -> weights [F] and bias."""


_Product = Callable[[DoubleArray], DoubleArray]


class _ForkSafeLock:
    """A lock that is free in a forked process, even if a thread held it when the process forked."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Create the lock."""
        self.lock = threading.Lock()


_fit_lock = _ForkSafeLock()


@dataclass(frozen=True)
class LinearMap:
    """A matrix [n, F] that is not stored: functions that multiply it and its transpose by a vector."""

    shape: tuple[int, int]
    multiply: _Product
    multiply_transposed: _Product


def baseline_report(training: Dataset, test: Dataset, labels: tuple[str, ...]) -> Report:
    """Train the baseline on `training` and evaluate it on `test`.

    Raises:
        DataError: An unknown label, or no training text contains a word.
    """
    return evaluate(baseline_predictions(training, test, labels), test.label_indices(labels), labels)


def baseline_predictions(training: Dataset, test: Dataset, labels: tuple[str, ...]) -> DoubleArray:
    """Train the baseline on `training` and return its probabilities [n, classes] for the texts of `test`.

    Raises:
        DataError: An unknown label, or no training text contains a word.
    """
    try:
        vectorizer, counts = count_ngrams(training.texts)
    except ValueError:  # the texts have no n-gram
        raise no_words(training.source) from None
    test_counts = csr_matrix(vectorizer.transform(test.texts))
    return baseline_probabilities(counts, training.label_indices(labels), test_counts, len(labels))


def count_ngrams(texts: Sequence[str]) -> tuple[CountVectorizer, csr_matrix]:
    """Return the n-grams of the texts, and a float32 matrix [n, n-grams] with 1 where a text contains an n-gram.

    From `MIN_TEXTS_FOR_PRUNING` texts on, n-grams of a single text are dropped, if any others exist.
    """
    try:
        return _vectorize(texts, min_texts=2 if len(texts) >= MIN_TEXTS_FOR_PRUNING else 1)
    except ValueError:  # no n-gram occurs in two texts
        return _vectorize(texts, min_texts=1)


def baseline_probabilities(
    counts: csr_matrix, classes: npt.NDArray[np.integer], test_counts: csr_matrix, class_count: int
) -> DoubleArray:
    """Train the baseline and return its probabilities [n, classes] for other texts.

    Args:
        counts: [m, n-grams] of the training texts, from `count_ngrams`.
        classes: [m] class indices; every class must occur.
        test_counts: [n, n-grams] of the other texts.
        class_count: Number of classes, at least 2.
    """
    columns = [1] if class_count == 2 else range(class_count)
    members = np.stack([_member_probability(counts, classes == k, test_counts) for k in columns], axis=1)
    result: DoubleArray = np.hstack([1 - members, members]) if class_count == 2 else members
    result /= result.sum(axis=1, keepdims=True)
    return result


def _vectorize(texts: Sequence[str], min_texts: int) -> tuple[CountVectorizer, csr_matrix]:
    vectorizer = CountVectorizer(
        tokenizer=SEGMENTS.tokens,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        binary=True,
        min_df=min_texts,
        dtype=np.float32,
    )
    return vectorizer, csr_matrix(vectorizer.fit_transform(texts))


def _member_probability(counts: csr_matrix, members: BoolArray, test_counts: csr_matrix) -> DoubleArray:
    """Return the probability [n] that each test text belongs to the class of `members`."""
    ratio = log_count_ratio(counts, members)
    weights, bias = fit_logistic(weight_counts(counts, ratio), members, BASELINE_INVERSE_PENALTY)
    result: DoubleArray = expit(weight_counts(test_counts, ratio) @ weights + bias)
    return np.clip(result, 1e-12, 1)


def log_count_ratio(counts: csr_matrix, members: BoolArray) -> FloatArray:
    """Return the log ratio [n-grams] of the frequency of each n-gram in the member texts to that in the others."""
    return _count_ratio(_text_counts(counts[members]), _text_counts(counts[~members]))


def _text_counts(counts: csr_matrix) -> FloatArray:
    """Return the number of texts [n-grams] with each n-gram."""
    result: FloatArray = np.asarray(counts.sum(axis=0), np.float32).ravel()
    return result


def _count_ratio(member_counts: FloatArray, other_counts: FloatArray) -> FloatArray:
    """Return the log ratio of the smoothed relative frequencies that belong to counts in two groups of texts."""
    return _log_frequencies(member_counts) - _log_frequencies(other_counts)


def _log_frequencies(counts: FloatArray) -> FloatArray:
    total = 1 + counts
    result: FloatArray = np.log(total / total.sum())
    return result


def weight_counts(counts: csr_matrix, ratio: FloatArray) -> csr_matrix:
    """Return the counts with each n-gram multiplied by its ratio."""
    return csr_matrix((counts.data * ratio[counts.indices], counts.indices, counts.indptr), counts.shape)


@dataclass(frozen=True)
class Wide:
    """The n-gram part of a classifier.

    Attributes:
        kinds: Name of the n-gram kinds, a key of `NGRAM_KINDS`.
        ngram_ids: [K] int32, increasing, the n-grams with a weight.
        weight: [K, logits] weights.
        bias: [logits] bias.
        inverse_penalty: scikit-learn's C that it was fitted with.
    """

    kinds: str
    ngram_ids: TokenIds
    weight: FloatArray
    bias: FloatArray
    inverse_penalty: float

    def logits(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the logits [n, logits] of tokenized, untruncated texts, bias included."""
        return NGramLogits(self.ngram_ids, self.weight, NGRAM_KINDS[self.kinds])(texts) + self.bias


def fit_wide(
    texts: Sequence[TokenIds],
    classes: IndexArray,
    logits: int,
    max_ngrams: int,
    kinds: str,
    *,
    words: Sequence[str] = (),
    balanced: bool = False,
    inverse_penalties: Sequence[float] = INVERSE_PENALTIES,
) -> tuple[Wide, ...]:
    """Fit the n-gram part of a classifier, once for each penalty.

    Args:
        texts: Token ids of untruncated texts, at least one id each.
        classes: [n] class indices. A class that never occurs, as soft labels may have, gets a low bias.
        logits: 1 for the second of two classes; otherwise one column per class, one class against the rest.
        max_ngrams: Number of n-grams kept, those with the largest effect.
        kinds: Name of the n-gram kinds, a key of `NGRAM_KINDS`.
        words: The word of each token id, which then share weights through their character n-grams. Empty: they do not.
        balanced: Weight classes by inverse frequency.
        inverse_penalties: scikit-learn's C of each result, increasing.
    """
    ngrams = extract_ngrams(texts, kinds=NGRAM_KINDS[kinds])
    frequency = np.bincount(ngrams.ids, minlength=NGRAM_ID_COUNT)
    min_texts = 2 if len(texts) >= MIN_TEXTS_FOR_PRUNING else 1
    repeated = np.flatnonzero(frequency >= min_texts)
    ids = (repeated if len(repeated) else np.flatnonzero(frequency)).astype(np.int32)
    word_ids = _word_ngram_ids(words)
    ids = np.union1d(ids, word_ids[frequency[word_ids] > 0]).astype(np.int32)
    counts = ngram_matrix(ngrams, ids)
    is_known = np.isin(word_ids, ids)
    rows = np.searchsorted(ids, word_ids[is_known])
    word_of_row = dict(zip(rows.tolist(), itertools.compress(words, is_known), strict=True))
    characters = character_matrix(word_of_row, frequency[ids], 1 + min_texts)
    characters *= character_scale(int(frequency[word_ids].sum()))
    columns = [1] if logits == 1 else range(logits)
    fitted = [_fit_column(counts, characters, classes == k, inverse_penalties, balanced) for k in columns]
    results = []
    for inverse_penalty, fits in zip(inverse_penalties, zip(*fitted, strict=True), strict=True):
        weight = np.stack([column for column, _ in fits], axis=1)
        effect = np.abs(weight).max(axis=1) * np.sqrt(frequency[ids])
        strongest = np.sort(np.argsort(-effect, kind="stable")[:max_ngrams])
        bias = np.array([intercept for _, intercept in fits], np.float32)
        results.append(Wide(kinds, ids[strongest], weight[strongest], bias, inverse_penalty))
    return tuple(results)


def _word_ngram_ids(words: Sequence[str]) -> TokenIds:
    """Return the n-gram id of each word of the vocabulary, in the order of token ids."""
    if not words:
        return np.zeros(0, np.int32)
    word_kind = [NGRAM_KINDS["pairs"][0]]
    return extract_ngrams([np.array([i], np.int32) for i in range(len(words))], kinds=word_kind).ids


def ngram_matrix(ngrams: NGrams, ids: TokenIds) -> csr_matrix:
    """Return a float32 matrix [texts, K] with 1 where a text contains an n-gram of `ids` [K], which is increasing."""
    column = np.full(NGRAM_ID_COUNT, -1, np.int32)
    column[ids] = np.arange(len(ids), dtype=np.int32)
    columns = column[ngrams.ids]
    selected = columns >= 0
    starts = np.concatenate([[0], np.cumsum(selected)])[ngrams.starts]
    columns = columns[selected]
    shape = (len(ngrams.starts) - 1, len(ids))
    return csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape)


def fit_logistic(
    features: csr_matrix | npt.NDArray[np.float32] | LinearMap,
    members: BoolArray,
    inverse_penalty: float,
    *,
    balanced: bool = False,
    start: tuple[DoubleArray, float] | None = None,
) -> tuple[DoubleArray, float]:
    """Fit a logistic regression as scikit-learn's `LogisticRegression` does, with the same objective and optimizer.

    That class warns about every fit that is stopped by the limit on iterations, which is no fault here, and warnings
    can only be silenced for the whole process.

    Args:
        features: [n, F], sparse, dense, or a linear map.
        members: [n], whether each row belongs to the class.
        inverse_penalty: scikit-learn's C.
        balanced: Weight both classes by inverse frequency.
        start: Weights [F] and bias that the optimizer starts from, such as those of another penalty. None: zeros.

    Returns:
        The weights [F] and the bias.
    """
    multiply, multiply_transposed = _products(features)
    targets = members.astype(np.float64)
    row_weights = np.ones_like(targets)
    fraction = float(targets.mean())
    if balanced and 0 < fraction < 1:
        row_weights = np.where(members, 0.5 / fraction, 0.5 / (1 - fraction))
    row_weights /= row_weights.sum()
    penalty = 1 / (inverse_penalty * len(targets))

    def loss(parameters: DoubleArray) -> tuple[float, DoubleArray]:
        weight = parameters[:-1]
        logits = multiply(weight) + parameters[-1]
        losses = np.logaddexp(0, logits) - targets * logits
        slopes = row_weights * (expit(logits) - targets)
        gradient = multiply_transposed(slopes) + penalty * weight
        # np.dot would round depending on the number of threads of BLAS.
        total = float((row_weights * losses).sum()) + 0.5 * penalty * float((weight * weight).sum())
        return total, np.append(gradient, slopes.sum())

    weights, bias = (np.zeros(features.shape[1]), 0.0) if start is None else start
    return _minimize(loss, np.append(weights, bias))


def _minimize(
    loss: Callable[[DoubleArray], tuple[float, DoubleArray]], start: DoubleArray
) -> tuple[DoubleArray, float]:
    """Return the weights [F] and the bias with the lowest loss.

    SciPy's optimizer uses BLAS. It gets one thread of BLAS: these vectors are too short for more to pay, on busy cores
    the workers even wait for each other, and the bits of the result would depend on the number of threads. That
    number belongs to the whole process, therefore only one thread of Python fits at a time.

    Args:
        loss: Parameters [F + 1], the bias last -> loss and gradient.
        start: [F + 1] parameters to start from.
    """
    with _fit_lock.lock, threadpool_limits(1, "blas"):
        fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options=OPTIMIZER_OPTIONS)
    return fitted.x[:-1], float(fitted.x[-1])


def _products(features: csr_matrix | npt.NDArray[np.float32] | LinearMap) -> tuple[_Product, _Product]:
    """Return functions that multiply `features` [n, F] and its transpose by a vector.

    Dense features are multiplied in float32 on one thread of PyTorch, so that the bits do not depend on the threads.
    """
    if isinstance(features, LinearMap):
        return features.multiply, features.multiply_transposed
    if not isinstance(features, np.ndarray):
        matrix = features.astype(np.float64)
        transposed = matrix.T
        return (lambda weight: matrix @ weight), (lambda slopes: transposed @ slopes)
    tensor = torch.from_numpy(features)

    def multiply(matrix: Tensor, vector: DoubleArray) -> DoubleArray:
        with one_thread():
            return (matrix @ torch.from_numpy(vector).float()).double().numpy()

    return functools.partial(multiply, tensor), functools.partial(multiply, tensor.T)


def _fit_column(
    counts: csr_matrix,
    characters: csr_matrix,
    members: BoolArray,
    inverse_penalties: Sequence[float],
    balanced: bool,
) -> list[tuple[FloatArray, float]]:
    """Return the weights [K] and the bias of the logit of one class, for each penalty.

    Each fit starts from the result of the one before.

    Args:
        counts: [n, K], from `ngram_matrix`.
        characters: [K, G], from `character_matrix`.
        members: [n], whether each text belongs to the class.
        inverse_penalties: scikit-learn's C of each fit.
        balanced: Weight both classes by inverse frequency.
    """
    members_with, others_with = _text_counts(counts[members]), _text_counts(counts[~members])
    ratio = _count_ratio(members_with, others_with)
    own = csr_matrix((ratio.astype(np.float64), (np.arange(len(ratio)),) * 2))
    character_ratio = _count_ratio(characters.T @ members_with, characters.T @ others_with)
    combined = hstack([own, characters.multiply(character_ratio)]).tocsr()
    features = _product_map(counts, combined)
    fitted: tuple[DoubleArray, float] | None = None
    results = []
    for inverse_penalty in inverse_penalties:
        fitted = fit_logistic(features, members, inverse_penalty, balanced=balanced, start=fitted)
        results.append(((combined @ fitted[0]).astype(np.float32), fitted[1]))
    return results


def _product_map(first: csr_matrix, second: csr_matrix) -> LinearMap:
    """Return the product of two sparse matrices, which would be much larger than both."""
    left, right = first.astype(np.float64), second.astype(np.float64)
    left_transposed, right_transposed = left.T, right.T
    return LinearMap(
        (left.shape[0], right.shape[1]),
        lambda weight: left @ (right @ weight),
        lambda slopes: right_transposed @ (left_transposed @ slopes),
    )


def fit_regression(features: Tensor, device: torch.device) -> Regression:
    """Return a function that fits logistic regressions on `features` [n, F], on the device."""
    return regression_on_cpu(features) if device.type == "cpu" else regression_by_pytorch(features.to(device))


def regression_on_cpu(features: Tensor) -> Regression:
    """Return a function that fits logistic regressions on `features` [n, F] with `fit_logistic`."""
    array = features.numpy()

    def fit(members: BoolArray, inverse_penalty: float, balanced: bool) -> tuple[DoubleArray, float]:
        return fit_logistic(array, members, inverse_penalty, balanced=balanced)

    return fit


def regression_by_pytorch(features: Tensor) -> Regression:
    """Return a function that fits logistic regressions on `features` [n, F] on their device."""

    def fit(members: BoolArray, inverse_penalty: float, balanced: bool) -> tuple[DoubleArray, float]:
        targets = torch.from_numpy(members).to(features.device, features.dtype)
        weights = torch.ones_like(targets)
        fraction = float(members.mean())
        if balanced and 0 < fraction < 1:
            weights = torch.where(targets > 0, 0.5 / fraction, 0.5 / (1 - fraction))
        penalty = 1 / (inverse_penalty * len(targets))

        def loss(parameters: DoubleArray) -> tuple[float, DoubleArray]:
            weight = torch.from_numpy(parameters[:-1]).to(features.device, features.dtype)
            logits = features @ weight + float(parameters[-1])
            log_loss = functional.binary_cross_entropy_with_logits(logits, targets, weight=weights)
            slopes = (torch.sigmoid(logits) - targets) * weights / len(targets)
            gradient = torch.cat([slopes @ features + penalty * weight, slopes.sum()[None]])
            total = float(log_loss) + 0.5 * penalty * float(weight.square().sum())
            return total, gradient.double().cpu().numpy()

        return _minimize(loss, np.zeros(features.shape[1] + 1))

    return fit
