"""`fastlstm.pretrain`: one call from plain texts to a saved language model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.config import LANGUAGE_MODEL_PRESETS, configure_language_model
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.errors import OptionError
from fastlstm.language_model.corpus import TextSource, read_training_texts, read_validation_texts
from fastlstm.language_model.run import LanguageModelEvent, LanguageModelJob, LanguageModelResult, run
from fastlstm.nn.runs import check_output
from fastlstm.serialization.folder import resolve_model_folder
from fastlstm.serialization.language_model import LANGUAGE_MODEL_FORMAT
from fastlstm.serialization.quantization import check_storage

ENCODER_OPTIONS = ("vocabulary_size", "embedding_size", "hidden_sizes")
"""What a language model that another begins from decides."""


def train_language_model(
    texts: TextSource,
    out: str | os.PathLike[str] = "language-model",
    *,
    preset: str = next(iter(LANGUAGE_MODEL_PRESETS)),
    validation: float | TextSource = 0.01,
    begin: str | os.PathLike[str] | None = None,
    text_column: str = "text",
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    storage: str = "float32",
    watch: Callable[[LanguageModelEvent], object] | None = None,
    **options: Any,
) -> LanguageModelResult:
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
    for event in run(job):
        if watch is not None:
            watch(event)
    assert isinstance(event, LanguageModelResult)
    return event


def make_job(
    texts: TextSource,
    out: Path,
    *,
    preset: str,
    validation: float | TextSource,
    begin: str | os.PathLike[str] | None,
    text_column: str,
    data_dir: Path | None,
    device: str,
    overwrite: bool,
    resume: bool,
    storage: str,
    options: dict[str, Any],
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> LanguageModelJob:
    """Checks and reads all that `train_language_model` is called with; the arguments are its own, and those of `read_data`."""
    model, training = configure_language_model(preset, options)
    if begin is not None:
        for name in ENCODER_OPTIONS:
            if options.get(name) is not None:
                raise OptionError(
                    f"{name.replace('_', '-')} was given with a model to begin from, which has its own; "
                    "leave one out"
                )
    check_storage(storage)
    beginning = resolve_model_folder(begin, LANGUAGE_MODEL_FORMAT)
    check_output(out, overwrite=overwrite, resume=resume, device=device, of=LANGUAGE_MODEL_FORMAT)

    every = read_training_texts(texts, text_column=text_column, data_dir=data_dir, say=say, progress=progress)
    learned, held_out = read_validation_texts(every, validation, text_column=text_column)
    return LanguageModelJob(
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
