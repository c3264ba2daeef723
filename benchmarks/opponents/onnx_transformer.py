"""A transformer in ONNX Runtime, from raw texts to probabilities or embeddings, in float32 or int8."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fastlstm._typing import FloatArray
from opponents import onnx_session
from opponents.padded_batches import padded_batches
from opponents.transformer import Embedder, Probabilities, TransformerTokenizer
from timing import alternate, medians

OPSET = 17
OUTPUT = "scores"
"""Name of the output: probabilities [texts, classes], or embeddings [texts, hidden]."""
BATCH_TOKENS = 2048, 8192
"""Sizes of padded batches; the faster one in a trial is used."""
BATCH_TEXTS = 64
TRIAL_TEXTS, TRIALS = 512, 3


def exported(graph: Probabilities | Embedder) -> bytes:
    """Return as ONNX what maps ids and mask, both [texts, tokens], to `OUTPUT`."""
    graph.eval()
    graph.model.encoder.set_attn_implementation("eager")
    ids = torch.ones((2, 7), dtype=torch.int64)
    axes = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            graph,
            (ids, ids),
            path,
            input_names=["ids", "mask"],
            output_names=[OUTPUT],
            dynamic_axes={"ids": axes, "mask": axes, OUTPUT: {0: "texts"}},
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


class OnnxTransformer:
    """Scores texts: sorted by length, in batches that are padded to their longest text."""

    def __init__(self, model: bytes, tokenizer_folder: Path, threads: int) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer
        self._tokenize = TransformerTokenizer(tokenizer_folder)
        self._session = onnx_session.session(model, threads)

    def score(self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS[0]) -> FloatArray:
        """Return the output for each text."""
        ids = self._tokenize(texts)
        result: list[FloatArray] = []
        order = []
        for batch, padded, mask in padded_batches(ids, batch_tokens, BATCH_TEXTS):
            order.append(batch)
            result.append(self._session.run(None, {"ids": padded, "mask": mask})[0])
        scores: FloatArray = np.concatenate(result)[np.argsort(np.concatenate(order))]
        return scores

    def fastest(self, texts: Sequence[str]) -> Callable[[Sequence[str]], FloatArray]:
        """Return the scoring function with the batch size that is the fastest for the first of these texts."""
        trial = texts[:TRIAL_TEXTS]
        calls = {str(size): partial(self.score, trial, size) for size in BATCH_TOKENS}
        seconds = medians(alternate(calls, TRIALS))
        return partial(self.score, batch_tokens=int(min(seconds, key=seconds.__getitem__)))
