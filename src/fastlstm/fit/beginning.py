"""What a run begins from and how long it may take: whether that can be, before it costs any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm import model_folder, models, saved_language_model, saved_model
from fastlstm.config import DEFAULT_PRESET, ModelConfig, TrainingConfig, configure
from fastlstm.duration import seconds_of
from fastlstm.errors import OptionError

SIZES = ("vocabulary_size", "embedding_size", "hidden_sizes", "bidirectional")
"""What an encoder decides."""


@dataclass(frozen=True)
class Beginnings:
    """The folders of the language model to begin from and of the teacher to learn from, where there are such."""

    encoder: Path | None
    teacher: Path | None

    @classmethod
    def of(cls, encoder: str | os.PathLike[str] | None, teacher: str | os.PathLike[str] | None) -> Beginnings:
        """Finds both.

        Raises the errors of `model_folder.read_config` for what is no such model, and `OptionError` for a language
        model that reads backward only.
        """
        begin = found(encoder, saved_language_model.FORMAT)
        if begin is not None:
            config = model_folder.read_config(begin, saved_language_model.FORMAT)
            with model_folder.misstated(begin):
                direction = config["model"]["direction"]
            if direction == "backward":
                raise OptionError(saved_language_model.BACKWARD)
        return cls(begin, found(teacher, saved_model.FORMAT))


def with_encoder(options: Mapping[str, Any], encoder: bool, *, unlabelled: bool = False) -> dict[str, Any]:
    """The options of a run; with an encoder, the output layer first, and no pretraining unless it is asked for.

    `unlabelled`: texts to pretrain on are given, which asks for as much of it as the preset has.

    Raises `OptionError` where a size is given that the encoder decides.
    """
    result = dict(options)
    if encoder:
        for name in SIZES:
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


def configured(
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
    seconds = within(budget, resume=resume, preset=preset, options=options, teacher=teacher)
    further = unlabelled is not None
    model, training = configure(preset, with_encoder(options, encoder is not None, unlabelled=further))
    if further and seconds is None and teacher is None:
        check_unlabelled(training, preset)
    return model, training, seconds


BESIDE_A_BUDGET = ("seed", "class_weights", "calibration", "threshold_metric")
"""Options that a run with a budget leaves to its caller; the others it chooses."""


def within(
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
        if value is not None and name not in BESIDE_A_BUDGET:
            raise OptionError(f"{name.replace('_', '-')} was given with a budget, which chooses it; leave one out")
    return seconds_of(budget)


def found(name: str | os.PathLike[str] | None, of: model_folder.Format) -> Path | None:
    """The folder of that name, or the bundled model's; None for None.

    Raises the errors of `model_folder.read_config` for what is no such model.
    """
    if name is None:
        return None
    folder = models.located(name)
    model_folder.read_config(folder, of)
    return folder
