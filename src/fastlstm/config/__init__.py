"""What models are and how they are trained: frozen dataclasses, and presets that name good values."""

from fastlstm.config.classifier import (
    DEFAULT_PRESET,
    PRESETS,
    ModelConfig,
    Pooling,
    Preset,
    ThresholdMetric,
    TrainingConfig,
    configure,
    preset,
)
from fastlstm.config.language_model import (
    LANGUAGE_PRESETS,
    Direction,
    LanguageModelConfig,
    LanguagePreset,
    PretrainingConfig,
    configure_language_model,
)
from fastlstm.config.options import choosable, from_json, option

__all__ = [
    "DEFAULT_PRESET",
    "LANGUAGE_PRESETS",
    "PRESETS",
    "Direction",
    "LanguageModelConfig",
    "LanguagePreset",
    "ModelConfig",
    "Pooling",
    "Preset",
    "PretrainingConfig",
    "ThresholdMetric",
    "TrainingConfig",
    "choosable",
    "configure",
    "configure_language_model",
    "from_json",
    "option",
    "preset",
]
