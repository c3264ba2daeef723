"""`fastlstm.train_language_model`: from plain texts to a saved language model in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.language_model.corpus import TextSource
from fastlstm.language_model.run import LanguageModelEvent, LanguageModelResult, run
from fastlstm.language_model.settings import LanguageModelSettings


def train_language_model(
    texts: TextSource,
    out: str | os.PathLike[str] = "language-model",
    *,
    watch: Callable[[LanguageModelEvent], object] | None = None,
    **options: Any,
) -> LanguageModelResult:
    """Train a language model on plain texts, measure its perplexity, and save it.

    Args:
        texts: "imdb" (all reviews except the test split); a file or folder of plain texts, or several as a list of
            `pathlib.Path`; a list of texts; a `Dataset`, whose labels are ignored.
        out: Folder to save the model to. Must be free, or with `overwrite=True` a language model.
        watch: Called with every event of the run: notes, steps, epochs, perplexities.
        options: Attributes of `fastlstm.language_model.settings.LanguageModelSettings`, such as `preset="awd"` or
            `encoder="english"`, and fields of `LanguageModelConfig` and `LanguageModelTrainingConfig`, such as
            `epochs=3`.

    Returns:
        The language model, its perplexity on the validation texts, and the history of epochs.

    Raises:
        InputError: The call or its texts are wrong; nothing was written.
        WriteError: The model cannot be written; an existing one is unchanged.
        TrainingError: Training diverged, or there are too few tokens.
    """
    for event in run(LanguageModelSettings.create(texts, out, options)):
        if watch is not None:
            watch(event)
    assert isinstance(event, LanguageModelResult)
    return event
