"""What a run is to do, and whether it can."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET, ModelConfig, TrainingConfig, configure
from fastlstm.config.duration import parse_duration
from fastlstm.data.splits import DataSplits
from fastlstm.errors import OptionError
from fastlstm.serialization.classifier import CLASSIFIER_FORMAT
from fastlstm.serialization.folder import (
    config_errors,
    read_config,
    resolve_model_folder,
)
from fastlstm.serialization.language_model import BACKWARD, LANGUAGE_MODEL_FORMAT

ENCODER_OPTIONS = ("vocabulary_size", "embedding_size", "hidden_sizes", "bidirectional")
"""What an encoder decides."""


@dataclass(frozen=True)
class InitialModels:
    """The folders of the language model to begin from and of the teacher to learn from, where there are such."""

    encoder: Path | None
    teacher: Path | None

    @classmethod
    def of(cls, encoder: str | os.PathLike[str] | None, teacher: str | os.PathLike[str] | None) -> InitialModels:
        """Finds both.

        Raises the errors of `model_folder.read_config` for what is no such model, and `OptionError` for a language
        model that reads backward only.
        """
        begin = resolve_model_folder(encoder, LANGUAGE_MODEL_FORMAT)
        if begin is not None:
            config = read_config(begin, LANGUAGE_MODEL_FORMAT)
            with config_errors(begin):
                direction = config["model"]["direction"]
            if direction == "backward":
                raise OptionError(BACKWARD)
        return cls(begin, resolve_model_folder(teacher, CLASSIFIER_FORMAT))


def apply_encoder_options(options: Mapping[str, Any], encoder: bool, *, unlabelled: bool = False) -> dict[str, Any]:
    """The options of a run; with an encoder, the output layer first, and no pretraining unless it is asked for.

    `unlabelled`: texts to pretrain on are given, which asks for as much of it as the preset has.

    Raises `OptionError` where a size is given that the encoder decides.
    """
    result = dict(options)
    if encoder:
        for name in ENCODER_OPTIONS:
            if result.get(name) is not None:
                raise OptionError(
                    f"{name.replace('_', '-')} was given with an encoder, which has sizes of its own; leave one out"
                )
        if result.get("pretraining_epochs") is None and not unlabelled:
            result["pretraining_epochs"] = 0
        if result.get("output_first") is None:
            result["output_first"] = True
    return result


def check_unlabelled(training: TrainingConfig, preset: str) -> None:
    """Raises `OptionError` where nothing of a run reads texts without labels."""
    if not training.pretraining_epochs and not training.virtual_texts:
        raise OptionError(
            f"unlabelled texts were given, and nothing reads them, since {preset} does not pretrain; give "
            "--preset accurate, or --pretraining-epochs 1, or learn from a teacher (fastlstm distill)"
        )


def check_early_exit(bidirectional: bool, encoder: object) -> None:
    """Raises `OptionError` for a model that reads in both directions; one from an encoder reads as that does."""
    if bidirectional and encoder is None:
        raise OptionError(
            "early-exit was asked for, and the model reads in both directions, so from the end too; add "
            "--no-bidirectional"
        )


def resolve_configs(
    preset: str,
    options: Mapping[str, Any],
    *,
    encoder: object,
    teacher: object,
    unlabelled: object,
    budget: str | float | None,
    resume: bool,
) -> tuple[ModelConfig, TrainingConfig, float | None]:
    """What a run is to make and how, and the seconds that it may take, None for as many as it needs.

    Raises `OptionError` for what does not go together.
    """
    seconds = resolve_budget(budget, resume=resume, preset=preset, options=options, teacher=teacher)
    further = unlabelled is not None
    model, training = configure(preset, apply_encoder_options(options, encoder is not None, unlabelled=further))
    if further and seconds is None and teacher is None:
        check_unlabelled(training, preset)
    return model, training, seconds


BUDGET_OPTIONS = ("seed", "class_weights", "calibration", "threshold_metric")
"""Options that a run with a budget leaves to its caller; the others it chooses."""


def resolve_budget(
    budget: str | float | None, *, resume: bool, preset: str, options: Mapping[str, Any], teacher: object
) -> float | None:
    """The seconds of a budget, None for none.

    Raises `OptionError` for what is no duration, and for what can't be had with a budget: a resumed run, a teacher,
    a preset of one's own choice, and options that it chooses.
    """
    if budget is None:
        return None
    if resume:
        raise OptionError(
            "a run with a budget can't be resumed, since its time is over; start anew, with --overwrite"
        )
    if teacher is not None:
        raise OptionError("a student learns for as long as its epochs take; leave the budget out")
    if preset != DEFAULT_PRESET:
        raise OptionError(f"the preset {preset} was given with a budget, which tries several; leave one out")
    for name, value in options.items():
        if value is not None and name not in BUDGET_OPTIONS:
            raise OptionError(f"{name.replace('_', '-')} was given with a budget, which chooses it; leave one out")
    return parse_duration(budget)


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What a run is to do. Frozen, so that two runs of equal jobs on equal data are equal.

    `encoder` is the folder of a language model to begin from; `teacher` that of a classifier to learn from.
    `early_exit`: learn when a text need not be read on.
    With a `budget` of seconds, the best model that can be had in that time is made, whatever `model` and `training`
    say.
    """

    data: DataSplits
    model: ModelConfig
    training: TrainingConfig
    out: Path
    preset: str
    cap_vocabulary: bool = True
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    baseline: bool = True
    plots: bool = False
    early_exit: bool = False
    encoder: Path | None = None
    teacher: Path | None = None
    budget: float | None = None
