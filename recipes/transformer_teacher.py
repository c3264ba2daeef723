"""Fine-tune a transformer as a teacher of sentiment, and label texts with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fastlstm._typing import DoubleArray, FloatArray
from minilm_teacher import report
from opponents import onnx_session, onnx_transformer, transformer
from opponents.transformer_training import FineTuning, fine_tune, has_amx, mixed_precision
from probes import LABELS
from scored import Scored

MAX_TRAINED_WORDS = 100_000
"""Embeddings of a larger, multilingual vocabulary are not trained: they are most of the weights."""
LABEL_CHUNK = 10_000
"""Texts that are labelled between two reports."""
LARGE_BATCH_TOKENS, LARGE_BATCH_TEXTS = 8192, 512
"""Batch sizes in bfloat16: large, because PyTorch rearranges the weights for every batch."""
FLOAT_NODES = re.compile(r"layer\.\d+/output/dense")
"""The second layer of each feed-forward block is not quantized: its inputs have outliers, so that one scale per tensor
is too coarse for the others."""
Score = Callable[[Sequence[str]], FloatArray]
"""Returns the probabilities [texts, classes] of texts."""


def train(encoder: Path, texts: Scored, options: FineTuning, out: Path) -> None:
    """Fine-tune the encoder on texts, and save the classifier as the folder `out`; an interrupted training resumes."""
    model = transformer.create(encoder, len(LABELS), seed=0, dropout=0.0)
    options = replace(options, freeze_words=model.encoder.config.vocab_size > MAX_TRAINED_WORDS)
    ids = transformer.TransformerTokenizer(encoder)(texts.texts)
    targets = np.stack([1 - texts.positive, texts.positive], axis=1).astype(np.float32)
    checkpoint = out.with_name(out.name + ".checkpoint")
    fine_tune(model, ids, targets, options, checkpoint=checkpoint, report=report)
    transformer.save(model, encoder, LABELS, out)
    checkpoint.unlink(missing_ok=True)


def label(teacher: Path, texts: Sequence[str], out: Path, *, fast: bool = False) -> None:
    """Write a Parquet file with the texts and their logits; texts of an unfinished file are not labelled again.

    An unfinished file of other texts is ignored. With `fast`, the teacher labels in bfloat16 if the processor has AMX,
    and otherwise in int8 by ONNX Runtime.
    """
    fast_scorer = _bfloat16_scorer if has_amx() else _int8_scorer
    score = (fast_scorer if fast else _scorer)(teacher)
    part = out.with_suffix(".part")
    done = read_logits(part) if part.exists() else ([], [])
    logits = done[1] if done[0] == list(texts[: len(done[0])]) else []
    for start in range(len(logits), len(texts), LABEL_CHUNK):
        positive = score(texts[start : start + LABEL_CHUNK])[:, 1]
        logits += list(to_logits(positive))
        write_labels(texts[: len(logits)], np.asarray(logits), part)
        report(f"{out.stem}: {len(logits):,} of {len(texts):,} texts")
    write_labels(texts, np.asarray(logits), out)
    part.unlink(missing_ok=True)


def _scorer(teacher: Path) -> Score:
    model, _ = transformer.load(teacher)
    tokenize = transformer.TransformerTokenizer(teacher)
    return lambda texts: transformer.predict_proba(model, tokenize(texts))


def _bfloat16_scorer(teacher: Path) -> Score:
    model, _ = transformer.load(teacher)
    tokenize = transformer.TransformerTokenizer(teacher)

    def score(texts: Sequence[str]) -> FloatArray:
        with mixed_precision():
            return transformer.predict_proba(model, tokenize(texts), LARGE_BATCH_TOKENS, LARGE_BATCH_TEXTS)

    return score


def _int8_scorer(teacher: Path) -> Score:
    model, _ = transformer.load(teacher)
    graph = onnx_transformer.exported(transformer.Probabilities(model))
    graph = onnx_session.quantized(graph, per_channel=True, float_nodes=FLOAT_NODES)
    return onnx_transformer.OnnxTransformer(graph, teacher, torch.get_num_threads()).score


def write_labels(texts: Sequence[str], logits: DoubleArray, out: Path) -> None:
    """Write a Parquet file with texts and their logits; an interruption leaves no half file."""
    temporary = out.with_name(out.name + ".temporary")
    pq.write_table(pa.table({"text": list(texts), "logit": logits}), temporary)
    temporary.replace(out)


def read_logits(path: Path) -> tuple[list[str], list[float]]:
    """Return texts and their logits."""
    table = pq.read_table(path)
    return table["text"].to_pylist(), table["logit"].to_pylist()


def read_labels(path: Path) -> Scored:
    """Return labelled texts."""
    texts, logits = read_logits(path)
    return Scored(texts, to_probabilities(np.asarray(logits)))


def mean_labels(paths: Sequence[Path]) -> Scored:
    """Return texts that several teachers have labelled, with the probability of their mean logit."""
    parts = [read_logits(path) for path in paths]
    if any(texts != parts[0][0] for texts, _ in parts):
        raise SystemExit(f"{', '.join(map(str, paths))} have different texts; remove those of an earlier call")
    return Scored(parts[0][0], to_probabilities(np.mean([logits for _, logits in parts], axis=0)))


def to_logits(probabilities: FloatArray | DoubleArray) -> DoubleArray:
    """Return logits, bounded so that they are finite."""
    bounded = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    result: DoubleArray = np.log(bounded / (1 - bounded))
    return result


def to_probabilities(logits: DoubleArray) -> DoubleArray:
    """Return the probabilities of logits."""
    result: DoubleArray = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return result
