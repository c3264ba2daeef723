"""Configuration of a classifier: model, training, and presets."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fastlstm.config.options import PRECISION_HELP, Precision, Schedule, Tokens, option, split_values, validate
from fastlstm.errors import OptionError, suggest

Truncate = Literal["end", "beginning", "both"]
Padding = Literal["none", "front", "back"]
Pooling = Literal["last", "max", "mean", "concat", "last-step"]
TextCleaning = Literal["standard", "none"]
UnknownWords = Literal["keep", "drop"]
EmptyText = Literal["unknown", "zeros"]
DenseActivation = Literal["linear", "relu", "tanh", "sigmoid"]
Activation = Literal["auto", "sigmoid", "softmax"]
ClassWeights = Literal["none", "balanced"]
NGramKinds = Literal["pairs", "places"]
Monitor = Literal["loss", "accuracy"]
CalibrationMode = Literal["auto", "none"]
ThresholdMetric = Literal["none", "accuracy", "balanced-accuracy", "f1", "macro-f1"]
MIN_BATCH_SIZE = 8
"""Smallest batch size that `min_steps` may choose, in texts."""
MAX_UNITS = 65536
"""Maximum number of units of a dense layer."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of a classifier: tokens -> embedding -> LSTM layers -> pooling -> dropout -> linear."""

    tokens: Tokens = option("words, characters, subwords, or chosen by the texts", default="words")
    vocabulary_size: int = option("size of the vocabulary, padding and unknown included", minimum=3, default=10_000)
    max_tokens: int = option("maximum number of tokens read per text", minimum=1, default=500)
    truncate: Truncate = option("part of a longer text that is kept", default="end")
    embedding_size: int = option("embedding dimension", minimum=1, maximum=65536, default=64)
    hidden_sizes: tuple[int, ...] = option("units of each LSTM layer", minimum=1, maximum=65536, default=(64, 32))
    bidirectional: bool = option("read each text in both directions", default=False)
    pooling: Pooling = option("pooling over time; concat: last, max and mean", default="last")
    """"last" is the last state of each direction, "last-step" the outputs of both directions at the last token."""
    dropout: float = option("fraction of pooled features dropped in training", minimum=0, maximum=0.95, default=0.0)
    activation: Activation = option("output activation; auto: sigmoid for two classes", default="auto")
    ngrams: int = option("maximum number of n-gram features; 0: none", minimum=0, default=0)
    ngram_kinds: NGramKinds = option(
        "n-grams: words and pairs, or also skip pairs and positions",
        default="pairs",
    )
    padding: Padding = "none"
    """Side on which shorter texts are padded to `max_tokens`, with padding that the LSTM reads. Not a user option:
    only `fastlstm import` sets it and the following fields, for models trained without masking."""
    dense_sizes: tuple[int, ...] = field(default=(), repr=False)
    """Units of each dense layer between pooling and output layer."""
    dense_activations: tuple[DenseActivation, ...] = field(default=(), repr=False)
    """Activation of each of these layers."""
    text_cleaning: TextCleaning = field(default="standard", repr=False)
    """Whether texts are cleaned before tokenization: line breaks of HTML, Unicode NFC, Chinese characters."""
    unknown_words: UnknownWords = field(default="keep", repr=False)
    """Whether unknown words are dropped before truncation, instead of being read as `[UNK]`."""
    empty_text: EmptyText = field(default="unknown", repr=False)
    """How a text without tokens is read without padding: as one `[UNK]`, or as nothing: its features are zeros."""

    def __post_init__(self) -> None:
        validate(self)
        known = get_args(DenseActivation)
        sizes: Any = self.dense_sizes  # read from a file, so possibly of another type
        checks: tuple[tuple[str, Any, type, Any], ...] = (
            ("dense_sizes", sizes, int, range(1, MAX_UNITS + 1)),
            ("dense_activations", self.dense_activations, str, known),
        )
        for name, values, kind, allowed in checks:
            count = len(sizes) if isinstance(sizes, tuple) else -1
            if (
                not isinstance(values, tuple)
                or len(values) != count
                or not all(type(value) is kind and value in allowed for value in values)
            ):
                raise OptionError(
                    f"{name} is {values!r}; expected sizes from 1 to {MAX_UNITS}, and as many of {', '.join(known)}",
                    code="bad-option-value",
                    option=name,
                    value=values,
                )

    @property
    def import_fields(self) -> dict[str, Any]:
        """The fields after `padding` that do not have their default values. Only imported models have any."""
        fields = (f for f in dataclasses.fields(self) if not f.repr)
        return {f.name: getattr(self, f.name) for f in fields if getattr(self, f.name) != f.default}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training of a classifier: Adam over length-bucketed batches; the best epoch is kept."""

    epochs: int = option("maximum number of epochs", minimum=1, default=5)
    batch_size: int = option("texts per step", minimum=1, default=64)
    min_steps: int = option("minimum number of steps of a run on few texts", minimum=0, default=0)
    learning_rate: float = option("learning rate of Adam", minimum=1e-7, maximum=1, default=1e-3)
    schedule: Schedule = option("learning rate schedule", default="constant")
    clip_norm: float = option("maximum gradient norm; 0: no clipping", minimum=0, default=1.0)
    class_weights: ClassWeights = option("balanced: weight classes by inverse frequency", default="none")
    word_dropout: float = option(
        "fraction of tokens dropped at random per epoch", minimum=0, maximum=0.95, default=0.0
    )
    adversarial: float = option(
        "relative norm of the adversarial perturbation; 0: off",
        minimum=0,
        maximum=1,
        default=0.0,
    )
    virtual_texts: int = option(
        "unlabelled texts per step for virtual adversarial training",
        minimum=0,
        default=0,
    )
    pretraining_epochs: int = option("epochs of language model pretraining on the same texts", minimum=0, default=0)
    output_first: bool = option(
        "fit the output layer first, with the encoder frozen",
        default=False,
    )
    patience: int = option("epochs without improvement before early stopping", minimum=1, default=5)
    monitor: Monitor = option("validation metric that selects the best epoch", default="loss")
    calibration: CalibrationMode = option("auto: calibrate probabilities on the validation texts", default="auto")
    threshold_metric: ThresholdMetric = option(
        "metric that the decision threshold of two classes maximizes",
        default="none",
    )
    precision: Precision = option(PRECISION_HELP, default="auto")
    seed: int = option("random seed", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        validate(self)

    def for_texts(self, count: int) -> TrainingConfig:
        """Return the configuration with batch size and epochs that give at least `min_steps` steps for `count` texts.

        Patience grows in proportion to the epochs.
        """
        if not self.min_steps:
            return self
        batch_size = min(self.batch_size, max(MIN_BATCH_SIZE, count * self.epochs // self.min_steps))
        epochs = max(self.epochs, -(-self.min_steps // -(-count // batch_size)))
        patience = -(-self.patience * epochs // self.epochs)
        return dataclasses.replace(self, batch_size=batch_size, epochs=epochs, patience=patience)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named pair of configurations; `purpose` is one line of help."""

    model: ModelConfig
    training: TrainingConfig
    purpose: str


