"""LSTM text classifiers that train in minutes and answer in milliseconds on an ordinary CPU."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "Classifier": "fastlstm.inference",
    "Dataset": "fastlstm.data",
    "DatasetReport": "fastlstm.checks",
    "FastLSTMError": "fastlstm.errors",
    "LSTMClassifier": "fastlstm.estimator",
    "ModelConfig": "fastlstm.config",
    "Report": "fastlstm.metrics",
    "TrainingConfig": "fastlstm.config",
    "check": "fastlstm.checks",
    "distill": "fastlstm.training.api",
    "load": "fastlstm.inference.classifier",
    "load_language_model": "fastlstm.language_model.inference",
    "read_dataset": "fastlstm.data",
    "score": "fastlstm.scoring.api",
    "train": "fastlstm.training.api",
    "train_language_model": "fastlstm.language_model.api",
    "tune": "fastlstm.tuning.api",
}
"""Public name -> module that defines it, imported on first use, so that `import fastlstm` stays fast."""

__all__ = [
    "Classifier",
    "Dataset",
    "DatasetReport",
    "FastLSTMError",
    "LSTMClassifier",
    "ModelConfig",
    "Report",
    "TrainingConfig",
    "__version__",
    "check",
    "distill",
    "load",
    "load_language_model",
    "read_dataset",
    "score",
    "train",
    "train_language_model",
    "tune",
]

if TYPE_CHECKING:
    from fastlstm.checks import DatasetReport, check
    from fastlstm.config import ModelConfig, TrainingConfig
    from fastlstm.data import Dataset, read_dataset
    from fastlstm.errors import FastLSTMError
    from fastlstm.estimator import LSTMClassifier
    from fastlstm.inference import Classifier
    from fastlstm.inference.classifier import load
    from fastlstm.language_model.api import train_language_model
    from fastlstm.language_model.inference import load_language_model
    from fastlstm.metrics import Report
    from fastlstm.scoring.api import score
    from fastlstm.training.api import distill, train
    from fastlstm.tuning.api import tune


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'fastlstm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
