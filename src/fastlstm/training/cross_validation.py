"""Cross-validation: choices by all training texts, where they are too few to hold some out.

Each text is left out by one of several models, which train on the others. The logits of left-out texts choose the
epoch, blend LSTM and n-grams, and fit the probabilities. The model that is kept then trains on all texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

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
from fastlstm.training.prepare import LeftOut, PreparedRun, prepare
from fastlstm.training.settings import TrainingSettings


def cross_validate(settings: TrainingSettings, data: DataSplits, precision: Precision) -> Iterator[Note | LeftOut]:
    """Train one model per fold; the last item is what they say about the texts that they leave out.

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
    parts: list[tuple[PreparedRun, list[FloatArray]]] = []
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
        logits = [
            compute_logits(prepared.state.model, prepared.validation.texts).numpy()
            for event in prepared.epochs()
            if isinstance(event, EpochResult)
        ]
        parts.append((prepared, logits))
        accuracy = prepared.state.history[-1].validation_accuracy
        yield Note(
            f"fold {number} of {data.folds}: {len(held):,} texts left out, accuracy of the LSTM {accuracy:.2%}",
            code="fold-finished",
        )
    yield _join(parts)


def _join(parts: list[tuple[PreparedRun, list[FloatArray]]]) -> LeftOut:
    """Return the logits and scores of all folds together."""
    validations = [prepared.validation for prepared, _ in parts]
    classes = np.concatenate([validation.classes for validation in validations])
    wide = [validation.wide_logits for validation in validations if validation.wide_logits is not None]
    logits = np.stack([np.concatenate(epoch) for epoch in zip(*(logits for _, logits in parts), strict=True)])
    results = zip(*(prepared.state.history for prepared, _ in parts), strict=True)
    counts = np.array([len(validation.classes) for validation in validations])

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=counts))

    scores = [
        (mean([result.validation_loss for result in epoch]), mean([result.validation_accuracy for result in epoch]))
        for epoch in results
    ]
    return LeftOut(LabelledIds([], classes, np.concatenate(wide) if wide else None), logits, scores)


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
