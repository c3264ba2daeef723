"""Datasets with and without labels, and their readers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "Dataset": "dataset",
    "UnlabelledTexts": "readers.plain_text",
    "as_dataset": "memory",
    "read_dataset": "readers.labelled",
    "read_texts": "readers.plain_text",
    "split_dataset": "dataset",
}
"""Public name -> module that defines it, imported on first use: predictions need no reader."""

__all__ = ["Dataset", "UnlabelledTexts", "as_dataset", "read_dataset", "read_texts", "split_dataset"]

if TYPE_CHECKING:
    from fastlstm.data.dataset import Dataset, split_dataset
    from fastlstm.data.memory import as_dataset
    from fastlstm.data.readers.labelled import read_dataset
    from fastlstm.data.readers.plain_text import UnlabelledTexts, read_texts


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'fastlstm.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastlstm.data.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value
