"""The wide part of a classifier: evidence of words and word pairs, added to the LSTM's logits.

It is learned as the baseline is, by NB-weighted logistic regression (Wang & Manning 2012), but on n-grams of token
ids, so that a saved model holds it as two small arrays. The name is of Cheng et al. (2016), "Wide & Deep Learning".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from fastlstm._typing import DoubleArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.metrics import Report, evaluate
from fastlstm.text.ngrams import NGRAM_KINDS, NUMBERS, NGramLogits, NGrams, ngrams
from fastlstm.text.tokenizer import WORD_PATTERN, clean_text

BASELINE_NAME = "NB-weighted logistic regression on 1-2-grams"
MANY_TEXTS = 1000
"""From so many texts on, n-grams seen in one text alone are left out, to save memory."""


def baseline_report(training: Dataset, test: Dataset, labels: tuple[str, ...]) -> Report:
    """Trains the baseline on `training` and tells how good it is on `test`.

    Raises `DataError` for a label that is not among `labels`.
    """
    vectorizer, counts = count_ngrams(training.texts)
    test_counts = csr_matrix(vectorizer.transform(test.texts))
    predicted = baseline_probabilities(counts, training.label_indices(labels), test_counts, len(labels))
    return evaluate(predicted, test.label_indices(labels), labels)


def count_ngrams(texts: Sequence[str]) -> tuple[CountVectorizer, csr_matrix]:
    """The n-grams of `texts`, and which texts have which: float32 [n, n-grams], 1 or 0.

    Of `MANY_TEXTS` and more, an n-gram counts that stands in two of them, where any does.
    """
    try:
        return _counted(texts, min_texts=2 if len(texts) >= MANY_TEXTS else 1)
    except ValueError:  # no n-gram stands in two texts
        return _counted(texts, min_texts=1)


def baseline_probabilities(
    counts: csr_matrix, truth: npt.NDArray[np.integer], test_counts: csr_matrix, classes: int
) -> npt.NDArray[np.float64]:
    """What the baseline that learns from `counts` says of other texts: [n, classes], rows sum to 1.

    Args:
        counts: [m, n-grams] of the texts to learn from, as `count_ngrams` gives them.
        truth: [m] the index of each one's class; every class must be among them.
        test_counts: [n, n-grams] of the others.
        classes: how many there are, 2 or more.
    """
    regressions = [1] if classes == 2 else range(classes)
    likely = np.stack([_probability(counts, truth == k, test_counts) for k in regressions], axis=1)
    result: npt.NDArray[np.float64] = np.hstack([1 - likely, likely]) if classes == 2 else likely
    result /= result.sum(axis=1, keepdims=True)
    return result


def _counted(texts: Sequence[str], min_texts: int) -> tuple[CountVectorizer, csr_matrix]:
    vectorizer = CountVectorizer(
        preprocessor=_lowered,
        token_pattern=WORD_PATTERN,
        ngram_range=(1, 2),
        binary=True,
        min_df=min_texts,
        dtype=np.float32,
    )
    return vectorizer, csr_matrix(vectorizer.fit_transform(texts))


def _probability(
    counts: csr_matrix, inside: npt.NDArray[np.bool_], test_counts: csr_matrix
) -> npt.NDArray[np.float64]:
    """[n] the probability that each test text belongs to the class which holds the texts `inside`."""
    ratio = log_count_ratio(counts, inside)
    regression = LogisticRegression(max_iter=200).fit(weight_counts(counts, ratio), inside)
    result: npt.NDArray[np.float64] = regression.predict_proba(weight_counts(test_counts, ratio))[:, 1]
    return np.clip(result, 1e-12, 1)


def log_count_ratio(counts: csr_matrix, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """[n-grams] how much likelier each is in the texts `inside` than in the others, as a logarithm."""
    return _smoothed(counts[inside]) - _smoothed(counts[~inside])


def _smoothed(counts: csr_matrix) -> npt.NDArray[np.float32]:
    """[n-grams] the log share of each n-gram, none of them zero."""
    total = 1 + np.asarray(counts.sum(axis=0), np.float32).ravel()
    result: npt.NDArray[np.float32] = np.log(total / total.sum())
    return result


def weight_counts(counts: csr_matrix, ratio: npt.NDArray[np.float32]) -> csr_matrix:
    """The same texts, each n-gram counting by its ratio."""
    return csr_matrix((counts.data * ratio[counts.indices], counts.indices, counts.indptr), counts.shape)


def _lowered(text: str) -> str:
    return clean_text(text).lower()


Regression = Callable[[npt.NDArray[np.bool_], float, bool], tuple[DoubleArray, float]]
"""Which texts are inside [n], scikit-learn's C, and whether both kinds count alike -> weight [F] and bias."""

MAX_ITERATIONS = 200
MIN_SLOPE = 1e-4
"""Where the search ends, as scikit-learn's."""


def fit_regression(features: Tensor, device: torch.device) -> Regression:
    """Fits on `features` [n, F], on the device."""
    return _by_scikit_learn(features) if device.type == "cpu" else _by_pytorch(features.to(device))


