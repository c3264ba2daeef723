"""The teacher of a run: its precision, its probabilities of the texts, and how the student compares with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.config.options import Precision
from fastlstm.data import Dataset
from fastlstm.data.dataset import sorted_names
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.data.splits import read_unlabelled
from fastlstm.inference import Classifier
from fastlstm.metrics import predicted_classes
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import effective_precision
from fastlstm.nn.runs import checkpoint_path, run_precision
from fastlstm.notes import Note, known_words_note
from fastlstm.precision import AUTO
from fastlstm.serialization.classifier import make_text_tokenizer, read_classifier
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model
from fastlstm.training.agreement import Agreement, measure_agreement
from fastlstm.training.distillation import evaluated_probabilities, teacher_probabilities
from fastlstm.training.evaluation import mean_known
from fastlstm.training.events import TrainingEvent
from fastlstm.training.settings import TrainingSettings
from fastlstm.training.teachers import ExternalTeacher, PyTorchTeacher, Teacher, threshold_of

FEW_TEXTS_FOR_A_STUDENT = 1000
"""With fewer texts, a note asks for further ones."""


def label_all(
    settings: TrainingSettings, *, log: Callable[[str], None] | None, progress: DownloadProgress | None
) -> Generator[TrainingEvent, None, Dataset]:
    """Return the unlabelled texts of a run without labelled ones, with the probabilities of the teacher."""
    assert settings.unlabelled is not None
    further = read_unlabelled(
        settings.unlabelled, reading=settings.reading, data_dir=settings.data_dir, log=log, progress=progress
    )
    encoder = None if settings.encoder is None else read_language_model(settings.encoder)
    teacher = load_teacher(settings, precision_of(settings, len(further), encoder))
    names = sorted_names(teacher.labels)
    probabilities = yield from soft_labels_of(teacher, settings, names, further.texts, further.source)
    soft_labels = SoftLabels(tuple(names), probabilities, np.zeros(len(further), np.bool_))
    labels = [names[k] for k in probabilities.argmax(axis=1)]
    return Dataset(
        further.texts, labels, further.source, notes=further.notes, keep_missing=True, soft_labels=soft_labels
    )


def precision_of(settings: TrainingSettings, count: int, encoder: SavedLanguageModel | None) -> Precision:
    """Return the precision of a run on `count` texts."""
    return run_precision(
        settings.training.precision,
        (settings.model if encoder is None else encoder.config).hidden_sizes,
        settings.training.for_texts(count).batch_size,
        find_device(settings.device),
        checkpoint_path(settings.out) if settings.resume else None,
    )


def load_teacher(settings: TrainingSettings, precision: Precision) -> Teacher:
    """Return the teacher. On a CPU it has the precision of the run, so that a resumed run gets the same soft labels."""
    if not isinstance(settings.teacher, Path):
        return ExternalTeacher(settings.teacher, settings.teacher_labels)
    saved, device = read_classifier(settings.teacher), find_device(settings.device)
    if device.type == "cpu" or saved.config.import_fields:
        return Classifier(saved, "float32" if precision == AUTO else effective_precision(precision))
    return PyTorchTeacher(saved, device)


def soft_labels_of(
    teacher: Teacher, settings: TrainingSettings, names: Sequence[str], texts: Sequence[str], source: str
) -> Generator[TrainingEvent, None, FloatArray]:
    """Return the teacher's probabilities [n, classes] of the texts of a run, and yield notes about it.

    Args:
        teacher: The teacher.
        settings: The run.
        names: The class names, in the order of the columns.
        texts: The texts [n].
        source: Where they come from, for messages.
    """
    if isinstance(teacher, Classifier | PyTorchTeacher):
        known = mean_known(make_text_tokenizer(teacher.saved.tokenizer, teacher.saved.config), texts)
        if note := known_words_note(known, f"the teacher {settings.teacher_name}", source):
            yield note
    if len(texts) < FEW_TEXTS_FOR_A_STUDENT:
        yield Note(
            f"the student learns from {len(texts):,} texts only; pass more texts of the same kind as `unlabelled`, and "
            "the teacher labels them",
            code="few-texts-for-a-student",
        )
    yield Note(f"the teacher predicts probabilities of {len(texts):,} texts", code="teacher-started")
    started = time.perf_counter()
    probabilities = yield from teacher_probabilities(teacher, names, texts, source)
    yield Note(f"the teacher took {time.perf_counter() - started:.1f} s", code="teacher-finished")
    return probabilities


def agreement_of(
    classifier: Classifier, teacher: Teacher | None, evaluation: Dataset
) -> Generator[TrainingEvent, None, Agreement | None]:
    """Compare student and teacher on the evaluated texts; None without a teacher or its probabilities for them."""
    evaluated = yield from evaluated_probabilities(teacher, evaluation, classifier.labels)
    if evaluated is None:
        if classifier.saved.training["label_weight"] is not None:
            yield Note(
                f"{evaluation.source} has no probabilities of the teacher: how well student and teacher agree is not "
                "known",
                code="agreement-unknown",
            )
        return None
    dataset, probabilities = evaluated
    student = predicted_classes(classifier.predict_proba(dataset.texts), classifier.saved.threshold)
    taught = predicted_classes(probabilities, threshold_of(teacher, classifier.labels))
    return measure_agreement(taught, student, dataset, classifier.labels)
