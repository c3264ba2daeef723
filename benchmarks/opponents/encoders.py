"""Pretrained English encoders: MiniLM, frozen or fine-tuned, in ONNX Runtime, and static vectors of model2vec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from opponents import linear, onnx_session, onnx_transformer, transformer
from opponents.alternative import Fitted, Task
from opponents.transformer_training import FineTuning, fine_tune

FEW_TEXTS = 5000
FEW_EPOCHS, EPOCHS = 5, 2
"""Epochs of fine-tuning with fewer than `FEW_TEXTS` training texts, and with more."""


def fit_frozen(task: Task, encoder: Path) -> Fitted:
    """Train logistic regression over the embeddings of a frozen transformer in float32."""
    model = transformer.create(encoder, len(set(task.labels)), seed=task.seed)
    graph = onnx_transformer.exported(transformer.Embedder(model))
    path = task.folder / "embeddings.onnx"
    path.write_bytes(graph)
    runtime = onnx_transformer.OnnxTransformer(graph, encoder, task.threads)
    fitted = linear.fit_vectors(task, runtime.fastest(task.texts))
    return Fitted(fitted.predict, [*fitted.files, path, encoder / transformer.TOKENIZER])


def fit_fine_tuned(task: Task, encoder: Path) -> Fitted:
    """Fine-tune a transformer and quantize it to int8."""
    labels = sorted(set(task.labels))
    model = transformer.create(encoder, len(labels), seed=task.seed)
    ids = transformer.TransformerTokenizer(encoder)(task.texts)
    options = FineTuning(epochs=FEW_EPOCHS if len(ids) < FEW_TEXTS else EPOCHS, seed=task.seed)
    fine_tune(model, ids, np.array([labels.index(label) for label in task.labels]), options)
    graph = onnx_session.quantized(onnx_transformer.exported(transformer.Probabilities(model)))
    path = task.folder / "int8.onnx"
    path.write_bytes(graph)
    runtime = onnx_transformer.OnnxTransformer(graph, encoder, task.threads)
    score = runtime.fastest(task.texts)

    def predict(texts: Sequence[str]) -> list[str]:
        return [labels[k] for k in score(texts).argmax(1)]

    return Fitted(predict, [path, encoder / transformer.TOKENIZER])


def fit_static(task: Task, model: Path) -> Fitted:
    """Train logistic regression over the mean word vectors of a model2vec folder."""
    from model2vec import StaticModel

    vectors = StaticModel.from_pretrained(str(model))
    fitted = linear.fit_vectors(task, lambda texts: vectors.encode(list(texts)))
    return Fitted(fitted.predict, [*fitted.files, model])