MIN_STEPS = 300
"""Minimum number of steps of the preset `small`: about three epochs of 6,400 texts."""

_SMALL = Preset(
    model=ModelConfig(
        tokens="auto",
        vocabulary_size=30_000,
        max_tokens=400,
        truncate="both",
        embedding_size=128,
        hidden_sizes=(96,),
        pooling="concat",
        dropout=0.5,
        ngrams=200_000,
        ngram_kinds="places",
    ),
    training=TrainingConfig(
        epochs=3,
        min_steps=MIN_STEPS,
        schedule="cosine",
        word_dropout=0.1,
    ),
    purpose="LSTM plus n-grams",
)
PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "tutorial": Preset(
            model=ModelConfig(),
            training=TrainingConfig(schedule="linear", monitor="accuracy"),
            purpose="the tutorial: Embedding 64, LSTM 64, LSTM 32, Dense",
        ),
        "small": _SMALL,
        "accurate": Preset(
            model=dataclasses.replace(_SMALL.model, embedding_size=256, hidden_sizes=(512,)),
            training=dataclasses.replace(
                _SMALL.training, learning_rate=1e-3, adversarial=0.02, pretraining_epochs=4, output_first=True
            ),
            purpose="large LSTM, pretrained on the texts; takes hours",
        ),
    }
)
DEFAULT_PRESET = "small"
"""Preset of `train` when none is given."""


def preset(name: str) -> Preset:
    """Return the preset of that name. Raise `OptionError` for an unknown one."""
    try:
        return PRESETS[name]
    except (KeyError, TypeError):  # TypeError: not hashable
        raise OptionError(
            f"unknown preset {name!r}; {suggest(str(name), PRESETS)}", code="unknown-preset", preset=name
        ) from None


def configure(preset_name: str, values: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """Return the two configurations of a preset, with those of `values` that are not None.

    A given batch size or number of epochs switches `min_steps` off, unless that is given too.

    Raises:
        OptionError: Unknown preset, unknown name, or bad value.
    """
    base = preset(preset_name)
    model, training = split_values(values, ModelConfig, TrainingConfig)
    if training.keys() & {"batch_size", "epochs"}:
        training = {"min_steps": 0, **training}
    return dataclasses.replace(base.model, **model), dataclasses.replace(base.training, **training)
