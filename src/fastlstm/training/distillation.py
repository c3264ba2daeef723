"""What a teacher says of texts, for a student to learn (Hinton, Vinyals & Dean 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.inference.network import probabilities_of
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.ngrams import NGRAM_KINDS, NGramLogits
from fastlstm.training.loop import compute_logits
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import make_text_tokenizer

LABEL_WEIGHT = 0.5
"""Of a labelled text, how much its label counts beside the teacher's probabilities."""


class Teacher(Protocol):
    """Who says how likely classes are: a `Classifier`, or a `PyTorchTeacher`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names."""

    def predict_proba(self, texts: list[str], /) -> npt.NDArray[np.float32]:
        """[n, classes] in the order of `labels`; rows sum to 1."""


class PyTorchTeacher:
    """A saved classifier read by PyTorch: on a GPU, which reads a large one many times faster than the kernel."""

    def __init__(self, model: SavedModel, device: torch.device) -> None:
        self._model = model
        config = model.config
        self._network = TextClassifier(config, len(model.labels), seed=0).to(device)
        self._network.assign({name: torch.from_numpy(model.weights[name]) for name in self._network.named()})
        self._encode = make_text_tokenizer(model.tokenizer, config)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names."""
        return self._model.labels

    def predict_proba(self, texts: list[str], /) -> npt.NDArray[np.float32]:
        """[n, classes] in the order of `labels`, on a GPU with float16 arithmetic; rows sum to 1."""
        model, encoded = self._model, self._encode(texts)
        logits = compute_logits(self._network, encoded.ids, narrow=True).numpy()
        if encoded.whole is not None:
            kinds = NGRAM_KINDS[model.config.ngram_kinds]
            logits += NGramLogits(model.numbers["wide.ngrams"], model.weights["wide.weight"], kinds)(encoded.whole)
        sigmoid = weights.uses_sigmoid(model.config, len(model.labels))
        return probabilities_of(logits / np.float32(model.temperature), sigmoid)


@dataclass(frozen=True)
class DistillationData:
    """Texts to learn from, labelled by people or, the others, by the teacher's likeliest class; and `shares`
    [n, classes] float32, how likely each class of each text is, rows that sum to 1."""

    records: Dataset
    shares: npt.NDArray[np.float32]


def soft_targets(teacher: Teacher, labelled: Dataset, unlabelled: Sequence[str]) -> DistillationData:
    """What `teacher` has to say of the texts.

    Args:
        teacher: one whose classes are those of `labelled`.
        labelled: texts whose labels count too, `LABEL_WEIGHT` beside the teacher's probabilities.
        unlabelled: texts on which the teacher alone is believed.

    Raises `DataError` for classes that are not the teacher's.
    """
    names = labelled.class_names
    if sorted(names) != sorted(teacher.labels):
        raise DataError(
            f"the teacher knows the classes {', '.join(teacher.labels)}, and {labelled.source} has "
            f"{', '.join(names)}; expected the same classes: give texts that are labelled as the teacher's were"
        )
    texts = [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    shares = teacher.predict_proba(texts)[:, columns]
    truth = np.eye(len(names), dtype=np.float32)[labelled.label_indices(names)]
    known = len(labelled)
    shares[:known] = LABEL_WEIGHT * truth + (1 - LABEL_WEIGHT) * shares[:known]
    labels = [*labelled.labels, *(names[k] for k in shares[known:].argmax(axis=1))]
    source = f"{labelled.source} and {len(unlabelled):,} texts labelled by the teacher"
    return DistillationData(Dataset(texts, labels, source), shares)
