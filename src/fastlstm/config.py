"""What a model is and how it is trained: two frozen dataclasses, and presets that name good values."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fastlstm.errors import OptionError, near

Truncate = Literal["end", "beginning", "both"]
Pooling = Literal["last", "max", "mean", "concat"]
Activation = Literal["auto", "sigmoid", "softmax"]
Schedule = Literal["constant", "linear", "cosine"]
ClassWeights = Literal["none", "balanced"]
Monitor = Literal["loss", "accuracy"]
Direction = Literal["forward", "backward", "both"]
Calibrate = Literal["auto", "none"]
ThresholdMetric = Literal["none", "accuracy", "balanced-accuracy", "f1", "macro-f1"]


def option(help: str, *, minimum: float | None = None, maximum: float | None = None, default: Any) -> Any:
    """A field with its help text and, for numbers, the closed range of values it takes."""
    return field(default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum})


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

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is fitted: Adam over length-bucketed batches, the best epoch kept."""

    epochs: int = option("passes over the training texts, at most", minimum=1, default=5)
    batch_size: int = option("texts a step", minimum=1, default=64)
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
    seed: int = option("of everything random", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        check(self)


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
class PretrainingConfig:
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
    seed: int = option("of everything random", minimum=0, maximum=2**32 - 1, default=0)

    def __post_init__(self) -> None:
        check(self)


Config = TypeVar("Config", ModelConfig, TrainingConfig, LanguageModelConfig, PretrainingConfig)


def from_json(
    kind: type[Config],
    values: object,
    *,
    required: Collection[str] | None = None,
    known: Collection[str] | None = None,
) -> Config:
    """A configuration from what `dataclasses.asdict` gave and JSON brought back.

    Args:
        kind: which configuration.
        values: an object with exactly the fields of `kind`, unless the next two say otherwise.
        required: the fields that must be there; others that are missing have their defaults.
        known: the fields that may be there.

    Raises `OptionError` for anything else.
    """
    names = {f.name for f in dataclasses.fields(kind)} if known is None else set(known)
    needed = names if required is None else set(required)
    if not isinstance(values, dict) or not needed <= set(values) <= names:
        came = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise OptionError(f"{kind.__name__} has {came}; expected the fields {sorted(names)}")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return kind(**fields)


def check(config: ModelConfig | TrainingConfig | LanguageModelConfig | PretrainingConfig) -> None:
    """Raises `OptionError` for the first field whose value is of the wrong type or out of range."""
    hints = get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, hint, name = getattr(config, f.name), hints[f.name], f.name.replace("_", "-")
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise OptionError(f"unknown {name} {value!r}; {near(str(value), get_args(hint))}")
            continue
        if get_origin(hint) is tuple:
            if not isinstance(value, tuple) or not value:
                raise OptionError(f"{name} is {value!r}; expected one whole number a layer, such as 64,32")
            numbers, hint = value, int
        else:
            numbers = (value,)
        for number in numbers:
            _check_number(name, number, hint, f.metadata["minimum"], f.metadata["maximum"])


def _plain(value: Any) -> Any:
    """The value without NumPy's or a list's wrapping, which grid searches and notebooks bring along."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if hasattr(value, "item") else value


def _check_number(name: str, value: object, kind: type, minimum: float | None, maximum: float | None) -> None:
    if kind is bool:
        if not isinstance(value, bool):
            raise OptionError(f"{name} is {value!r}; expected true or false")
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (kind is float and isinstance(value, float) and value == value)):
        raise OptionError(f"{name} is {value!r}; expected a {'whole number' if kind is int else 'number'}")
    assert isinstance(value, int | float)
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise OptionError(f"{name} is {value!r}; expected {limits}")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named pair of configurations, with one line on what it is for."""

    model: ModelConfig
    training: TrainingConfig
    purpose: str


PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "tutorial": Preset(
            model=ModelConfig(),
            training=TrainingConfig(schedule="linear", monitor="accuracy"),
            purpose="the classic: Embedding 64 -> LSTM 64 -> LSTM 32 -> Dense 1, five epochs of Adam",
        ),
        "small": Preset(
            model=ModelConfig(
                vocabulary_size=30_000,
                max_tokens=400,
                truncate="both",
                embedding_size=128,
                hidden_sizes=(96,),
                bidirectional=True,
                pooling="concat",
                dropout=0.5,
                ngrams=100_000,
            ),
            training=TrainingConfig(
                epochs=3,
                schedule="cosine",
                word_dropout=0.1,
                adversarial=0.02,
                pretraining_epochs=2,
            ),
            purpose="the best of a few minutes: a bidirectional LSTM that has read the texts before their labels, "
            "beside words and word pairs",
        ),
        "accurate": Preset(
            model=ModelConfig(
                vocabulary_size=30_000,
                max_tokens=400,
                truncate="both",
                embedding_size=256,
                hidden_sizes=(512,),
                pooling="concat",
                dropout=0.5,
                ngrams=100_000,
            ),
            training=TrainingConfig(
                epochs=3,
                schedule="cosine",
                word_dropout=0.1,
                adversarial=0.02,
                pretraining_epochs=4,
                output_first=True,
            ),
            purpose="an hour or more: a large LSTM that has read all texts there are as a language model",
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
        raise OptionError(f"unknown preset {name!r}; {near(name, PRESETS)}") from None


def configure(preset_name: str, values: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """A preset's two configurations, changed by those of `values` that are not None.

    Raises `OptionError` for an unknown preset, an unknown name or a bad value.
    """
    base = preset(preset_name)
    of_model, of_training = _given(values, ModelConfig, TrainingConfig)
    return dataclasses.replace(base.model, **of_model), dataclasses.replace(base.training, **of_training)


@dataclass(frozen=True, kw_only=True)
class LanguagePreset:
    """A named pair of configurations of a language model, with one line on what it is for."""

    model: LanguageModelConfig
    training: PretrainingConfig
    purpose: str


LANGUAGE_PRESETS: Mapping[str, LanguagePreset] = types.MappingProxyType(
    {
        "quick": LanguagePreset(
            model=LanguageModelConfig(),
            training=PretrainingConfig(epochs=4, learning_rate=4e-3),
            purpose="one large layer, no dropout: for a few passes on a CPU",
        ),
        "awd": LanguagePreset(
            model=LanguageModelConfig(embedding_size=400, hidden_sizes=(1150, 1150, 400)),
            training=PretrainingConfig(
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
) -> tuple[LanguageModelConfig, PretrainingConfig]:
    """A language preset's two configurations, changed by those of `values` that are not None.

    Raises `OptionError` for an unknown preset, an unknown name or a bad value.
    """
    if preset_name not in LANGUAGE_PRESETS:
        raise OptionError(f"unknown preset {preset_name!r}; {near(preset_name, LANGUAGE_PRESETS)}")
    base = LANGUAGE_PRESETS[preset_name]
    of_model, of_training = _given(values, LanguageModelConfig, PretrainingConfig)
    return dataclasses.replace(base.model, **of_model), dataclasses.replace(base.training, **of_training)


def _given(values: Mapping[str, Any], *kinds: type[Any]) -> list[dict[str, Any]]:
    """Those of `values` that are not None, each with the one of `kinds` that has it.

    Raises `OptionError` for a name that none has.
    """
    fields = [{f.name for f in dataclasses.fields(kind)} for kind in kinds]
    for name in values:
        if not any(name in of for of in fields):
            raise OptionError(f"unknown option {name!r}; {near(name, set().union(*fields))}")
    given = {name: _plain(value) for name, value in values.items() if value is not None}
    return [{name: value for name, value in given.items() if name in of} for of in fields]
