"""Soft labels from a teacher (Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from fastlstm._typing import FloatArray
from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.inference.network import probabilities_of
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel, make_text_tokenizer
from fastlstm.text.ngrams import NGRAM_KINDS, NGramLogits
from fastlstm.training.loop import compute_logits
from fastlstm.training.model import TextClassifier

LABEL_WEIGHT = 0.5
"""Weight of the label in the soft label of a labelled text; the rest is the teacher's probabilities."""


class Teacher(Protocol):
    """A model that returns class probabilities: a `Classifier` or a `PyTorchTeacher`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names."""

    def predict_proba(self, texts: list[str], /) -> FloatArray:
        """Return the probabilities [n, classes], columns in the order of `labels`."""


class PyTorchTeacher:
    """A saved classifier that runs in PyTorch, for GPUs."""

    def __init__(self, model: SavedModel, device: torch.device) -> None:
        self._model = model
        config = model.config
        self._network = TextClassifier(config, len(model.labels), seed=0).to(device)
        self._network.assign({name: torch.from_numpy(model.weights[name]) for name in self._network.named()})
        self._tokenize = make_text_tokenizer(model.tokenizer, config)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names."""
        return self._model.labels

    def predict_proba(self, texts: list[str], /) -> FloatArray:
        """Return the probabilities [n, classes], columns in the order of `labels`; in float16 on a GPU."""
        model, tokenized = self._model, self._tokenize(texts)
        logits = compute_logits(self._network, tokenized.ids, mixed_precision=True).numpy()
        if tokenized.untruncated is not None:
            kinds = NGRAM_KINDS[model.config.ngram_kinds]
            logits += NGramLogits(model.integer_arrays["wide.ngrams"], model.weights["wide.weight"], kinds)(
                tokenized.untruncated
            )
        sigmoid = weights.uses_sigmoid(model.config, len(model.labels))
        return probabilities_of(logits / np.float32(model.temperature), sigmoid)


@dataclass(frozen=True)
class DistillationData:
    """Texts and their soft labels [n, classes], whose rows sum to 1.

    The label of an unlabelled text is the teacher's most probable class.
    """

    dataset: Dataset
    soft_labels: FloatArray


def soft_targets(teacher: Teacher, labelled: Dataset, unlabelled: Sequence[str]) -> DistillationData:
    """Return texts and soft labels for a student.

    Args:
        teacher: A model with the classes of `labelled`.
        labelled: Labelled texts; the label counts with weight `LABEL_WEIGHT`.
        unlabelled: Texts whose soft labels are the teacher's probabilities.

    Raises:
        DataError: The classes differ from the teacher's.
    """
    names = labelled.class_names
    if sorted(names) != sorted(teacher.labels):
        raise DataError(
            f"{labelled.source} has the classes {', '.join(names)}, but the teacher has "
            f"{', '.join(teacher.labels)}; use texts with the labels of the teacher",
            code="teacher-classes-differ",
            source=labelled.source,
            classes=tuple(names),
            expected=tuple(teacher.labels),
        )
    texts = [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    soft_labels = teacher.predict_proba(texts)[:, columns]
    one_hot = np.eye(len(names), dtype=np.float32)[labelled.label_indices(names)]
    count = len(labelled)
    soft_labels[:count] = LABEL_WEIGHT * one_hot + (1 - LABEL_WEIGHT) * soft_labels[:count]
    labels = [*labelled.labels, *(names[k] for k in soft_labels[count:].argmax(axis=1))]
    source = f"{labelled.source} and {len(unlabelled):,} texts labelled by the teacher"
    return DistillationData(Dataset(texts, labels, source), soft_labels)
