"""Saved model and texts -> predictions, with NumPy and the kernel alone."""

from fastlstm.inference.classifier import Classifier

__all__ = ["Classifier"]
