"""Compare two classifiers on the same validation texts: candidates of a budget, a run with and without its encoder."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from fastlstm._typing import BoolArray, IndexArray
from fastlstm.config import DEFAULT_PRESET, PRESETS
from fastlstm.data.splits import DataSplits
from fastlstm.notes import Note
from fastlstm.training.cross_validation import collect_out_of_fold, cross_validate
from fastlstm.training.evaluation import calibrate_and_predict
from fastlstm.training.prepare import PreparedRun, prepare
from fastlstm.training.settings import BUDGET_FIELDS, TrainingSettings


def is_better(correct: BoolArray, other: BoolArray, *, standard_errors: float = 1.0) -> bool:
    """Return whether one classifier is right on more texts than another.

    Args:
        correct, other: Whether each is right about each text [n].
        standard_errors: The difference must be larger than this many standard errors.
    """
    gained, lost = int((correct & ~other).sum()), int((other & ~correct).sum())
    return gained - lost > standard_errors * math.sqrt(gained + lost)


def compare_without_encoder(
    settings: TrainingSettings, data: DataSplits, prepared: PreparedRun, predicted: IndexArray
) -> Iterator[Note]:
    """Train the default preset without the encoder, which is much faster, and yield a note if it is as good.

    Args:
        settings: The run, with an encoder.
        data: Its texts.
        prepared: The trained model.
        predicted: The class that it predicts for each validation text, or left-out text [n].
    """
    assert settings.encoder is not None
    yield Note(
        f"training the preset {DEFAULT_PRESET} without the encoder, to see if the encoder helps",
        code="encoder-comparison",
    )
    small = PRESETS[DEFAULT_PRESET]
    training = dataclasses.replace(
        small.training, **{name: getattr(settings.training, name) for name in BUDGET_FIELDS}
    )
    device, precision = settings.device, prepared.identity["precision"]
    reference = prepare(
        data.training,
        data.validation,
        small.model,
        training,
        device=device,
        cap_vocabulary=True,
        precision=precision,
    )
    if data.folds:
        folds = cross_validate(data.training, data.folds, small.model, training, device=device, precision=precision)
        reference = reference.with_out_of_fold(collect_out_of_fold(folds))
    else:
        for _ in reference.epochs():
            pass
    classes = prepared.validation.classes
    correct, correct_without = predicted == classes, calibrate_and_predict(reference)[1] == classes
    if not is_better(correct, correct_without):
        texts = "left-out" if data.folds else "validation"
        yield Note(
            f"the encoder {settings.encoder.name} is not clearly better: accuracy on the {texts} texts "
            f"{correct.mean():.2%}, without it and with the preset {DEFAULT_PRESET} {correct_without.mean():.2%}; "
            "without `encoder`, training and prediction are faster",
            code="encoder-unhelpful",
        )
