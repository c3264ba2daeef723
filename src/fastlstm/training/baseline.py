"""The baseline every LSTM has to beat: NB-weighted logistic regression on words and word pairs.

Wang & Manning (2012), "Baselines and Bigrams": each n-gram's presence is weighted by the logarithm of how much
more often it stands in the class than outside it, and a logistic regression learns on top. One regression a
class; for two classes, one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from fastlstm.metrics import Report, evaluate
from fastlstm.records import Records
from fastlstm.tokens import WORD_PATTERN, clean

NAME = "NB-weighted logistic regression on 1-2-grams"
MANY_TEXTS = 1000
"""From so many texts on, n-grams seen in one text alone are left out, to save memory."""


def baseline_report(training: Records, test: Records, labels: tuple[str, ...]) -> Report:
    """Trains the baseline on `training` and tells how good it is on `test`.

    Raises `DataError` for a label that is not among `labels`.
    """
    vectorizer, counts = count(training.texts)
    test_counts = csr_matrix(vectorizer.transform(test.texts))
    predicted = probabilities(counts, training.label_indices(labels), test_counts, len(labels))
    return evaluate(predicted, test.label_indices(labels), labels)


def count(texts: Sequence[str]) -> tuple[CountVectorizer, csr_matrix]:
    """The n-grams of `texts`, and which texts have which: float32 [n, n-grams], 1 or 0.

    Of `MANY_TEXTS` and more, an n-gram counts that stands in two of them, where any does.
    """
    try:
        return _counted(texts, min_texts=2 if len(texts) >= MANY_TEXTS else 1)
    except ValueError:  # no n-gram stands in two texts
        return _counted(texts, min_texts=1)


def probabilities(
    counts: csr_matrix, truth: npt.NDArray[np.integer], test_counts: csr_matrix, classes: int
) -> npt.NDArray[np.float64]:
    """What the baseline that learns from `counts` says of other texts: [n, classes], rows sum to 1.

    Args:
        counts: [m, n-grams] of the texts to learn from, as `count` gives them.
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
    regression = LogisticRegression(max_iter=200).fit(weighted(counts, ratio), inside)
    result: npt.NDArray[np.float64] = regression.predict_proba(weighted(test_counts, ratio))[:, 1]
    return np.clip(result, 1e-12, 1)


def log_count_ratio(counts: csr_matrix, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """[n-grams] how much likelier each is in the texts `inside` than in the others, as a logarithm."""
    return _smoothed(counts[inside]) - _smoothed(counts[~inside])


def _smoothed(counts: csr_matrix) -> npt.NDArray[np.float32]:
    """[n-grams] the log share of each n-gram, none of them zero."""
    total = 1 + np.asarray(counts.sum(axis=0), np.float32).ravel()
    result: npt.NDArray[np.float32] = np.log(total / total.sum())
    return result


def weighted(counts: csr_matrix, ratio: npt.NDArray[np.float32]) -> csr_matrix:
    """The same texts, each n-gram counting by its ratio."""
    return csr_matrix((counts.data * ratio[counts.indices], counts.indices, counts.indptr), counts.shape)


def _lowered(text: str) -> str:
    return clean(text).lower()
