"""Cross-validation: choices by all training texts, where they are too few to hold some out.

Each text is left out by one of several models, which train on the others. The logits of left-out texts choose the
epoch, blend LSTM and n-grams, and fit the probabilities. The model that is kept then trains on all texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.config.options import Precision
from fastlstm.data.dataset import Dataset, cannot_split
from fastlstm.data.splits import assign_folds
from fastlstm.metrics import Report, evaluate
from fastlstm.nn.tokens import resolve_tokens
from fastlstm.notes import Note
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.training.calibration import choose_logits
from fastlstm.training.events import EpochResult
from fastlstm.training.linear import baseline_predictions
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.prepare import OutOfFold, prepare


def cross_validate(
    training: Dataset,
    folds: int,
    model_config: ModelConfig,
    training_config: TrainingConfig,
    *,
    is_size_given: bool = False,
    device: str = "auto",
    encoder: SavedLanguageModel | None = None,
    word_vectors: Mapping[str, FloatArray] | None = None,
    precision: Precision | None = None,
    is_linear: bool = False,
) -> Generator[Note, None, OutOfFold]:
    """Train one model per fold, and return the predictions for the texts that each leaves out.

    Args:
        training: The texts of the run.
        folds: Number of models.
        model_config, training_config: Configuration of the run.
        is_size_given, device, encoder, precision: Those of the run, see `prepare`.
        word_vectors: The vectors of the words of the run. A fold may have none of them.
        is_linear: Whether the n-grams alone will decide, without the LSTM.

    Raises:
        DataError: No class has two texts.
    """
    config = training_config.for_texts(len(training))
    config = dataclasses.replace(config, min_steps=0, patience=config.epochs)
    rows_of_folds = list(split_folds(training, folds, config.seed))
    yield Note(
        f"{folds}-fold cross-validation chooses the epoch and fits the probabilities; the model then trains on "
        f"all {len(training):,} texts",
        code="cross-validation",
    )
    if encoder is None:
        tokens = resolve_tokens(model_config, training.texts, is_size_given=is_size_given).tokens
        model_config = dataclasses.replace(model_config, tokens=tokens)
    parts: list[Fold] = []
    overlap = 0
    for number, (rest, held) in enumerate(rows_of_folds, start=1):
        prepared = prepare(
            training.take(rest),
            training.take(held),
            model_config,
            config,
            device=device,
            cap_vocabulary=True,
            is_size_given=is_size_given,
            encoder=encoder,
            word_vectors=word_vectors,
            precision=precision,
        )
        logits = [
            compute_logits(prepared.state.model, prepared.validation.texts).numpy()
            for event in prepared.epochs()
            if isinstance(event, EpochResult)
        ]
        wide_logits = prepared.wide_logits([training.texts[row] for row in held])
        classes = prepared.validation.classes
        sigmoid = prepared.state.model.sigmoid
        parts.append(Fold(classes, np.stack(logits), wide_logits, sigmoid, prepared.state.history))
        known = {training.texts[row] for row in rest}
        overlap += sum(training.texts[row] in known for row in held)
        accuracy = prepared.state.history[-1].validation_accuracy
        result = "" if is_linear else f", accuracy of the LSTM {accuracy:.2%}"
        yield Note(f"fold {number} of {folds}: {len(held):,} texts left out{result}", code="fold-finished")
    if overlap:
        yield Note(
            f"{overlap:,} of the {sum(len(part.classes) for part in parts):,} left-out texts are also training "
            "texts, because no class has two different texts",
            code="texts-overlap",
        )
    return _join(parts)


@dataclass(frozen=True)
class Fold:
    """Predictions of a model for the n texts that it leaves out.

    Attributes:
        classes: [n] class indices.
        logits: [epochs, n, logits] of the LSTM after each epoch.
        wide_logits: Logits [n, logits] of each of its n-gram parts.
        sigmoid: Whether the output is a sigmoid.
        history: The result of each epoch.
    """

    classes: IndexArray
    logits: FloatArray
    wide_logits: list[FloatArray]
    sigmoid: bool
    history: list[EpochResult]


def _join(folds: list[Fold]) -> OutOfFold:
    """Return the logits and scores of all folds together, with the n-gram part that is best on all texts."""
    classes = np.concatenate([fold.classes for fold in folds])
    wide = [np.concatenate(parts) for parts in zip(*(fold.wide_logits for fold in folds), strict=True)]
    choice = choose_logits(wide, classes, sigmoid=folds[0].sigmoid) if wide else 0
    logits = np.concatenate([fold.logits for fold in folds], axis=1)
    counts = [len(fold.classes) for fold in folds]

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=counts))

    scores = [
        (mean([result.validation_loss for result in epoch]), mean([result.validation_accuracy for result in epoch]))
        for epoch in zip(*(fold.history for fold in folds), strict=True)
    ]
    return OutOfFold(LabelledIds([], classes, wide[choice] if wide else None), logits, scores, choice)


def collect_out_of_fold(folds: Generator[Note, None, OutOfFold]) -> OutOfFold:
    """Return the result of `cross_validate`, without its notes."""
    while True:
        try:
            next(folds)
        except StopIteration as finished:
            result: OutOfFold = finished.value
            return result


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
    """Yield the rows to train on and the rows to leave out, for each fold that leaves any out.

    Raises:
        DataError: No class has two texts.
    """
    fold_of = assign_folds(training.texts, training.labels, folds, seed)
    if fold_of.max() < 0:
        raise cannot_split(training.source)
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        if len(held):
            yield np.flatnonzero(fold_of != fold), held