def _by_scikit_learn(features: Tensor) -> Regression:
    learned = features.numpy()

    def fit(inside: npt.NDArray[np.bool_], inverse_penalty: float, balanced: bool) -> tuple[DoubleArray, float]:
        weights = "balanced" if balanced else None
        regression = LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS, class_weight=weights)
        regression.fit(learned, inside)
        return regression.coef_[0], float(regression.intercept_[0])

    return fit


def _by_pytorch(features: Tensor) -> Regression:
    def fit(inside: npt.NDArray[np.bool_], inverse_penalty: float, balanced: bool) -> tuple[DoubleArray, float]:
        truth = torch.from_numpy(inside).to(features.device, features.dtype)
        share = float(inside.mean())
        counts = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) if balanced else torch.ones_like(truth)
        penalty = 1 / (inverse_penalty * len(truth))

        def loss(parameters: DoubleArray) -> tuple[float, DoubleArray]:
            weight = torch.from_numpy(parameters[:-1]).to(features.device, features.dtype)
            logits = features @ weight + float(parameters[-1])
            lost = functional.binary_cross_entropy_with_logits(logits, truth, weight=counts)
            slopes = (torch.sigmoid(logits) - truth) * counts / len(truth)
            gradient = torch.cat([slopes @ features + penalty * weight, slopes.sum()[None]])
            total = float(lost) + 0.5 * penalty * float(weight.square().sum())
            return total, gradient.double().cpu().numpy()

        options = {"maxiter": MAX_ITERATIONS, "gtol": MIN_SLOPE}
        found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options=options)
        return found.x[:-1], float(found.x[-1])

    return fit


INVERSE_PENALTY = 0.3
"""scikit-learn's C of the regression."""


@dataclass(frozen=True)
class Wide:
    """`kinds`, a name of `NGRAM_KINDS`; `numbers` [K] int32, rising, the n-grams of these that tell something; `weight`
    [K, logits] float32, what each adds to the logits; `bias` [logits], what is added to every text's."""

    kinds: str
    numbers: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def evidence(self, texts: Sequence[TokenIds]) -> npt.NDArray[np.float32]:
        """[n, logits] of encoded whole texts, the bias included."""
        return NGramLogits(self.numbers, self.weight, NGRAM_KINDS[self.kinds])(texts) + self.bias


def fit_wide(
    texts: Sequence[TokenIds],
    truth: npt.NDArray[np.int64],
    logits: int,
    most: int,
    kinds: str,
    *,
    balanced: bool = False,
) -> Wide:
    """Learns from encoded texts.

    Args:
        texts: token ids, whole texts of at least one token.
        truth: [n], the index of each one's class. Every class must be there.
        logits: 1: those of the second of two classes; else one column a class, one class against the rest.
        most: n-grams kept, those that move texts the most.
        kinds: which n-grams, a name of `NGRAM_KINDS`.
        balanced: texts of rare classes count more.
    """
    found = ngrams(texts, kinds=NGRAM_KINDS[kinds])
    seen = np.bincount(found.numbers, minlength=NUMBERS)
    common = np.flatnonzero(seen >= 2) if len(texts) >= MANY_TEXTS else np.zeros(0, np.int64)
    kept = (common if len(common) else np.flatnonzero(seen)).astype(np.int32)
    counts = matrix(found, kept)
    columns = [1] if logits == 1 else range(logits)
    learned = [_regression(counts, truth == k, "balanced" if balanced else None) for k in columns]
    weight = np.stack([of for of, _ in learned], axis=1)
    moves = np.abs(weight).max(axis=1) * np.sqrt(seen[kept])
    strongest = np.sort(np.argsort(-moves, kind="stable")[:most])
    bias = np.array([intercept for _, intercept in learned], np.float32)
    return Wide(kinds, kept[strongest], weight[strongest], bias)


def matrix(found: NGrams, kept: npt.NDArray[np.int32]) -> csr_matrix:
    """float32 [texts, K], 1 where a text holds the n-gram; those not `kept` [K], rising, are left out."""
    column = np.full(NUMBERS, -1, np.int32)
    column[kept] = np.arange(len(kept), dtype=np.int32)
    columns = column[found.numbers]
    there = columns >= 0
    starts = np.concatenate([[0], np.cumsum(there)])[found.starts]
    columns = columns[there]
    shape = (len(found.starts) - 1, len(kept))
    return csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape)


def _regression(
    counts: csr_matrix, inside: npt.NDArray[np.bool_], class_weight: str | None
) -> tuple[npt.NDArray[np.float32], float]:
    """What each n-gram [K] and every text adds to the logit of belonging to the class that holds `inside`."""
    ratio = log_count_ratio(counts, inside)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=200, class_weight=class_weight)
    regression.fit(weight_counts(counts, ratio), inside)
    weight: npt.NDArray[np.float32] = (regression.coef_[0] * ratio).astype(np.float32)
    return weight, float(regression.intercept_[0])
