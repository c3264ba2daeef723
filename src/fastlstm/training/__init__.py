"""Labelled texts -> saved model, with PyTorch (the `train` extra). Inference never imports this."""

import importlib

from fastlstm.errors import MissingDependencyError

for _name, _package in (("torch", "PyTorch"), ("sklearn", "scikit-learn")):
    try:
        importlib.import_module(_name)
    except ImportError:
        raise MissingDependencyError("training", _package, "train") from None
