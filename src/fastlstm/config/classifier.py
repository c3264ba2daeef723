"""A classifier's shape and training, and presets that name good values."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastlstm.config.options import PRECISION_HELP, Precision, Schedule, check, option, split_values
from fastlstm.errors import OptionError, suggest

Truncate = Literal["end", "beginning", "both"]
Padding = Literal["none", "front", "back"]
Pooling = Literal["last", "max", "mean", "concat"]
Activation = Literal["auto", "sigmoid", "softmax"]
ClassWeights = Literal["none", "balanced"]
NGramKinds = Literal["pairs", "places"]
Monitor = Literal["loss", "accuracy"]
Calibrate = Literal["auto", "none"]
MIN_BATCH_SIZE = 8
"""Texts of a step, where `min_steps` asks for many steps."""
ThresholdMetric = Literal["none", "accuracy", "balanced-accuracy", "f1", "macro-f1"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a classifier: tokens -> embedding -> LSTM layers -> pooling -> dropout -> linear."""

    vocabulary_size: int = option(
        "words kept, the most frequent ones; padding and unknown included", minimum=3, default=10_000
    )
    max_tokens: int = option("tokens of a text that are read", minimum=1, default=500)
    truncate: Truncate = option("which part of a longer text is kept", default="end")
    embedding_size: int = option("numbers a word vector has", minimum=1, maximum=65536, default=64)
    hidden_sizes: tuple[int, ...] = option("units of each LSTM layer", minimum=1, maximum=65536, default=(64, 32))
    bidirectional: bool = option("read each text in both directions", default=False)
    pooling: Pooling = option(
        "what is kept of all steps: last, max, mean, or the three concatenated", default="last"
    )
    dropout: float = option(
        "share of the pooled features dropped in training", minimum=0, maximum=0.95, default=0.0
    )
    activation: Activation = option(
        "sigmoid or softmax; auto: sigmoid for two classes, else softmax", default="auto"
    )
    ngrams: int = option(
        "words and word pairs whose evidence is added to the LSTM's, at most; 0: none", minimum=0, default=0
    )
    ngram_kinds: NGramKinds = option(
        "which of them: pairs; or places: also pairs with a word between, and near the beginning and the end apart",
        default="pairs",
    )
    padding: Padding = "none"
    """Where shorter texts are filled up to `max_tokens` with padding that the LSTM reads, as models do that
    learned so elsewhere. No option: nothing learns so here."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is fitted: Adam over length-bucketed batches, the best epoch kept."""

    epochs: int = option("passes over the training texts, at most", minimum=1, default=5)
    batch_size: int = option("texts a step", minimum=1, default=64)
    min_steps: int = option(
        "steps that a run makes at least, unless batch-size or epochs is given: few texts are read in smaller "
        "batches, down to 8, and then more often",
        minimum=0,
        default=0,
    )
    learning_rate: float = option("Adam's step size", minimum=1e-7, maximum=1, default=1e-3)
    schedule: Schedule = option("course of the learning rate over the run", default="constant")
    clip_norm: float = option("largest norm of a step's gradient; 0: no limit", minimum=0, default=1.0)
    class_weights: ClassWeights = option("balanced: rare classes count more", default="none")
    word_dropout: float = option(
        "share of a text's tokens left out, others in every epoch", minimum=0, maximum=0.95, default=0.0
    )
    adversarial: float = option(
        "size of the disturbance of word vectors that each step is trained against, as a share of theirs; 0: none",
        minimum=0,
        maximum=1,
        default=0.0,
    )
    virtual_texts: int = option(
        "unlabelled texts a step that are trained to be judged alike when disturbed, as adversarial says; 0: none",
        minimum=0,
        default=0,
    )
    pretraining_epochs: int = option(
        "passes over the texts as a language model, before their labels are read", minimum=0, default=0
    )
    output_first: bool = option(
        "fit the output layer on standardised features before all is trained, after pretraining or from an encoder",
        default=False,
    )
    patience: int = option("epochs without a better one before training stops", minimum=1, default=5)
    monitor: Monitor = option("what makes an epoch the best one, on validation", default="loss")
    calibration: Calibrate = option(
        "auto: fit the probabilities to the validation texts, where there are enough", default="auto"
    )
    threshold_metric: ThresholdMetric = option(
        "for two classes, what the decision threshold makes best on validation (f1: of the second class); "
        "none: it stays at 0.5",
        default="none",
    )
    precision: Precision = option(PRECISION_HELP, default="float32")
    seed: int = option("of everything random", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        check(self)

    def for_texts(self, count: int) -> TrainingConfig:
        """The same, with a batch size and epochs that make at least `min_steps` steps of so many texts.

        Patience grows with the epochs.
        """
        if not self.min_steps:
            return self
        batch_size = min(self.batch_size, max(MIN_BATCH_SIZE, count * self.epochs // self.min_steps))
        epochs = max(self.epochs, -(-self.min_steps // -(-count // batch_size)))
        patience = -(-self.patience * epochs // self.epochs)
        return dataclasses.replace(self, batch_size=batch_size, epochs=epochs, patience=patience)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named pair of configurations, with one line on what it is for."""

    model: ModelConfig
    training: TrainingConfig
    purpose: str


MIN_STEPS = 300
"""About as many as 6,400 texts have in three epochs."""

_SMALL = Preset(
    model=ModelConfig(
        vocabulary_size=30_000,
        max_tokens=400,
        truncate="both",
        embedding_size=128,
        hidden_sizes=(96,),
        bidirectional=True,
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
        adversarial=0.02,
        precision="bfloat16",
    ),
    purpose="a bidirectional LSTM beside words and word pairs",
)
PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "tutorial": Preset(
            model=ModelConfig(),
            training=TrainingConfig(schedule="linear", monitor="accuracy"),
            purpose="the classic: Embedding 64 -> LSTM 64 -> LSTM 32 -> Dense 1, five epochs of Adam",
        ),
        "small": _SMALL,
        "accurate": Preset(
            model=dataclasses.replace(_SMALL.model, embedding_size=256, hidden_sizes=(512,), bidirectional=False),
            training=dataclasses.replace(_SMALL.training, pretraining_epochs=4, output_first=True),
            purpose="a large LSTM, for hours: one that has read all texts there are as a language model",
        ),
    }
)
DEFAULT_PRESET = "small"
"""What `train` uses when no preset is named."""


def preset(name: str) -> Preset:
    """The preset of that name. Raises `OptionError`, with the near name, for an unknown one."""
    try:
        return PRESETS[name]
    except KeyError:
        raise OptionError(f"unknown preset {name!r}; {suggest(name, PRESETS)}") from None


def configure(preset_name: str, values: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """A preset's two configurations, changed by those of `values` that are not None.

    Who gives a batch size or epochs has these, unless `min_steps` is given too.

    Raises `OptionError` for an unknown preset, an unknown name or a bad value.
    """
    base = preset(preset_name)
    of_model, of_training = split_values(values, ModelConfig, TrainingConfig)
    if of_training.keys() & {"batch_size", "epochs"}:
        of_training = {"min_steps": 0, **of_training}
    return dataclasses.replace(base.model, **of_model), dataclasses.replace(base.training, **of_training)
