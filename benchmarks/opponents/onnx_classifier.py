"""A classifier in ONNX Runtime, from raw texts to probabilities: texts of similar lengths are batched together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.inference import Classifier
from opponents import onnx_session


class Opponent:
    """Scores texts with an exported model. fastlstm tokenizes them; n-grams are part of the graph."""

    def __init__(self, model: Classifier, exported: bytes, threads: int) -> None:
        self.model, self.session = model, onnx_session.session(exported, threads)

    def predict_proba(self, texts: Sequence[str], batch_size: int) -> FloatArray:
        """Return the probabilities [texts, classes]."""
        encoded = self.model.tokenize(list(texts))
        token_ids = encoded.untruncated or encoded.ids
        order = np.argsort([len(ids) for ids in token_ids], kind="stable")
        result = np.empty((len(texts), len(self.model.labels)), np.float32)
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            lengths = np.array([len(token_ids[k]) for k in rows])
            ids = np.zeros((len(rows), int(lengths.max())), np.int64)
            for row, k in zip(ids, rows, strict=True):
                row[: len(token_ids[k])] = token_ids[k]
            result[rows] = self.session.run(None, {"ids": ids, "lengths": lengths})[0]
        return result
