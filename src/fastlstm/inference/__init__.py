"""Inference with NumPy and the compiled kernel, without PyTorch: predictions, streams and explanations."""

from fastlstm.inference.classifier import Classifier

__all__ = ["Classifier"]
