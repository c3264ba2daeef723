"""Cross-validation: choices by all training texts, where they are too few to hold some out.

Each text is left out by one of several models, which train on the others. The logits of left-out texts choose the
epoch, blend LSTM and n-grams, and fit the probabilities. The model that is kept then trains on all texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.config.options import Precision
from fastlstm.data.dataset import Dataset
from fastlstm.data.splits import DataSplits, assign_folds
from fastlstm.metrics import Report, evaluate
from fastlstm.notes import Note
from fastlstm.training.events import EpochResult
from fastlstm.training.linear import baseline_predictions
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.prepare import PreparedRun, prepare
from fastlstm.training.settings import TrainingSettings


@dataclass(frozen=True)
class CrossValidation:
    """What the models say about the n texts that they leave out.

    Attributes:
        folds: The number of models.
        scores: The loss (nats) and the accuracy (0..1) on left-out texts after each epoch.
        logits: [epochs, n, logits], the logits of the LSTM for left-out texts after each epoch.
        left_out: classes [n] and n-gram logits [n, logits] of these texts; without the texts.
    """

    folds: int
    scores: tuple[tuple[float, float], ...]
    logits: FloatArray
    left_out: LabelledIds


def cross_validate(
    settings: TrainingSettings, data: DataSplits, precision: Precision
) -> Iterator[Note | CrossValidation]:
    """Train one model per fold; the last item is the result.

    Args:
        settings: The run.
        data: Its texts, with folds.
        precision: The actual precision of the run.
    """
    training = data.training
    config = settings.training.for_texts(len(training))
    config = dataclasses.replace(config, min_steps=0, patience=config.epochs)
    yield Note(
        f"{data.folds}-fold cross-validation chooses the epoch and fits the probabilities; the model then trains on "
        f"all {len(training):,} texts",
        code="cross-validation",
    )
    parts: list[tuple[PreparedRun, list[FloatArray], list[float]]] = []
    for number, (rest, held) in enumerate(split_folds(training, data.folds, settings.training.seed), start=1):
        prepared = prepare(
            training.take(rest),
            training.take(held),
            settings.model,
            config,
            device=settings.device,
            cap_vocabulary=True,
            precision=precision,
        )
        logits, losses = [], []
        for event in prepared.epochs():
            if isinstance(event, EpochResult):
                logits.append(compute_logits(prepared.state.model, prepared.validation.texts).numpy())
                losses.append(event.validation_loss)
        parts.append((prepared, logits, losses))
        accuracy = prepared.state.history[-1].validation_accuracy
        yield Note(
            f"fold {number} of {data.folds}: {len(held):,} texts left out, accuracy of the LSTM {accuracy:.2%}",
            code="fold-finished",
        )
    yield _collect(parts, data.folds)


def _collect(parts: list[tuple[PreparedRun, list[FloatArray], list[float]]], folds: int) -> CrossValidation:
    classes = np.concatenate([prepared.validation.classes for prepared, _, _ in parts])
    wide = [prepared.validation.wide_logits for prepared, _, _ in parts]
    wide_logits = np.concatenate([part for part in wide if part is not None]) if parts[0][0].wide else None
    logits = np.stack([np.concatenate(epoch) for epoch in zip(*(logits for _, logits, _ in parts), strict=True)])
    counts = np.array([len(prepared.validation.classes) for prepared, _, _ in parts])
    losses = np.array([losses for _, _, losses in parts]).T @ counts / counts.sum()
    accuracies = (
        np.array([[result.validation_accuracy for result in prepared.state.history] for prepared, _, _ in parts]).T
        @ counts
        / counts.sum()
    )
    scores = tuple((float(loss), float(accuracy)) for loss, accuracy in zip(losses, accuracies, strict=True))
    return CrossValidation(folds, scores, logits, LabelledIds([], classes, wide_logits))


def with_cross_validation(prepared: PreparedRun, result: CrossValidation) -> PreparedRun:
    """Return a run on all texts whose choices are those of the cross-validation."""
    return dataclasses.replace(
        prepared, validation=result.left_out, epoch_scores=result.scores, left_out_logits=result.logits
    )


def cross_validated_baseline(training: Dataset, folds: int, seed: int) -> Report:
    """Evaluate the baseline on the texts that its models leave out.

    Raises:
        DataError: No training text contains a word.
    """
    labels = tuple(training.class_names)
    predicted, classes = [], []
    for rest, held in split_folds(training, folds, seed):
        part = training.take(held)
        predicted.append(baseline_predictions(training.take(rest), part, labels))
        classes.append(part.label_indices(labels))
    return evaluate(np.concatenate(predicted), np.concatenate(classes), labels)


def split_folds(training: Dataset, folds: int, seed: int) -> Iterator[tuple[IndexArray, IndexArray]]:
    """Yield the rows to train on and the rows to leave out, for each fold that leaves any out."""
    fold_of = assign_folds(training.labels, folds, seed)
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        if len(held):
            yield np.flatnonzero(fold_of != fold), held
