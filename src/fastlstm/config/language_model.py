"""Configuration of a language model: model, training, and presets."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastlstm.config.options import PRECISION_HELP, Precision, Schedule, Tokens, option, split_values, validate
from fastlstm.errors import OptionError, suggest

Direction = Literal["forward", "backward", "both"]


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """Shape of a language model: tokens -> embedding -> LSTM layers -> projection -> tied softmax."""

    tokens: Tokens = option("words, characters, subwords, or chosen by the texts", default="words")
    vocabulary_size: int = option(
        "size of the vocabulary, boundary and unknown included", minimum=3, default=30_000
    )
    embedding_size: int = option("embedding dimension", minimum=1, maximum=65536, default=256)
    hidden_sizes: tuple[int, ...] = option("units of each LSTM layer", minimum=1, maximum=65536, default=(512,))
    direction: Direction = option("predict the next token (forward), the previous, or both", default="forward")

    def __post_init__(self) -> None:
        validate(self)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions that have LSTM layers."""
        return ("forward", "backward") if self.direction == "both" else (self.direction,)


@dataclass(frozen=True, kw_only=True)
class LanguageModelTrainingConfig:
    """Training of a language model: Adam over windows of token streams, with truncated backpropagation through time."""

    epochs: int = option("number of epochs", minimum=1, default=5)
    streams: int = option("batch size: token streams read in parallel", minimum=1, default=64)
    window: int = option("tokens of each stream per step", minimum=1, default=64)
    samples: int = option("words in the sampled softmax of a step", minimum=16, default=2048)
    learning_rate: float = option("peak learning rate of Adam", minimum=1e-7, maximum=1, default=2e-3)
    warmup: int = option("learning rate warm-up steps, at most a tenth of the run", minimum=0, default=200)
    schedule: Schedule = option("learning rate schedule", default="cosine")
    clip_norm: float = option("maximum gradient norm; 0: no clipping", minimum=0, default=0.5)
    embedding_dropout: float = option("fraction of words dropped per step", minimum=0, maximum=0.95, default=0.0)
    input_dropout: float = option("fraction of embedding features dropped", minimum=0, maximum=0.95, default=0.0)
    weight_dropout: float = option("fraction of recurrent weights dropped", minimum=0, maximum=0.95, default=0.0)
    hidden_dropout: float = option(
        "fraction of features dropped between layers", minimum=0, maximum=0.95, default=0.0
    )
    output_dropout: float = option(
        "fraction of the last layer's features dropped", minimum=0, maximum=0.95, default=0.0
    )
    activation_penalty: float = option("weight of activation regularization (AR)", minimum=0, default=0.0)
    change_penalty: float = option("weight of temporal regularization (TAR)", minimum=0, default=0.0)
    precision: Precision = option(PRECISION_HELP, default="auto")
    seed: int = option("random seed", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class LanguageModelPreset:
    """A named pair of configurations; `purpose` is one line of help."""

    model: LanguageModelConfig
    training: LanguageModelTrainingConfig
    purpose: str


LANGUAGE_MODEL_PRESETS: Mapping[str, LanguageModelPreset] = types.MappingProxyType(
    {
        "quick": LanguageModelPreset(
            model=LanguageModelConfig(),
            training=LanguageModelTrainingConfig(epochs=4, learning_rate=4e-3),
            purpose="one large layer without dropout, for a few epochs on a CPU",
        ),
        "awd": LanguageModelPreset(
            model=LanguageModelConfig(embedding_size=400, hidden_sizes=(1150, 1150, 400)),
            training=LanguageModelTrainingConfig(
                epochs=12,
                window=70,
                learning_rate=4e-3,
                clip_norm=0.3,
                input_dropout=0.25,
                output_dropout=0.1,
                weight_dropout=0.2,
                embedding_dropout=0.02,
                hidden_dropout=0.15,
                activation_penalty=2.0,
                change_penalty=1.0,
            ),
            purpose="AWD-LSTM (Merity et al. 2018) as in ULMFiT, for a GPU or for days on a CPU",
        ),
    }
)
DEFAULT_LANGUAGE_MODEL_PRESET = "quick"
"""Preset of `lm train` when none is given."""


def configure_language_model(
    preset_name: str, values: Mapping[str, Any]
) -> tuple[LanguageModelConfig, LanguageModelTrainingConfig]:
    """Return the two configurations of a preset, with those of `values` that are not None.

    Raises:
        OptionError: Unknown preset, unknown name, or bad value.
    """
    if preset_name not in LANGUAGE_MODEL_PRESETS:
        raise OptionError(
            f"unknown preset {preset_name!r}; {suggest(preset_name, LANGUAGE_MODEL_PRESETS)}",
            code="unknown-preset",
            preset=preset_name,
        )
    base = LANGUAGE_MODEL_PRESETS[preset_name]
    model, training = split_values(values, LanguageModelConfig, LanguageModelTrainingConfig)
    return dataclasses.replace(base.model, **model), dataclasses.replace(base.training, **training)
