"""LSTM text classifiers that train in minutes and answer in milliseconds on an ordinary CPU."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Classifier": "fastlstm.inference",
    "Examination": "fastlstm.examination",
    "FastLSTMError": "fastlstm.errors",
    "LSTMClassifier": "fastlstm.estimator",
    "ModelConfig": "fastlstm.config",
    "Records": "fastlstm.records",
    "Report": "fastlstm.metrics",
    "TrainingConfig": "fastlstm.config",
    "distill": "fastlstm.fit.one_call",
    "examine": "fastlstm.examination",
    "load": "fastlstm.inference.classifier",
    "load_language_model": "fastlstm.inference.language_model",
    "pretrain": "fastlstm.fit.pretrain_call",
    "read_records": "fastlstm.records",
    "train": "fastlstm.fit",
    "tune": "fastlstm.fit.tuning",
}
"""Public name -> the module it is loaded from at its first use, so that importing fastlstm costs nothing."""

__all__ = [
    "Classifier",
    "Examination",
    "FastLSTMError",
    "LSTMClassifier",
    "ModelConfig",
    "Records",
    "Report",
    "TrainingConfig",
    "__version__",
    "distill",
    "examine",
    "load",
    "load_language_model",
    "pretrain",
    "read_records",
    "train",
    "tune",
]

if TYPE_CHECKING:
    from fastlstm.config import ModelConfig, TrainingConfig
    from fastlstm.errors import FastLSTMError
    from fastlstm.estimator import LSTMClassifier
    from fastlstm.examination import Examination, examine
    from fastlstm.fit import train
    from fastlstm.fit.one_call import distill
    from fastlstm.fit.pretrain_call import pretrain
    from fastlstm.fit.tuning import tune
    from fastlstm.inference import Classifier
    from fastlstm.inference.classifier import load
    from fastlstm.inference.language_model import load_language_model
    from fastlstm.metrics import Report
    from fastlstm.records import Records, read_records


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastlstm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
