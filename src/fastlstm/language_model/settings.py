"""Settings of a language model run, built and validated once, for Python and the command line alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.config import (
    DEFAULT_LANGUAGE_MODEL_PRESET,
    Direction,
    LanguageModelConfig,
    LanguageModelTrainingConfig,
    configure_language_model,
)
from fastlstm.config.options import check_workers
from fastlstm.data.options import ReadOptions, split_read_options
from fastlstm.errors import OptionError
from fastlstm.language_model.corpus import TextSource
from fastlstm.serialization.folder import LANGUAGE_MODEL_FORMAT, config_errors, read_config, resolve_model_folder
from fastlstm.serialization.language_model import parse_language_model_config
from fastlstm.serialization.quantization import check_storage

ENCODER_FIELDS = ("tokens", "vocabulary_size", "embedding_size", "hidden_sizes", "bidirectional")
"""Fields of a language model or a classifier that its encoder determines."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """The settings of one run.

    Attributes:
        texts: "imdb" (all reviews except the test split); a file or folder of plain texts, or several as a list of
            `pathlib.Path`; a list of texts; a `Dataset`, whose labels are ignored.
        out: Folder to save the model to. Must be free, or with `overwrite` a language model.
        preset: Named configuration to start from: "quick" or "awd".
        validation: Fraction of the texts held out to measure perplexity and select the best epoch, or separate
            texts.
        encoder: Folder of the language model to start from, or the name of a bundled one. It determines sizes and
            vocabulary. With `direction="both"`, an encoder of one direction is frozen and the other direction is
            trained on its word vectors.
        reading: How files are read; `create` takes its attributes, such as `text_column`.
        data_dir: Folder of IMDb, for `texts="imdb"`.
        device: "auto", "cpu" or "cuda".
        overwrite: Replace a language model, or an unfinished run, in `out`.
        resume: Continue the unfinished run in `out` of the same texts and settings.
        storage: Stored type of the weights: "float32", "float16" or "int8".
        workers: The number of processes, on a cluster of Ray, that share the streams of text.
        model, training: The resolved configurations.
        cap_vocabulary: Whether a vocabulary larger than that of the texts is reduced to it.
    """

    texts: TextSource
    out: Path
    preset: str = DEFAULT_LANGUAGE_MODEL_PRESET
    validation: float | TextSource = 0.01
    encoder: Path | None = None
    reading: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    data_dir: Path | None = None
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    storage: str = "float32"
    workers: int = 1
    model: LanguageModelConfig = dataclasses.field(default_factory=LanguageModelConfig)
    training: LanguageModelTrainingConfig = dataclasses.field(default_factory=LanguageModelTrainingConfig)
    cap_vocabulary: bool = True

    @classmethod
    def create(
        cls, texts: TextSource, out: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> LanguageModelSettings:
        """Return the settings of a run.

        Args:
            texts: The texts to train on.
            out: Folder to save the model to.
            options: Other attributes of this class, and fields of `LanguageModelConfig` and
                `LanguageModelTrainingConfig`.

        Raises:
            OptionError: Unknown name, bad value, or options that exclude each other.
            InputError: `encoder` is not a saved language model.
        """
        reading, others = split_read_options(options)
        own = {name: value for name, value in others.items() if name in _OWN_OPTIONS}
        fields = {name: value for name, value in others.items() if name not in own}
        model, training = configure_language_model(own.get("preset", DEFAULT_LANGUAGE_MODEL_PRESET), fields)
        check_storage(own.get("storage", "float32"))
        check_workers(own.get("workers", 1))
        encoder = own.get("encoder")
        if encoder is not None:
            check_encoder_fields(fields)
            encoder = resolve_model_folder(encoder, LANGUAGE_MODEL_FORMAT)
            assert encoder is not None
            model = _model_from_encoder(encoder, fields.get("direction"))
        data_dir = own.get("data_dir")
        own |= {"encoder": encoder, "data_dir": None if data_dir is None else Path(data_dir)}
        return cls(
            texts=texts,
            out=Path(out),
            reading=reading,
            model=model,
            training=training,
            cap_vocabulary=fields.get("vocabulary_size") is None,
            **own,
        )


_OWN_OPTIONS = {f.name for f in dataclasses.fields(LanguageModelSettings)} - {
    "texts", "out", "reading", "model", "training", "cap_vocabulary",
}  # fmt: skip
"""Attributes that the caller sets; the others are resolved."""


def check_encoder_fields(fields: Mapping[str, Any]) -> None:
    """Raise `OptionError` if one of `ENCODER_FIELDS` is set."""
    for name in ENCODER_FIELDS:
        if fields.get(name) is not None:
            raise OptionError(
                f"`{name}` cannot be set together with an `encoder`, which determines it; remove one of the two",
                code="conflicting-options",
                options=(name, "encoder"),
            )


def _model_from_encoder(encoder: Path, direction: Direction | None) -> LanguageModelConfig:
    """Return the shape of an encoder, with a second direction if `direction` is "both"."""
    config = read_config(encoder, LANGUAGE_MODEL_FORMAT)
    with config_errors(encoder):
        model = parse_language_model_config(config["model"])
    if direction not in (None, model.direction, "both"):
        raise OptionError(
            f"`direction` is {direction}, but the encoder's is {model.direction}; expected {model.direction}, or "
            "both to add the other direction",
            code="encoder-direction",
            direction=direction,
            encoder_direction=model.direction,
        )
    return dataclasses.replace(model, direction=direction or model.direction)
