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
    LANGUAGE_MODEL_PRESETS,
    Direction,
    LanguageModelConfig,
    LanguageModelPreset,
    LanguageModelTrainingConfig,
    configure_language_model,
)
from fastlstm.config.options import from_json, option, option_fields

__all__ = [
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
