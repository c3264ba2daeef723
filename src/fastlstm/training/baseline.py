"""The baseline every LSTM has to beat: NB-weighted logistic regression on words and word pairs.

Wang & Manning (2012), "Baselines and Bigrams": each n-gram's presence is weighted by the logarithm of how much
more often it stands in the class than outside it, and a logistic regression learns on top. One regression a
class; for two classes, one.
"""

from __future__ import annotations

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
    try:
        vectorizer, counts = _counted(training, min_texts=2 if len(training) >= MANY_TEXTS else 1)
    except ValueError:  # no n-gram stands in two texts
        vectorizer, counts = _counted(training, min_texts=1)
    test_counts = csr_matrix(vectorizer.transform(test.texts))
    truth = training.label_indices(labels)
    classes = [1] if len(labels) == 2 else range(len(labels))
    likely = np.stack([_probability(counts, truth == k, test_counts) for k in classes], axis=1)
    probabilities = np.hstack([1 - likely, likely]) if len(labels) == 2 else likely
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return evaluate(probabilities, test.label_indices(labels), labels)


def _counted(training: Records, min_texts: int) -> tuple[CountVectorizer, csr_matrix]:
    """The n-grams that stand in at least `min_texts` texts, and which texts have which [n, n-grams]."""
    vectorizer = CountVectorizer(
        preprocessor=_lowered,
        token_pattern=WORD_PATTERN,
        ngram_range=(1, 2),
        binary=True,
        min_df=min_texts,
        dtype=np.float32,
    )
    return vectorizer, csr_matrix(vectorizer.fit_transform(training.texts))


def _probability(
    counts: csr_matrix, inside: npt.NDArray[np.bool_], test_counts: csr_matrix
) -> npt.NDArray[np.float64]:
    """[n] the probability that each test text belongs to the class which holds the texts `inside`."""
    ratio = _smoothed(counts[inside]) - _smoothed(counts[~inside])
    regression = LogisticRegression(max_iter=200).fit(_weighted(counts, ratio), inside)
    result: npt.NDArray[np.float64] = regression.predict_proba(_weighted(test_counts, ratio))[:, 1]
    return np.clip(result, 1e-12, 1)


def _smoothed(counts: csr_matrix) -> npt.NDArray[np.float32]:
    """[n-grams] the log share of each n-gram, none of them zero."""
    total = 1 + np.asarray(counts.sum(axis=0), np.float32).ravel()
    result: npt.NDArray[np.float32] = np.log(total / total.sum())
    return result


def _weighted(counts: csr_matrix, ratio: npt.NDArray[np.float32]) -> csr_matrix:
    return csr_matrix((counts.data * ratio[counts.indices], counts.indices, counts.indptr), counts.shape)


def _lowered(text: str) -> str:
    return clean(text).lower()
