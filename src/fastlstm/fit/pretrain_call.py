"""`fastlstm.pretrain`: one call from plain texts to a saved language model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastlstm import saved_language_model
from fastlstm.config import LANGUAGE_PRESETS, configure_language_model
from fastlstm.datasets.download import Progress
from fastlstm.errors import OptionError
from fastlstm.fit.beginning import found
from fastlstm.fit.job import check_before
from fastlstm.fit.pretrain import PretrainingEvent, PretrainingJob, PretrainingResult, run_pretraining
from fastlstm.fit.pretraining_texts import Given, read_held_out, read_learned
from fastlstm.storage import check_storage

SIZES = ("vocabulary_size", "embedding_size", "hidden_sizes")
"""What a language model that another begins from decides."""


def pretrain(
    texts: Given,
    out: str | os.PathLike[str] = "language-model",
    *,
    preset: str = next(iter(LANGUAGE_PRESETS)),
    validation: float | Given = 0.01,
    begin: str | os.PathLike[str] | None = None,
    text_column: str = "text",
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    storage: str = "float32",
    watch: Callable[[PretrainingEvent], object] | None = None,
    **options: Any,
) -> PretrainingResult:
    """Trains a language model on plain texts, measures its perplexity and saves it.

    Args:
        texts: "imdb", all of its reviews but those of the test split; a file or folder of plain texts, or a list of
            `pathlib.Path` for several; a list of texts; or records, whose labels are not read.
        out: the folder to save to; must be free, or with `overwrite` a language model.
        preset: the configuration to start from: "quick" or "awd".
        validation: the fraction of the texts to hold out for measuring perplexity, or texts of their own.
        begin: the folder of a language model, or the name of a bundled one, whose weights and vocabulary are taken.
            Of a model of one direction, `direction="both"` makes one of both: it stays as it is, and the other
            direction is learned with its word vectors.
        text_column: where texts stand in tables.
        data_dir: the folder that holds IMDb.
        device: "auto", "cpu" or "cuda".
        overwrite: replace a language model in `out`.
        resume: go on with the unfinished run of the same texts and options.
        storage: what weights are kept as: "float32", "float16" or "int8".
        watch: called with every event on the way.
        options: fields of `LanguageModelConfig` and `PretrainingConfig`, such as `epochs=3`.

    Raises:
        InputError: something about the call or its texts is wrong; nothing was written.
        WriteError: the model can't be written; an older one is untouched.
        TrainingError: the loss went astray, or there is too little text.
    """
    job = make_job(
        texts,
        Path(out),
        preset=preset,
        validation=validation,
        begin=begin,
        text_column=text_column,
        data_dir=None if data_dir is None else Path(data_dir),
        device=device,
        overwrite=overwrite,
        resume=resume,
        storage=storage,
        options=options,
    )
    for event in run_pretraining(job):
        if watch is not None:
            watch(event)
    assert isinstance(event, PretrainingResult)
    return event


def make_job(
    texts: Given,
    out: Path,
    *,
    preset: str,
    validation: float | Given,
    begin: str | os.PathLike[str] | None,
    text_column: str,
    data_dir: Path | None,
    device: str,
    overwrite: bool,
    resume: bool,
    storage: str,
    options: dict[str, Any],
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> PretrainingJob:
    """Checks and reads all that `pretrain` is called with; the arguments are its own, and those of `read_data`."""
    model, training = configure_language_model(preset, options)
    if begin is not None:
        for name in SIZES:
            if options.get(name) is not None:
                raise OptionError(
                    f"{name.replace('_', '-')} was given with a model to begin from, which has its own; "
                    "leave one out"
                )
    check_storage(storage)
    beginning = found(begin, saved_language_model.FORMAT)
    check_before(out, overwrite=overwrite, resume=resume, device=device, of=saved_language_model.FORMAT)

    every = read_learned(texts, text_column=text_column, data_dir=data_dir, say=say, progress=progress)
    learned, held_out = read_held_out(every, validation, text_column=text_column)
    return PretrainingJob(
        texts=learned,
        held_out=held_out,
        model=model,
        training=training,
        out=out,
        preset=preset,
        cap_vocabulary=options.get("vocabulary_size") is None,
        device=device,
        overwrite=overwrite,
        resume=resume,
        storage=storage,
        begin=beginning,
        direction=options.get("direction"),
    )
