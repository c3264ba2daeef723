"""Labelled texts -> saved model, with PyTorch (the `train` extra). Inference never imports this."""

from fastlstm.errors import MissingDependencyError

try:
    import sklearn  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    raise MissingDependencyError("training", error.name or "PyTorch", "train") from error
