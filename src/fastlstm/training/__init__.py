"""Train a text classifier: labelled texts -> saved model, with PyTorch (extra `train`)."""

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.training.api import train

__all__ = ["train"]
