"""A language model's shape and training, and presets that name good values."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastlstm.config.options import PRECISION_HELP, Precision, Schedule, check, option, split_values
from fastlstm.errors import OptionError, suggest

Direction = Literal["forward", "backward", "both"]


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """The shape of a language model: tokens -> embedding -> LSTM layers -> the embedding again, as a softmax."""

    vocabulary_size: int = option(
        "words kept, the most frequent ones; boundary and unknown included", minimum=3, default=30_000
    )
    embedding_size: int = option("numbers a word vector has", minimum=1, maximum=65536, default=256)
    hidden_sizes: tuple[int, ...] = option("units of each LSTM layer", minimum=1, maximum=65536, default=(512,))
    direction: Direction = option(
        "which token is foretold: the next one (forward), the one before (backward), or both, "
        "by LSTMs that share the word vectors",
        default="forward",
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions in which texts are read."""
        return ("forward", "backward") if self.direction == "both" else (self.direction,)


@dataclass(frozen=True, kw_only=True)
class LanguageModelTrainingConfig:
    """How a language model is fitted: Adam over windows of long streams, states carried from one to the next."""

    epochs: int = option("passes over the texts, at most", minimum=1, default=5)
    streams: int = option("streams read side by side", minimum=1, default=64)
    window: int = option("tokens of each stream that a step reads, and looks back over", minimum=1, default=64)
    samples: int = option(
        "words in a step's softmax; all where the vocabulary has no more", minimum=16, default=2048
    )
    learning_rate: float = option("Adam's largest step size", minimum=1e-7, maximum=1, default=2e-3)
    warmup: int = option("steps in which the learning rate rises, at most a tenth of all", minimum=0, default=200)
    schedule: Schedule = option("course of the learning rate over the run", default="cosine")
    clip_norm: float = option("largest norm of a step's gradient; 0: no limit", minimum=0, default=0.5)
    embedding_dropout: float = option("share of words dropped", minimum=0, maximum=0.95, default=0.0)
    input_dropout: float = option(
        "share of the word vectors' features dropped", minimum=0, maximum=0.95, default=0.0
    )
    weight_dropout: float = option("share of the recurrent weights dropped", minimum=0, maximum=0.95, default=0.0)
    hidden_dropout: float = option("share of features dropped between layers", minimum=0, maximum=0.95, default=0.0)
    output_dropout: float = option(
        "share of the last layer's features dropped", minimum=0, maximum=0.95, default=0.0
    )
    activation_penalty: float = option("AR: weight of the outputs' mean square", minimum=0, default=0.0)
    change_penalty: float = option("TAR: weight of the mean square of their changes", minimum=0, default=0.0)
    precision: Precision = option(PRECISION_HELP, default="bfloat16")
    seed: int = option("of everything random", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class LanguageModelPreset:
    """A named pair of configurations of a language model, with one line on what it is for."""

    model: LanguageModelConfig
    training: LanguageModelTrainingConfig
    purpose: str


LANGUAGE_MODEL_PRESETS: Mapping[str, LanguageModelPreset] = types.MappingProxyType(
    {
        "quick": LanguageModelPreset(
            model=LanguageModelConfig(),
            training=LanguageModelTrainingConfig(epochs=4, learning_rate=4e-3),
            purpose="one large layer, no dropout: for a few passes on a CPU",
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
            purpose="AWD-LSTM (Merity et al. 2018) as ULMFiT trains it: for a GPU, or for days",
        ),
    }
)


def configure_language_model(
    preset_name: str, values: Mapping[str, Any]
) -> tuple[LanguageModelConfig, LanguageModelTrainingConfig]:
    """A language preset's two configurations, changed by those of `values` that are not None.

    Raises `OptionError` for an unknown preset, an unknown name or a bad value.
    """
    if preset_name not in LANGUAGE_MODEL_PRESETS:
        raise OptionError(f"unknown preset {preset_name!r}; {suggest(preset_name, LANGUAGE_MODEL_PRESETS)}")
    base = LANGUAGE_MODEL_PRESETS[preset_name]
    of_model, of_training = split_values(values, LanguageModelConfig, LanguageModelTrainingConfig)
    return dataclasses.replace(base.model, **of_model), dataclasses.replace(base.training, **of_training)
