"""Logistic regression of scikit-learn, over TF-IDF features or over the vectors of another model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from opponents.alternative import Fitted, Task

CHOICES_OF_C = (0.3, 1.0, 3.0, 10.0, 30.0)
MAX_ITERATIONS = 1000


def tfidf_pipeline(inverse_penalty: float, *, unspaced: bool) -> Any:
    """Return TF-IDF of words and pairs, of characters 1-3 for scripts without spaces, and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    units = {"analyzer": "char", "ngram_range": (1, 3)} if unspaced else {"ngram_range": (1, 2)}
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, **units),
        LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS),
    )


def split(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return four fifths and one fifth of the text numbers, at random."""
    shuffled = random.Random(seed).sample(range(count), count)
    return shuffled[count // 5 :], shuffled[: count // 5]


def choose(accuracy: Callable[[float], float]) -> float:
    """Return the C with the highest accuracy."""
    return max(CHOICES_OF_C, key=accuracy)


def fit_tfidf(task: Task, inverse_penalty: float | None = None) -> Fitted:
    """Train TF-IDF and logistic regression, on one thread of BLAS, which is faster than two.

    Args:
        task: The training texts.
        inverse_penalty: C. None: it is chosen on a fifth of the training texts; 1 if the others have only one class.
    """
    labels = np.array(task.labels)
    training, validation = split(len(task.texts), task.seed)
    if inverse_penalty is None and len(set(labels[training])) < 2:
        inverse_penalty = 1.0

    def accuracy(inverse_penalty: float) -> float:
        model = tfidf_pipeline(inverse_penalty, unspaced=task.unspaced)
        model.fit([task.texts[k] for k in training], labels[training])
        return float(model.score([task.texts[k] for k in validation], labels[validation]))

    with threadpool_limits(1, "blas"):
        chosen = choose(accuracy) if inverse_penalty is None else inverse_penalty
        model = tfidf_pipeline(chosen, unspaced=task.unspaced).fit(task.texts, labels)
    return _saved(task, model, lambda texts: [str(label) for label in model.predict(texts)])


def fit_vectors(task: Task, encode: Callable[[Sequence[str]], Any]) -> Fitted:
    """Train logistic regression over standardized vectors [texts, dimensions], with C chosen on a fifth."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors, labels = np.asarray(encode(task.texts)), np.array(task.labels)
    training, validation = split(len(task.texts), task.seed)

    def make(inverse_penalty: float) -> Any:
        # Standardized features have a scale of 1 each: the penalty of TF-IDF's range is divided by 100.
        regression = LogisticRegression(C=inverse_penalty / 100, max_iter=MAX_ITERATIONS)
        return make_pipeline(StandardScaler(), regression)

    def accuracy(inverse_penalty: float) -> float:
        model = make(inverse_penalty).fit(vectors[training], labels[training])
        return float(model.score(vectors[validation], labels[validation]))

    model = make(choose(accuracy)).fit(vectors, labels)
    return _saved(task, model, lambda texts: [str(label) for label in model.predict(np.asarray(encode(texts)))])


def _saved(task: Task, model: Any, predict: Callable[[Sequence[str]], list[str]]) -> Fitted:
    path = task.folder / "regression.joblib"
    joblib.dump(model, path)
    return Fitted(predict, [path])
