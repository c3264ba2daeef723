"""Configurations of models and training, as frozen dataclasses, and presets."""

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
    DEFAULT_LANGUAGE_MODEL_PRESET,
    LANGUAGE_MODEL_PRESETS,
    Direction,
    LanguageModelConfig,
    LanguageModelPreset,
    LanguageModelTrainingConfig,
    configure_language_model,
)
from fastlstm.config.options import from_json, option, option_fields

__all__ = [
    "DEFAULT_LANGUAGE_MODEL_PRESET",
    "DEFAULT_PRESET",
    "LANGUAGE_MODEL_PRESETS",
    "PRESETS",
    "Direction",
    "LanguageModelConfig",
    "LanguageModelPreset",
    "LanguageModelTrainingConfig",
    "ModelConfig",
    "Pooling",
    "Preset",
    "ThresholdMetric",
    "TrainingConfig",
    "configure",
    "configure_language_model",
    "from_json",
    "option",
    "option_fields",
    "preset",
]
