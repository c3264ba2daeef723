"""What a run begins from and how long it may take: whether that can be, before it costs any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm import model_folder, models, saved_language_model, saved_model
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
        """Finds both. Raises the errors of `model_folder.read_config` for what is no such model."""
        return cls(_found(encoder, saved_language_model.FORMAT), _found(teacher, saved_model.FORMAT))


def with_encoder(options: Mapping[str, Any], encoder: bool) -> dict[str, Any]:
    """The options of a run; with an encoder, the output layer first and no pretraining unless it is asked for.

    Raises `OptionError` where a size is given that the encoder decides.
    """
    result = dict(options)
    if encoder:
        for name in SIZES:
            if result.get(name) is not None:
                raise OptionError(
                    f"{name.replace('_', '-')} was given with an encoder, which has sizes of its own; leave one out"
                )
        if result.get("pretraining_epochs") is None:
            result["pretraining_epochs"] = 0
        if result.get("output_first") is None:
            result["output_first"] = True
    return result


def within(budget: str | float, *, resume: bool) -> float:
    """The seconds of a budget. Raises `OptionError` for what is none, and where a run is to be resumed."""
    if resume:
        raise OptionError(
            "a run with a budget can't be resumed, since its time is over; start anew, with --overwrite"
        )
    return seconds_of(budget)


def _found(name: str | os.PathLike[str] | None, of: model_folder.Format) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    folder = path if path.exists() else models.bundled(os.fspath(name)) or path
    model_folder.read_config(folder, of)
    return folder
