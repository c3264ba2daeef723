"""The wide part of a classifier: evidence of words and word pairs, added to the LSTM's logits.

It is learned as the baseline is, by NB-weighted logistic regression (Wang & Manning 2012), but on n-grams of token
ids, so that a saved model holds it as two small arrays. The name is of Cheng et al. (2016), "Wide & Deep Learning".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from fastlstm.ngrams import KINDS, NUMBERS, Evidence, NGrams, ngrams
from fastlstm.training.baseline import MANY_TEXTS, log_count_ratio, weighted

Ids = npt.NDArray[np.int32]

INVERSE_PENALTY = 0.3
"""scikit-learn's C of the regression."""


@dataclass(frozen=True)
class Wide:
    """`kinds`, a name of `KINDS`; `numbers` [K] int32, rising, the n-grams of these that tell something; `weight`
    [K, logits] float32, what each adds to the logits; `bias` [logits], what is added to every text's."""

    kinds: str
    numbers: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def evidence(self, texts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """[n, logits] of encoded whole texts, the bias included."""
        return Evidence(self.numbers, self.weight, KINDS[self.kinds])(texts) + self.bias


def learn_wide(
    texts: Sequence[Ids],
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
        kinds: which n-grams, a name of `KINDS`.
        balanced: texts of rare classes count more.
    """
    found = ngrams(texts, kinds=KINDS[kinds])
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
    regression.fit(weighted(counts, ratio), inside)
    weight: npt.NDArray[np.float32] = (regression.coef_[0] * ratio).astype(np.float32)
    return weight, float(regression.intercept_[0])
